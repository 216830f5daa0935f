"""Cubes are read where they are asked for, and hold what a whole reading holds."""

import pickle

import numpy as np
import pytest
import tifffile
import xarray as xr
import zarr

import respectra as rs
from respectra.cubes import inspect
from respectra.cubes.io import peek_cube
from respectra.errors import DataError, FormatError

GRID = np.arange(400.0, 701, 50)
NAMES = ("a.mat", "v5.mat", "a.hdr", "a.bil", "a.bsq", "a.nc", "a.h5", "a.zarr", "a.npz", "a.npy")


@pytest.fixture
def cube(rng):
    values = np.rint(rng.random((9, 8, GRID.size)) * 65535) / np.float32(65535)
    return rs.make_cube(values, GRID, source="test")


def saved(cube, path):
    forms = {"v5.mat": "matlab-v5", "pngs": "png"}
    rs.save_cube(cube, path, format=forms.get(path.name))
    return path


PARTS = [
    (slice(None), slice(None), slice(None)),
    (3, 5),
    (slice(2, 7), slice(1, 6, 2), 3),
    (slice(None, None, -1), 2, slice(5, 1, -2)),
    ([4, 1, 1], slice(None), [6, 0]),
    (slice(0, 0), slice(None), 2),
]


@pytest.mark.parametrize("name", [*NAMES, "a.tif", "pngs"])
def test_any_part_of_any_format_is_the_part_of_the_whole(tmp_path, cube, name):
    path = saved(cube, tmp_path / name)
    grid = GRID if name == "a.npy" else None
    for part in PARTS:
        opened = rs.open_cube(path, wavelengths_nm=grid)
        np.testing.assert_array_equal(opened[part].values, cube[part].values, err_msg=str(part))
    assert rs.open_cube(path, wavelengths_nm=grid).values.flags.c_contiguous


@pytest.mark.parametrize(
    "name", [n for n in (*NAMES, "a.tif", "pngs") if n not in ("a.npz", "v5.mat")]
)
def test_nothing_but_the_part_is_read(tmp_path, cube, name, monkeypatch):
    _, stored = peek_cube(saved(cube, tmp_path / name))
    part = stored.window(slice(2, 5), slice(1, 3), slice(0, 2))
    np.testing.assert_array_equal(part, cube.values[2:5, 1:3, 0:2])
    assert part.dtype == np.float32


def test_bands_that_descend_in_the_file(tmp_path, cube):
    values = cube.values[:, :, ::-1]
    np.savez(tmp_path / "a.npz", cube=values, wavelengths=GRID[::-1])
    np.save(tmp_path / "a.npy", values)
    for name, grid in (("a.npz", None), ("a.npy", GRID[::-1])):
        opened = rs.open_cube(tmp_path / name, wavelengths_nm=grid)
        np.testing.assert_array_equal(opened[2, :, 1:4].values, cube[2, :, 1:4].values)
        np.testing.assert_array_equal(opened.values, cube.values)


def test_what_is_read_as_a_whole_is_read_once(tmp_path, cube):
    opened = rs.open_cube(saved(cube, tmp_path / "a.npy"), wavelengths_nm=GRID)
    first = opened.values
    (tmp_path / "a.npy").unlink()
    assert np.shares_memory(opened.values, first)


def test_a_giant_opens_at_once_and_gives_what_is_asked_for(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    shape = (20_000, 20_000, 31)
    array = group.create_array(
        "cube", shape=shape, dtype="f4", chunks=(64, 64, 31),
        dimension_names=("y", "x", "wavelength"),
    )  # fmt: skip
    array[12_345, 6_789] = np.arange(31)
    path = tmp_path / "a.zarr"
    assert inspect(path)["shape"] == list(shape)
    opened = rs.open_cube(path, wavelengths_nm=np.arange(400, 701, 10))
    assert opened.shape == shape
    np.testing.assert_array_equal(opened[12_345, 6_789], np.arange(31))
    with pytest.raises(FormatError, match="promises 20000 x 20000 x 31"):
        opened.load()


def test_the_memory_is_asked_about_what_is_read(tmp_path, cube, monkeypatch):
    opened = rs.open_cube(saved(cube, tmp_path / "a.npy"), wavelengths_nm=GRID)
    free = 8 * 8 * GRID.size * 4
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": free}))
    np.testing.assert_array_equal(opened[3].values, cube[3].values)
    with pytest.raises(DataError, match="GiB of memory"):
        opened.load()


def test_chunks_of_dask_are_those_of_the_file(tmp_path, cube):
    pytest.importorskip("dask")
    path = saved(cube, tmp_path / "a.tif")
    tifffile.imwrite(
        tmp_path / "b.tif", cube.values.transpose(2, 0, 1), photometric="minisblack",
        compression="zlib",
    )  # fmt: skip
    opened = rs.open_cube(path, chunks={"y": 4})
    assert opened.chunks == ((4, 4, 1), (8,), (7,))
    np.testing.assert_allclose(opened.mean("y").compute(), cube.mean("y"), rtol=1e-6)
    own = rs.open_cube(tmp_path / "b.tif", wavelengths_nm=GRID, chunks={})
    assert own.chunks == ((9,), (8,), (1,) * 7)
    np.testing.assert_array_equal(own.values, cube.values)
    through = xr.open_dataarray(path, engine="respectra", chunks={})
    assert through.chunks == ((9,), (8,), (7,))
    np.testing.assert_array_equal(through, cube)


def test_a_copy_in_another_process_reads_the_file_again(tmp_path, cube):
    opened = rs.open_cube(saved(cube, tmp_path / "a.hdr"))
    copy = pickle.loads(pickle.dumps(opened[2:5]))
    np.testing.assert_array_equal(copy, cube[2:5])


def test_damage_in_the_values_shows_when_they_are_read(tmp_path, cube):
    path = saved(cube, tmp_path / "pngs")
    (path / "band_03.png").write_bytes((path / "band_03.png").read_bytes()[:-20])
    opened = rs.open_cube(path)
    np.testing.assert_array_equal(opened[:, :, :2], cube[:, :, :2])
    with pytest.raises(FormatError, match=r"band_03\.png is truncated or damaged"):
        opened.load()


def test_a_damaged_chunk_harms_nobody_who_does_not_read_it(tmp_path, rng):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    values = rng.random((8, 8, 4), np.float32)
    array = group.create_array(
        "cube", shape=(8, 8, 4), dtype="f4", chunks=(4, 4, 4),
        dimension_names=("y", "x", "wavelength"),
    )  # fmt: skip
    array[...] = values
    # A frame of Zstandard that says that it unpacks to 2**40 bytes.
    frame = b"\x28\xb5\x2f\xfd\xe0" + (2**40).to_bytes(8, "little") + bytes(9)
    (tmp_path / "a.zarr" / "cube" / "c" / "1" / "1" / "0").write_bytes(frame)
    cube = rs.open_cube(tmp_path / "a.zarr", wavelengths_nm=[400, 500, 600, 700])
    np.testing.assert_array_equal(cube[:4].values, values[:4])
    for part in (cube[5, 6], cube, cube[::-1, ::3]):
        with pytest.raises(FormatError, match="unpacks to 1,099,511,627,776 bytes or more"):
            part.values  # noqa: B018 - which reads


def test_rows_that_lie_far_apart_are_read_apart(tmp_path, cube, monkeypatch):
    monkeypatch.setattr("respectra.cubes.lazy._CHUNK_BYTES", 2 * 8 * GRID.size * 4)
    path = saved(cube, tmp_path / "a.npy")
    read, rows = np.memmap, []

    def counted(*args, **kwargs):
        rows.append(args)
        return read(*args, **kwargs)

    monkeypatch.setattr(np, "memmap", counted)
    opened = rs.open_cube(path, wavelengths_nm=GRID)
    np.testing.assert_array_equal(opened[::4, ::2].values, cube[::4, ::2].values)
    assert len(rows) == 3
