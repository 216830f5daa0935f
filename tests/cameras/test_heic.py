import subprocess
import sys

import numpy as np
import pytest
from tests.cameras.heic_file import heic

from respectra.cameras import open_image
from respectra.cameras.pictures import child, profiles
from respectra.colour import rgb_space
from respectra.errors import FormatError, MissingExtraError
from respectra.guards.processes import Forker

pytest.importorskip("pi_heif", reason="the extra heif is not installed")
REAL = child._SCRIPT


def photograph(path, data):
    path.write_bytes(data)
    return open_image(path, encoding="srgb")


def test_a_heic(tmp_path):
    image = photograph(tmp_path / "a.heic", heic())
    assert image.shape == (64, 64, 3)
    codes = np.rint(image.values * 255)
    assert np.abs(codes[:, :28] - [200, 60, 30]).max() <= 4
    assert np.abs(codes[:, 36:] - [40, 90, 200]).max() <= 4
    assert image.attrs["encoding"] == "srgb"


def test_its_profile_and_its_named_space(tmp_path):
    profile = profiles.write_profile("P3", rgb_space("display-p3").to_xyz_d50, 2.2)
    image = photograph(tmp_path / "a.heic", heic(icc=profile))
    assert image.attrs["space"] == "display-p3"
    image = photograph(tmp_path / "b.heic", heic(nclx=(12, 13, 1)))
    assert image.attrs["space"] == "display-p3"
    assert image.attrs["profile"] == "display-p3, stated by the file"
    with pytest.raises(FormatError, match="high dynamic range"):
        photograph(tmp_path / "c.heic", heic(nclx=(9, 16, 9)))


def test_bombs_and_cut_files(tmp_path):
    with pytest.raises(FormatError, match=r"would grow|cannot be decoded"):
        photograph(tmp_path / "a.heic", heic(size=(12000, 12000)))
    # Within what is read at all, and a thousand times what such a file can hold.
    with pytest.raises(FormatError, match=r"would grow|cannot be decoded|crashes"):
        photograph(tmp_path / "a.heic", heic(size=(10000, 10000)))
    whole = heic()
    for length in (40, len(whole) // 2, len(whole) - 10):
        with pytest.raises(FormatError, match=r"a\.heic"):
            photograph(tmp_path / "a.heic", whole[:length])


@pytest.fixture(params=["copied", "started"])
def way(request, monkeypatch):
    """How the decoder's process begins: as a copy of one that waits, or anew."""
    if request.param == "copied" and child._FORKER is None:
        pytest.skip("processes are copied on Linux alone")
    if request.param == "started":
        monkeypatch.setattr(child, "_FORKER", None)
    return request.param


@pytest.fixture
def decoder(way, tmp_path, monkeypatch):
    """Let another function decode, of whose body the text is given."""
    forkers = []

    def replace(body):
        script = tmp_path / f"reader{len(forkers)}.py"
        script.write_text(
            "import os, runpy, sys, time\n"
            f"reader = runpy.run_path({str(REAL)!r}, run_name='reader')\n"
            "real = reader['_TASKS']['heif']\n"
            f"def decode(question):\n    {body}\n"
            "reader['_TASKS']['heif'] = decode\n"
            "reader['main']()\n"
        )
        monkeypatch.setattr(child, "_SCRIPT", script)
        if way == "copied":
            forkers.append(Forker(script))
            monkeypatch.setattr(child, "_FORKER", forkers[-1])
        else:
            forkers.append(None)

    yield replace
    for forker in filter(None, forkers):
        forker.close()


def test_a_heic_by_either_way(way, tmp_path):
    image = photograph(tmp_path / "a.heic", heic())
    again = open_image(tmp_path / "a.heic", encoding="srgb")
    assert np.array_equal(image.values, again.values)
    with pytest.raises(FormatError, match=r"b\.heic"):
        photograph(tmp_path / "b.heic", heic()[:300])
    assert photograph(tmp_path / "c.heic", heic(nclx=(12, 13, 1))).attrs["space"] == "display-p3"


def test_a_decoder_that_crashes_or_hangs(decoder, tmp_path, monkeypatch):
    decoder("os.abort()")
    with pytest.raises(FormatError, match=r"crashes its decoder \(code -6\)"):
        photograph(tmp_path / "a.heic", heic())
    monkeypatch.setitem(child.PATIENCE_S, "look", 0.2)
    decoder("while True: pass")
    with pytest.raises(FormatError, match="does not end within"):
        photograph(tmp_path / "a.heic", heic())
    decoder("time.sleep(600)")
    monkeypatch.setattr(child, "PATIENCE_FACTOR", 1)
    with pytest.raises(FormatError, match="does not end within"):
        photograph(tmp_path / "a.heic", heic())


def test_a_decoder_that_gets_little_of_the_processor_is_waited_for(decoder, tmp_path, monkeypatch):
    decoder("time.sleep(1); return real(question)")
    monkeypatch.setattr(child, "_processor_time", lambda number: 0.0)
    monkeypatch.setitem(child.PATIENCE_S, "look", 0.8)
    monkeypatch.setattr(child, "PATIENCE_FACTOR", 100_000)
    assert photograph(tmp_path / "a.heic", heic()).shape[2] == 3


@pytest.mark.skipif(sys.platform != "linux", reason="limits on memory are Linux's here")
def test_a_decoder_that_wants_too_much_memory(way, tmp_path, monkeypatch):
    monkeypatch.setattr(child, "SPACE_BYTES", 2**20)
    with pytest.raises(FormatError, match=r"a\.heic"):
        photograph(tmp_path / "a.heic", heic())


def test_without_the_library(decoder, tmp_path):
    decoder("raise ModuleNotFoundError(name='pi_heif')")
    with pytest.raises(MissingExtraError, match=r"respectra\[heif\]"):
        photograph(tmp_path / "a.heic", heic())


def test_the_reader_starts_without_the_package():
    """Damage must not be able to reach more than the decoder."""
    code = (
        "import runpy, sys; sys.argv = ['x', '{}']\n"
        f"runpy.run_path({str(child._SCRIPT)!r}, run_name='other')\n"
        "assert not any(name.startswith('respectra') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=600)
