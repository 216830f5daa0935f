"""Throughput against the roofline of the machine."""

import json

import numpy as np
import pytest

from respectra.cli import bench as command  # noqa: F401 - registers the command
from respectra.cli.app import run
from respectra.errors import ConfigError
from respectra.evaluation import benchmarking
from respectra.evaluation.benchmarking import benchmark, measure_roofline, plot_benchmark
from respectra.inference.tiled import TiledInference
from respectra.methods.measure import count_gmac


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(benchmarking, "_COPY_BYTES", 2**20)
    monkeypatch.setattr(benchmarking, "_MATRIX", 64)


def test_roofs_are_rates_of_this_machine():
    roofline = measure_roofline(1)
    assert 0.1 < roofline.fill_gb_s < 1000
    assert 0.1 < roofline.copy_gb_s < 1000
    assert 0.1 < roofline.gflop_s < 10_000


@pytest.mark.usefixtures("small")
def test_shares_and_limits_follow_from_the_roofs():
    result = benchmark(["pseudo-inverse"], sizes_mp=[0.01], threads=1)
    assert [(r.engine, r.dtype) for r in result.runs] == [
        ("numpy", "float32"),
        ("table", "float32"),
        ("table", "float16"),
        ("table", "3 coefficients"),
    ]
    for r in result.runs:
        written = {"float32": 4 * 31, "float16": 2 * 31, "3 coefficients": 4 * 3}[r.dtype]
        pixels = r.height * r.width
        assert pixels == pytest.approx(0.01e6, rel=0.02)
        rate = pixels * (12 + written) / r.seconds / 1e9
        assert r.memory_share == pytest.approx(rate / result.roofline.copy_gb_s)
        assert r.megapixels_s / r.memory_limit_mp_s == pytest.approx(r.memory_share)
        assert r.arithmetic_share is None
    assert plot_benchmark(result).get_axes()


@pytest.mark.usefixtures("small")
def test_networks_are_measured_plain_and_as_they_are_run(monkeypatch):
    monkeypatch.setattr(benchmarking, "FRAME", (16, 24))
    result = benchmark(["hscnn-r"], sizes_mp=[0.25, 2], threads=1, patience_s=10)
    engines = [run.engine for run in result.runs]
    assert engines[:4] == ["plain", "plain", "torch", "torch"]
    assert engines[4:] == ["onnx", "onnx"]
    assert result.runs[4].arithmetic_share > 0
    _, large_plain, torch, large = result.runs[:4]
    assert "small pictures" in large_plain.reason
    assert "would take" in large.reason
    assert large.seconds is None
    flop = 2e9 * count_gmac("hscnn-r", frame=(16, 24))
    done = flop / torch.seconds / 1e9 / result.roofline.gflop_s
    assert torch.arithmetic_share == pytest.approx(done, rel=0.01)


@pytest.mark.usefixtures("small")
def test_the_command_writes_table_json_and_plot(tmp_path, capsys):
    arguments = ["bench", "pseudo-inverse", "--sizes", "0.01", "--threads", "1"]
    assert run([*arguments, "-o", str(tmp_path)]) == 0
    assert "pseudo-inverse" in capsys.readouterr().out
    saved = json.loads((tmp_path / "bench.json").read_text())
    assert len(saved["runs"]) == 4
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
    assert run([*arguments, "-o", str(tmp_path)]) == 1
    assert "exists already" in capsys.readouterr().err
    assert run(["bench", "--sizes", "large"]) == 1
    assert "--sizes takes numbers" in capsys.readouterr().err


@pytest.mark.usefixtures("small")
def test_methods_are_bound_to_what_is_known_and_wanted(monkeypatch, capsys):
    bound = []
    real = benchmarking.bind

    def bind(weights, capture, quantity):
        bound.append((capture.light.attrs["name"], quantity))
        return real(weights, capture, quantity)

    monkeypatch.setattr(benchmarking, "bind", bind)
    known = ["--light", "A", "--quantity", "radiance"]
    assert run(["bench", "pseudo-inverse", "--sizes", "0.001", "--json", *known]) == 0
    assert json.loads(capsys.readouterr().out)["runs"]
    assert bound == [("A", "radiance")]


def test_sizes_are_positive():
    with pytest.raises(ConfigError, match="positive"):
        benchmark(["pseudo-inverse"], sizes_mp=[0.25, -1])
    assert np.prod(benchmarking._shape_of(8.3)) == pytest.approx(8.3e6, rel=0.01)


@pytest.mark.usefixtures("small")
def test_the_runtime_is_not_credited_with_what_runs_elsewhere(monkeypatch):
    monkeypatch.setattr(TiledInference, "needs_means", lambda self, layout: True)
    result = benchmark(["default"], sizes_mp=[0.01], threads=1)
    (run,) = (run for run in result.runs if run.engine == "onnx")
    assert run.seconds is None
    assert "PyTorch" in run.reason
