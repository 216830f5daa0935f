"""One writer a format: the same bytes whole and piece by piece."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import respectra as rs
from respectra.cubes.formats.zarr import chunk_side
from respectra.cubes.writers import GrowingCube, open_writer, writer_for
from respectra.errors import ConfigError, DataError, OutputError

GRID = np.arange(400.0, 701, 50)
NAMES = ("a.hdr", "a.bip", "a.bil", "a.bsq", "a.zarr")


@pytest.fixture
def cube(rng):
    return rs.make_cube(rng.random((11, 9, GRID.size), np.float32), GRID, source="x", note=[1, 2])


def bytes_below(folder):
    return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("name", NAMES)
def test_pieces_in_any_order_give_the_bytes_of_the_whole(tmp_path, cube, name):
    (tmp_path / "whole").mkdir()
    rs.save_cube(cube, tmp_path / "whole" / name)
    by_rows, by_tiles = tmp_path / "rows", tmp_path / "tiles"
    with open_writer(by_rows / name, cube.shape, GRID, cube.attrs) as out:
        for rows in (slice(4, 11), slice(0, 4)):
            out.write(rows, cube.values[rows])
    out = open_writer(by_tiles / name, cube.shape, GRID)
    for rows in (slice(0, 5), slice(5, 11)):
        for columns in (slice(6, 9), slice(0, 6)):
            out.write(rows, cube.values[rows, columns], columns)
    out.commit(cube.attrs)
    whole = bytes_below(tmp_path / "whole")
    assert bytes_below(by_rows) == whole
    assert bytes_below(by_tiles) == whole


@pytest.mark.parametrize("name", NAMES)
def test_a_cube_that_is_not_in_memory_is_written_as_it_is_read(tmp_path, cube, name, monkeypatch):
    rs.save_cube(cube, tmp_path / "source.hdr")
    monkeypatch.setattr("respectra.cubes.formats.base._BLOCK_BYTES", 4 * 9 * 7 * 3)
    asked = []
    read = np.memmap

    def counted(*args, **kwargs):
        asked.append(args)
        return read(*args, **kwargs)

    monkeypatch.setattr(np, "memmap", counted)
    lazy = rs.open_cube(tmp_path / "source.hdr")
    rs.save_cube(lazy, tmp_path / "lazy" / name)
    if name != "a.zarr":  # whose chunks hold more rows than that
        assert len(asked) == 1 + 4  # a look at the first pixel, and blocks of three rows
    monkeypatch.undo()
    (tmp_path / "whole").mkdir()
    rs.save_cube(cube, tmp_path / "whole" / name)
    assert bytes_below(tmp_path / "lazy") == bytes_below(tmp_path / "whole")


def test_a_block_that_fails_leaves_nothing(tmp_path, cube):
    def fail():
        with open_writer(tmp_path / "a.hdr", cube.shape, GRID) as out:
            out.write(slice(0, 3), cube.values[:3])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []
    open_writer(tmp_path / "a.zarr", cube.shape, GRID).abort()
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_refused(tmp_path, cube):
    with pytest.raises(ConfigError, match="written as a whole; piece by piece go envi, zarr"):
        open_writer(tmp_path / "a.mat", cube.shape, GRID)
    assert writer_for(tmp_path / "a.mat") is None
    with pytest.raises(ConfigError, match="written as a whole"):
        GrowingCube(tmp_path, tmp_path / "a.tif", cube.shape, GRID, "float32", (4, 4))
    with pytest.raises(ConfigError, match="ENVI has no float16"):
        open_writer(tmp_path / "a.hdr", cube.shape, GRID, dtype="float16")
    with pytest.raises(DataError, match="it has one a band"):
        open_writer(tmp_path / "a.hdr", (3, 4, 5), GRID)
    rs.save_cube(cube, tmp_path / "a.hdr")
    with pytest.raises(OutputError, match="exists already"):
        open_writer(tmp_path / "a.hdr", cube.shape, GRID)
    out = open_writer(tmp_path / "b.hdr", cube.shape, GRID)
    for rows, values in ((slice(0, 3), cube.values[:2]), (slice(11, 12), cube.values[:0])):
        with pytest.raises(DataError, match="this piece has shape"):
            out.write(rows, values)
    out.abort()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.hdr", "a.img"]


def test_chunks_of_pieces_never_belong_to_two_of_them(tmp_path):
    shape = (20, 30, GRID.size)
    out = open_writer(tmp_path / "a.zarr", shape, GRID, pieces=(8, 10))
    out.abort()
    assert chunk_side(31, 4) == 192
    assert chunk_side(31, 4, 512) == 128
    assert chunk_side(31, 4, 200) == 100
    assert chunk_side(2000, 4) * chunk_side(2000, 4) * 8000 <= 8 * 2**20
    for side in range(1, 700, 13):
        assert side % chunk_side(31, 4, side) == 0


def test_a_store_of_half_precision_opens_in_plain_xarray(tmp_path, cube):
    with open_writer(tmp_path / "a.zarr", cube.shape, GRID, cube.attrs, dtype="float16") as out:
        out.write(slice(0, 11), cube.values)
    with xr.open_dataset(tmp_path / "a.zarr", engine="zarr", consolidated=False) as dataset:
        assert dataset["cube"].dtype == np.float16
        np.testing.assert_array_equal(dataset["wavelength"], GRID)
    np.testing.assert_array_equal(rs.open_cube(tmp_path / "a.zarr"), cube.astype("f2").astype("f4"))
    assert Path(tmp_path / "a.zarr").is_dir()
