"""A URL is reached, or refused; it never becomes folders of this machine that are named so."""

import importlib
import pkgutil

import numpy as np
import pytest

import respectra as rs
import respectra.cli
from respectra.cli import run
from respectra.errors import OutputError
from respectra.files import atomic_path, ensure_absent, file_lock, make_folder

fsspec = pytest.importorskip("fsspec")
pytestmark = pytest.mark.posix
for module in pkgutil.iter_modules(respectra.cli.__path__):
    importlib.import_module(f"respectra.cli.{module.name}")


@pytest.fixture
def here(tmp_path, monkeypatch, rng):
    """A working folder with a cube, and an empty place by URL."""
    monkeypatch.chdir(tmp_path)
    rs.save_cube(rs.make_cube(rng.random((4, 5, 31)), np.arange(400, 701, 10)), "new.npz")
    fsspec.filesystem("memory").store.clear()
    yield tmp_path
    fsspec.filesystem("memory").store.clear()


@pytest.mark.parametrize("line", [
    "train pca --data . -o memory://out/t",
    "bake pseudo-inverse --nodes 5 -o memory://out/t.lut",
    "bench pseudo-inverse --sizes 0.01 -o memory://out/b",
    "import-weights awan nothing.pth --track clean -o memory://out/w.safetensors",
    "calibrate nothing.png --linear --light D50 -o memory://out/camera.json",
    "leaderboard nowhere --format html -o memory://out/board.html",
    "demo -o memory://out/demo",
])  # fmt: skip
def test_what_is_written_here_alone_refuses_a_url(line, here, capsys):
    assert run(line.split()) == 1
    (said,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error:")]
    assert "memory://" in said or "nothing.p" in said or "nowhere" in said
    assert [path.name for path in here.iterdir()] == ["new.npz"]


def test_every_writer_refuses_one(here):
    for path in ("s3://bucket/x", "s3:/bucket/x", "gs://bucket"):
        for write in (ensure_absent, lambda path: make_folder(here.__class__(path))):
            with pytest.raises(OutputError, match=r"cannot write (s3|gs)://bucket.*not to a URL"):
                write(path)
        with pytest.raises(OutputError, match="not to a URL"), file_lock(path):
            pass
        with pytest.raises(OutputError, match="not to a URL"), atomic_path(path, overwrite=True):
            pass
    assert [path.name for path in here.iterdir()] == ["new.npz"]
    (here / "odd:").mkdir()
    with atomic_path("odd:/x") as path:
        path.write_text("fine")
    assert (here / "odd:" / "x").read_text() == "fine"


def test_cubes_are_converted_from_and_to_urls(here, capsys):
    cube = rs.open_cube("new.npz").values
    assert run(["convert", "new.npz", "-o", "memory://out/new.hdr"]) == 0
    assert run(["convert", "new.npz", "-o", "memory://out/new.hdr"]) == 1
    assert "memory://out/new.hdr exists already" in capsys.readouterr().err
    assert run(["inspect", "memory://out/new.hdr"]) == 0
    assert capsys.readouterr().out.startswith("memory://out/new.hdr\n  format: envi")
    assert run(["check", "memory://out/new.hdr"]) == 0
    assert run(["convert", "memory://out/new.hdr", "-o", "back.nc"]) == 0
    np.testing.assert_array_equal(rs.open_cube("back.nc").values, cube)
    several = ["convert", "memory://out/new.hdr", "back.nc", "-o", "memory://both"]
    assert run([*several, "--format", "npz"]) == 0
    np.testing.assert_array_equal(rs.open_cube("memory://both/back.npz").values, cube)
    light = ["relight", "memory://both/new.npz", "--present", "D65", "--light", "A"]
    assert run([*light, "-o", "memory://out/a.zarr"]) == 0
    assert rs.open_cube("memory://out/a.zarr").attrs["light"] == "A"
    assert sorted(path.name for path in here.iterdir()) == ["back.nc", "new.npz"]
    assert rs.open_cube((here / "back.nc").as_uri()).shape == (4, 5, 31)
