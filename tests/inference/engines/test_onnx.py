"""Networks for other people's runtimes."""

import json

import numpy as np
import onnxruntime
import pytest
from tests.inference.conftest import tiny_weights

from respectra.cameras import make_image
from respectra.cli import weights as _weights  # noqa: F401 - registers the command
from respectra.cli.app import run
from respectra.errors import ConfigError
from respectra.inference import Reconstructor, find_weights
from respectra.inference.engines import choice
from respectra.inference.engines.onnx import export_onnx
from respectra.methods import save_weights
from respectra.methods.fitting import fit_on_measured_spectra

RGB = np.random.default_rng(0).random((21, 30, 3), dtype=np.float32)


def test_an_export_says_what_it_expects_and_gives_the_same(tmp_path, capsys):
    weights = tiny_weights("hscnn-r", channel_order="BGR", clip_low=0.0)
    save_weights(weights, tmp_path / "w.safetensors")
    file = tmp_path / "m.onnx"
    arguments = ["export", str(tmp_path / "w.safetensors"), "-o", str(file)]
    assert run([*arguments, "--height", "21", "--width", "30"]) == 0
    assert "(1, 31, 21, 30)" in capsys.readouterr().err
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    header = json.loads(session.get_modelmeta().custom_metadata_map["respectra"])
    assert header["method"] == "hscnn-r"
    assert header["contract"]["channel_order"] == "BGR"
    image = weights.contract.prepare(RGB).transpose(2, 0, 1)[None]
    (cube,) = session.run(["cube"], {"image": np.ascontiguousarray(image)})
    got = np.clip(cube[0].transpose(1, 2, 0), 0, None)
    np.testing.assert_allclose(got, Reconstructor(weights).predict(RGB), atol=5e-5)
    assert run(arguments) == 1
    assert "exists already" in capsys.readouterr().err


def test_the_runtime_gives_what_pytorch_gives():
    weights = tiny_weights("hscnn-r")
    expected = Reconstructor(weights, engine="plain").predict(RGB)
    got = Reconstructor(weights, engine="onnx").predict(RGB)
    np.testing.assert_allclose(got, expected, atol=5e-5)


def test_the_runtime_runs_exact_values_alone_of_a_network_that_is_told_of_codes(monkeypatch):
    weights = find_weights("default")
    rec = Reconstructor(weights, engine="onnx")
    runs = []
    original = type(rec.backend.onnx).__call__

    def counted(self, pixels):
        runs.append(pixels.shape)
        return original(self, pixels)

    monkeypatch.setattr(type(rec.backend.onnx), "__call__", counted)
    for bits, expected_runs in ((32, 1), (8, 0)):
        runs.clear()
        picture = make_image(np.floor(RGB * 200) / 255, bits=bits, track="clean")
        got = rec(picture)
        assert len(runs) == expected_runs
        expected = Reconstructor(weights, engine="plain")(picture)
        np.testing.assert_allclose(got, expected, atol=5e-5)


def test_the_fastest_engine_is_remembered(monkeypatch):
    rec = Reconstructor(tiny_weights("hscnn-r"))
    seconds = iter([2.0, 1.0])
    monkeypatch.setattr(choice, "_seconds", lambda *_: next(seconds))
    assert choice.fastest(rec.weights, rec.backend) == "onnx"
    assert choice.fastest(rec.weights, rec.backend) == "onnx"  # no further trial


def test_what_cannot_be_exported_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="look-up table"):
        export_onnx(fit_on_measured_spectra("pseudo-inverse"), tmp_path / "m.onnx")
    table = tiny_weights("awan", attention="table")
    with pytest.raises(ConfigError, match="cannot be exported"):
        export_onnx(table, tmp_path / "m.onnx")
    with pytest.raises(ConfigError, match="at least 9 x 9"):
        export_onnx(tiny_weights("hrnet"), tmp_path / "m.onnx", height=4)


def test_an_unknown_engine_suggests_known_ones():
    with pytest.raises(ConfigError, match="unknown engine 'onyx'"):
        Reconstructor(tiny_weights("hscnn-r"), engine="onyx")
