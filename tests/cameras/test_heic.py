import subprocess
import sys

import numpy as np
import pytest
from tests.cameras.heic_file import heic

from respectra.cameras import open_image
from respectra.cameras.pictures import child, icc
from respectra.colour import rgb_space
from respectra.errors import FormatError, MissingExtraError

pytest.importorskip("pi_heif", reason="the extra heif is not installed")


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
    profile = icc.write_profile("P3", rgb_space("display-p3").to_xyz_d50, 2.2)
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


def test_a_decoder_that_crashes_or_hangs(tmp_path, monkeypatch):
    script = tmp_path / "reader.py"
    monkeypatch.setattr(child, "_SCRIPT", script)
    script.write_text("import os; os.abort()")
    with pytest.raises(FormatError, match="crashes its decoder"):
        photograph(tmp_path / "a.heic", heic())
    monkeypatch.setitem(child.PATIENCE_S, "look", 0.2)
    script.write_text("while True: pass")
    with pytest.raises(FormatError, match="does not end"):
        photograph(tmp_path / "a.heic", heic())
    script.write_text("import time; time.sleep(600)")
    monkeypatch.setattr(child, "PATIENCE_FACTOR", 1)
    with pytest.raises(FormatError, match="does not end"):
        photograph(tmp_path / "a.heic", heic())


def test_a_decoder_that_gets_little_of_the_processor_is_waited_for(tmp_path, monkeypatch):
    patient = tmp_path / "reader.py"
    patient.write_text(
        "import runpy, time\n"
        "time.sleep(0.5)\n"
        f"runpy.run_path({str(child._SCRIPT)!r}, run_name='__main__')\n"
    )
    monkeypatch.setattr(child, "_SCRIPT", patient)
    monkeypatch.setattr(child, "_processor_time", lambda number: 0.0)
    monkeypatch.setitem(child.PATIENCE_S, "look", 0.05)
    monkeypatch.setattr(child, "PATIENCE_FACTOR", 100_000)
    assert photograph(tmp_path / "a.heic", heic()).shape[2] == 3


@pytest.mark.skipif(sys.platform != "linux", reason="limits on memory are Linux's here")
def test_a_decoder_that_wants_too_much_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(child, "SPACE_BYTES", 2**20)
    with pytest.raises(FormatError, match=r"a\.heic"):
        photograph(tmp_path / "a.heic", heic())


def test_without_the_library(tmp_path, monkeypatch):
    script = tmp_path / "reader.py"
    script.write_text('print(\'{"missing": "pi_heif"}\')')
    monkeypatch.setattr(child, "_SCRIPT", script)
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
