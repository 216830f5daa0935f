"""NetCDF and Zarr against plain xarray."""

import h5py
import numpy as np
import pytest
import xarray as xr
import zarr

import respectra as rs
from respectra.errors import FormatError

GRID = [400.0, 500.5, 600.0, 700.0]
ENGINES = [("a.nc", "h5netcdf"), ("a.nc", "netcdf4"), ("a.zarr", "zarr")]


@pytest.fixture
def values(rng):
    return rng.random((3, 5, 4), np.float32)


@pytest.mark.parametrize(("name", "engine"), ENGINES)
def test_what_we_write_opens_in_plain_xarray(tmp_path, values, name, engine):
    if engine == "netcdf4":
        pytest.importorskip("netCDF4")
    rs.save_cube(rs.make_cube(values, GRID, quantity="reflectance"), tmp_path / name)
    options = {"consolidated": False} if engine == "zarr" else {}
    with xr.open_dataset(tmp_path / name, engine=engine, **options) as dataset:
        cube = dataset["cube"].load()
    np.testing.assert_array_equal(cube.values, values)
    assert cube.dims == ("y", "x", "wavelength")
    np.testing.assert_array_equal(cube["wavelength"], GRID)
    assert cube["wavelength"].attrs["units"] == "nm"
    assert cube.attrs["quantity"] == "reflectance"


@pytest.mark.parametrize("name", ["a.nc", "a.zarr"])
@pytest.mark.parametrize("dims", [("wavelength", "y", "x"), ("band", "x", "y"), ("x", "y", "wl")])
def test_dimensions_are_known_by_their_names(tmp_path, values, name, dims):
    band = next(dim for dim in dims if dim not in "xy")
    cube = xr.DataArray(values, dims=("y", "x", band), coords={band: GRID})
    dataset = cube.transpose(*dims).to_dataset(name="radiance")
    if name == "a.nc":
        dataset.to_netcdf(tmp_path / name, engine="h5netcdf")
    else:
        dataset.to_zarr(tmp_path / name, consolidated=False)
    opened = rs.open_cube(tmp_path / name)
    np.testing.assert_array_equal(opened.values, values)
    np.testing.assert_array_equal(opened["wavelength"], GRID)


@pytest.mark.parametrize("name", ["a.nc", "a.h5", "a.zarr"])
@pytest.mark.parametrize("more", [{"time": [7]}, {"time": [7], "level": [0.5]}])
def test_a_dimension_of_length_1_that_is_none_of_ours_is_dropped(tmp_path, values, name, more):
    cube = xr.DataArray(values[:1], dims=("y", "x", "wavelength"), coords={"wavelength": GRID})
    cube = cube.expand_dims(more, axis=[1, 3][: len(more)])
    dataset = cube.to_dataset(name="radiance")
    if name == "a.zarr":
        dataset.to_zarr(tmp_path / name, consolidated=False)
    else:
        dataset.to_netcdf(tmp_path / name, engine="h5netcdf")
    opened = rs.open_cube(tmp_path / name)
    assert opened.dims == ("y", "x", "wavelength")
    np.testing.assert_array_equal(opened[0, 2], values[0, 2])
    np.testing.assert_array_equal(opened, values[:1])
    np.testing.assert_array_equal(opened["wavelength"], GRID)


def test_nameless_dimensions_of_length_1(tmp_path, values):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"], file["wavelengths"] = values[None, None], GRID
    np.testing.assert_array_equal(rs.open_cube(tmp_path / "a.h5"), values)


def test_of_a_series_one_has_to_be_taken(tmp_path, values):
    dims = ("time", "y", "x", "wavelength")
    series = xr.DataArray(np.stack([values] * 2), dims=dims, coords={"wavelength": GRID})
    series.to_dataset(name="cube").to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    with pytest.raises(FormatError, match=r"time 2, .*isel\(time=0\)"):
        rs.open_cube(tmp_path / "a.nc")


def test_zarr_is_version_3(tmp_path, values):
    rs.save_cube(rs.make_cube(values, GRID), tmp_path / "a.zarr")
    assert zarr.open_group(tmp_path / "a.zarr", mode="r").metadata.zarr_format == 3


def test_zarr_version_2_opens(tmp_path, values):
    cube = rs.make_cube(values, GRID)
    cube.to_dataset(name="cube").to_zarr(tmp_path / "a.zarr", zarr_format=2, consolidated=False)
    np.testing.assert_array_equal(rs.open_cube(tmp_path / "a.zarr"), cube)


def test_a_missing_chunk_of_a_giant_store_is_refused_before_allocation(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array(
        "cube", shape=(30_000, 30_000, 31), dtype="f4", chunks=(100, 100, 31),
        dimension_names=("y", "x", "wavelength"),
    )  # fmt: skip
    cube = rs.open_cube(tmp_path / "a.zarr", wavelengths_nm=np.arange(400, 701, 10))
    assert cube[29_999, 0].values.tolist() == [0.0] * 31  # one chunk is no harm
    with pytest.raises(FormatError, match="promises 30000 x 30000 x 31"):
        cube.load()


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(("dtype", "fill"), [("f4", -9999.0), ("f8", 1e20), ("i2", -1), ("i2", 0)])
def test_missing_values_as_xarray_writes_them(tmp_path, values, version, dtype, fill):
    values[0, 1], values[1, 1] = np.nan, 300.0
    cube = xr.DataArray(values, dims=("y", "x", "wavelength"), coords={"wavelength": GRID})
    more = {"scale_factor": 0.125} if dtype == "i2" else {}
    cube.to_dataset(name="cube").to_zarr(
        tmp_path / "a.zarr", zarr_format=version, consolidated=False,
        encoding={"cube": {"_FillValue": fill, "dtype": dtype, **more}},
    )  # fmt: skip
    with xr.open_zarr(tmp_path / "a.zarr", consolidated=False) as dataset:
        expected = dataset["cube"].values
    if (version, fill) == (2, 0):  # which may mean nothing but a gap
        expected = np.nan_to_num(expected)
    opened = rs.open_cube(tmp_path / "a.zarr")
    np.testing.assert_array_equal(opened.values, expected.astype(np.float32))


def test_zarr_names_without_a_store(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    with pytest.raises(FormatError, match=r"without zarr\.json"):
        rs.open_cube(tmp_path / "a.zarr")
    (tmp_path / "b.zarr").write_text("text")
    with pytest.raises(FormatError, match="not a folder"):
        rs.open_cube(tmp_path / "b.zarr")


@pytest.mark.parametrize("name", ["a.nc", "a.zarr"])
def test_a_giant_coordinate_is_not_read(tmp_path, name):
    count = 2**33
    if name == "a.nc":
        with h5py.File(tmp_path / name, "w") as file:
            cube = file.create_dataset("cube", (1, 1, count), "f4", chunks=(1, 1, 2**20))
            for axis, (dim, size) in enumerate((("y", 1), ("x", 1), ("wavelength", count))):
                file.create_dataset(dim, (size,), "f8", chunks=(min(size, 2**20),))
                file[dim].make_scale(dim)
                cube.dims[axis].attach_scale(file[dim])
    else:
        group = zarr.open_group(tmp_path / name, mode="w")
        for array, shape, dims in (
            ("wavelength", (count,), ("wavelength",)),
            ("cube", (1, 1, count), ("y", "x", "wavelength")),
        ):
            group.create_array(array, shape=shape, dtype="f8", chunks=shape, dimension_names=dims)
    with pytest.raises(FormatError, match=f"promises 1 x 1 x {count} values|would grow from"):
        rs.open_cube(tmp_path / name)


def test_a_heap_that_the_library_would_walk_for_ever_is_refused(tmp_path, values):
    rs.save_cube(rs.make_cube(values, GRID), tmp_path / "a.nc")
    data = bytearray((tmp_path / "a.nc").read_bytes())
    heap = data.index(b"GCOL")
    data[heap + 16 : heap + 32] = bytes(16)  # an object 0 of size 0
    (tmp_path / "a.nc").write_bytes(data)
    with pytest.raises(FormatError, match="keeps it busy for ever"):
        rs.open_cube(tmp_path / "a.nc")
