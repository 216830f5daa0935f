"""Units, axes, missing values and labels: what a file says is believed, whatever its format."""

import h5py
import numpy as np
import pytest
import xarray as xr
import zarr

import respectra as rs
from respectra.cubes import fit_bands, inspect, resample
from respectra.errors import ConfigError, DataError, FormatError, RespectraWarning

GRID = np.arange(400.0, 701, 10)


@pytest.fixture
def values(rng):
    return rng.uniform(0.1, 0.9, (4, 5, GRID.size)).astype(np.float32)


def dataset_file(path, dims, data, coords):
    dataset = xr.Dataset({"r": (dims, data)}, coords)
    if path.suffix == ".nc":
        dataset.to_netcdf(path, engine="h5netcdf")
    else:
        dataset.to_zarr(path, consolidated=False)
    return path


SUFFIXES = pytest.mark.parametrize("suffix", [".nc", ".zarr"])


@SUFFIXES
@pytest.mark.parametrize(
    ("unit", "numbers"),
    [("um", GRID / 1e3), ("m", GRID / 1e9), ("Angstrom", GRID * 10), ("cm-1", 1e7 / GRID)],
)
def test_units_of_datasets(tmp_path, values, suffix, unit, numbers):
    coords = {"wavelength": ("wavelength", numbers, {"units": unit})}
    path = dataset_file(tmp_path / f"a{suffix}", ("y", "x", "wavelength"), values, coords)
    cube = rs.open_cube(path)
    np.testing.assert_allclose(cube["wavelength"], GRID)
    np.testing.assert_array_equal(cube.values, values)


@pytest.mark.parametrize("name", ["a.npz", "a.nc"])
def test_a_guess_is_said_and_what_cannot_be_is_refused(tmp_path, values, name):
    def save(numbers):
        if name == "a.npz":
            np.savez(tmp_path / name, cube=values, wavelengths=numbers)
        else:
            dims = ("y", "x", "wavelength")
            dataset_file(tmp_path / name, dims, values, {"wavelength": numbers})

    save(GRID / 1e3)
    with pytest.warns(RespectraWarning, match="taken as micrometres, 400 to 700 nm"):
        np.testing.assert_allclose(rs.open_cube(tmp_path / name)["wavelength"], GRID)
    save(np.linspace(20, 50, 31))
    with pytest.raises(FormatError, match="state the wavelengths in nm"):
        rs.open_cube(tmp_path / name)
    assert inspect(tmp_path / name)["details"]["wavelength_problem"]


@pytest.mark.parametrize("numbers", [GRID / 1e3, np.linspace(20, 50, 31)])
def test_wavelengths_that_nobody_measures_are_refused_in_python_too(values, numbers):
    with pytest.raises(DataError, match="wavelengths are in nm, from 100 to 100000"):
        rs.make_cube(values, numbers)


@SUFFIXES
@pytest.mark.parametrize(
    "dims",
    [
        ("lon", "lat", "wavelength"), ("X", "Y", "band"), ("columns", "lines", "channel"),
        ("wavelength", "row", "column"), ("samples", "lines", "bands"),
    ],
)  # fmt: skip
def test_axes_by_their_names(tmp_path, values, suffix, dims):
    whole = xr.DataArray(values, dims=("y", "x", "band"))
    names = {"lat": "y", "Y": "y", "lines": "y", "row": "y"}
    names |= {"lon": "x", "X": "x", "columns": "x", "column": "x", "samples": "x"}
    order = [names.get(dim, "band") for dim in dims]
    band = dims[order.index("band")]
    path = tmp_path / f"a{suffix}"
    dataset_file(path, dims, whole.transpose(*order).values, {"wavelengths": (band, GRID)})
    cube = rs.open_cube(path)
    np.testing.assert_array_equal(cube.values, values)
    np.testing.assert_array_equal(cube["wavelength"], GRID)


def test_a_zarr_store_that_names_no_dimensions(tmp_path, values):
    for version in (2, 3):
        path = tmp_path / f"{version}.zarr"
        group = zarr.open_group(path, mode="w", zarr_format=version)
        group.create_array("cube", data=values)
        group.create_array("wavelength", data=GRID / 1e3).attrs["units"] = "um"
        cube = rs.open_cube(path)
        np.testing.assert_array_equal(cube.values, values)
        np.testing.assert_allclose(cube["wavelength"], GRID)
        square = group.create_group("other").create_array("square", data=values[:, :4])
        assert square.shape[0] == square.shape[1]
        np.testing.assert_array_equal(rs.open_cube(path).values, values)
        found = rs.open_cube(path, key="other/square", wavelengths_nm=GRID)
        np.testing.assert_array_equal(found.values, values[:, :4])


def test_cubes_in_several_groups_of_a_zarr_store_are_listed(tmp_path, values):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    for name in ("morning", "evening"):
        group.create_array(f"{name}/cube", data=values)
    with pytest.raises(FormatError, match=r"evening/cube .*--key"):
        rs.open_cube(tmp_path / "a.zarr", wavelengths_nm=GRID)
    assert rs.open_cube(tmp_path / "a.zarr", key="evening/cube", wavelengths_nm=GRID).shape


@SUFFIXES
def test_an_index_beside_wavelengths_is_none(tmp_path, values, suffix):
    coords = {"band": np.arange(101, 132), "wavelength": ("band", GRID)}
    path = dataset_file(
        tmp_path / f"a{suffix}", ("band", "y", "x"), values.transpose(2, 0, 1), coords
    )
    cube = rs.open_cube(path)
    np.testing.assert_array_equal(cube["wavelength"], GRID)
    np.testing.assert_array_equal(cube.values, values)


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.mat", "a.nc"])
def test_axes_that_the_user_names(tmp_path, values, name):
    turned = np.ascontiguousarray(values.transpose(2, 1, 0))
    if name == "a.npy":
        np.save(tmp_path / name, turned)
    elif name == "a.npz":
        np.savez(tmp_path / name, cube=turned)
    elif name == "a.mat":
        import scipy.io

        scipy.io.savemat(tmp_path / name, {"cube": turned})
    else:
        dataset_file(tmp_path / name, ("a", "b", "c"), turned, {})
    cube = rs.open_cube(tmp_path / name, wavelengths_nm=GRID, axes="band,x,y")
    np.testing.assert_array_equal(cube.values, values)
    assert inspect(tmp_path / name, axes="band, x, y")["shape"] == list(values.shape)
    with pytest.raises(ConfigError, match="axes are y, x and band"):
        rs.open_cube(tmp_path / name, wavelengths_nm=GRID, axes="band,y")


@pytest.mark.parametrize("shape", [(4, 31, 31), (31, 4, 31), (31, 31, 31), (31, 31, 4)])
def test_of_two_axes_as_long_as_the_wavelengths_none_is_guessed(tmp_path, rng, shape):
    values = rng.random(shape, np.float32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["cube"], file["wavelength"] = values, GRID
    with pytest.raises(FormatError, match="--axes"):
        rs.open_cube(tmp_path / "a.h5")
    axes = "band,y,x" if shape[0] == 31 else "y,x,band"
    order = (1, 2, 0) if shape[0] == 31 else (0, 1, 2)
    cube = rs.open_cube(tmp_path / "a.h5", axes=axes)
    np.testing.assert_array_equal(cube.values, values.transpose(order))
    np.testing.assert_array_equal(cube["wavelength"], GRID)


def test_a_band_axis_elsewhere_is_hinted_at(tmp_path, values):
    np.save(tmp_path / "a.npy", values.transpose(2, 0, 1))
    with pytest.raises(FormatError, match="say with --axes which axis holds the bands"):
        rs.open_cube(tmp_path / "a.npy", wavelengths_nm=GRID)


@pytest.mark.parametrize("fill", [0, 65535])
def test_fill_values_of_zarr_2(tmp_path, values, fill):
    codes = (values * 1000).astype(np.uint16)
    codes[0, 0] = fill
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    for name, data, dims in (
        ("cube", codes, ["y", "x", "wavelength"]),
        ("wavelength", GRID, ["wavelength"]),
    ):
        array = group.create_array(name, shape=data.shape, dtype=data.dtype, fill_value=fill)
        array[...] = data
        array.attrs["_ARRAY_DIMENSIONS"] = dims
    first = rs.open_cube(tmp_path / "a.zarr")[0, 0].values
    assert (first == 0).all() if fill == 0 else np.isnan(first).all()


def test_labels_that_contradict_the_file_are_refused(tmp_path, values):
    rs.save_cube(rs.make_cube(values, GRID + 20), tmp_path / "a.npz")
    with pytest.raises(FormatError, match="states its bands at 420 to 720 nm"):
        rs.open_cube(tmp_path / "a.npz", wavelengths_nm=GRID)
    rs.open_cube(tmp_path / "a.npz", wavelengths_nm=GRID + 20.04)  # rounded
    rs.save_cube(rs.make_cube(values, GRID), tmp_path / "bands", format="png")
    (tmp_path / "bands" / "cube.json").unlink()
    shifted = rs.open_cube(tmp_path / "bands", wavelengths_nm=GRID + 20)  # CAVE's are a custom
    assert shifted["wavelength"].values[0] == 420


def test_a_folder_of_pngs_called_by_wavelength(tmp_path, values):
    rs.save_cube(rs.make_cube(values, GRID), tmp_path / "a", format="png")
    (tmp_path / "a" / "cube.json").unlink()
    for number, nm in enumerate(GRID, 1):
        shifted = f"s_{nm + 50:.0f}nm.png" if number % 2 else f"s_{nm + 50:.0f}.png"
        (tmp_path / "a" / f"band_{number:02d}.png").rename(tmp_path / "a" / shifted)
    cube = rs.open_cube(tmp_path / "a")
    np.testing.assert_array_equal(cube["wavelength"], GRID + 50)
    np.testing.assert_allclose(cube.values, values, atol=1e-5)


def test_a_line_between_coarse_bands_is_in_image_and_truth():
    fine = np.arange(400.0, 701, 5)
    values = np.full((8, 8, fine.size), 0.2, np.float32)
    values[:, :, fine == 545] = 1.0
    cube = rs.make_cube(values, fine)
    truth = fit_bands(cube, GRID)
    assert resample(cube, GRID, "linear").values.max() < 0.21  # a sample at 550 does not see it
    assert truth.values.max() > 0.35
    track = rs.cameras.get_track("clean")
    exact, seen = track.project(cube).values, track.project(truth).values
    scale = exact.sum() / seen.sum()
    np.testing.assert_allclose(seen * scale, exact, rtol=0.02)
    same = fit_bands(truth, GRID)
    assert same is truth
    np.testing.assert_array_equal(fit_bands(truth, fine), resample(truth, fine, "linear"))


@SUFFIXES
@pytest.mark.parametrize(
    ("attrs", "scale"),
    [
        ({"valid_range": np.array([0, 1000], "i2")}, 1),
        ({"valid_max": np.int16(1000), "scale_factor": 0.001}, 0.001),
        ({"valid_min": 0.0, "valid_max": 1.0, "scale_factor": "0.001"}, 0.001),
        ({"missing_value": "32000"}, 1),
        ({"missing_value": np.array([32000, -7], "i2"), "valid_range": "none"}, 1),
    ],
)
def test_values_outside_their_limits_are_missing(tmp_path, values, suffix, attrs, scale):
    codes = (values * 1000).astype(np.int16)
    codes[0, 0] = 32000
    path = tmp_path / f"a{suffix}"
    coords = {"wavelength": GRID}
    dataset_file(path, ("y", "x", "wavelength"), codes, coords)
    if suffix == ".nc":
        with h5py.File(path, "r+") as file:
            file["r"].attrs.update(attrs)
    else:
        plain = {k: v.tolist() if hasattr(v, "tolist") else v for k, v in attrs.items()}
        zarr.open_group(path, mode="r+")["r"].attrs.update(plain)
    cube = rs.open_cube(path)
    assert np.isnan(cube.values[0, 0]).all()
    np.testing.assert_allclose(cube.values[1:], codes[1:] * scale, rtol=1e-6)
    assert not {"valid_range", "valid_min", "valid_max"} & set(cube.attrs)
    np.testing.assert_array_equal(cube[1:3, 2, 5:9].values, cube.values[1:3, 2, 5:9])


@pytest.mark.parametrize(
    ("attrs", "message"),
    [
        ({"scale_factor": np.nan}, "scale_factor nan, with which no value is left"),
        ({"scale_factor": 0.0}, "scale_factor 0, with which no value is left"),
        ({"add_offset": np.inf}, "add_offset inf"),
        ({"scale_factor": np.full(31, 0.1)}, "31 values of scale_factor, which is one number"),
    ],
)
def test_scales_that_leave_nothing_are_refused(tmp_path, values, attrs, message):
    path = dataset_file(tmp_path / "a.nc", ("y", "x", "wavelength"), values, {"wavelength": GRID})
    with h5py.File(path, "r+") as file:
        file["r"].attrs.update(attrs)
        file["other"] = np.arange(3.0)
    with pytest.raises(FormatError, match=message):
        rs.open_cube(path)
    with h5py.File(path, "r+") as file:  # of what is not read nothing is asked
        for name in attrs:
            del file["r"].attrs[name]
        file["other"].attrs.update(attrs)
    assert rs.open_cube(path).shape == values.shape


@pytest.mark.parametrize("block", [512, 1024, 4096])
@pytest.mark.parametrize("options", [{}, {"chunks": (2, 5, 8), "compression": "gzip"}])
@pytest.mark.parametrize("suffix", [".h5", ".nc"])
def test_a_block_of_the_user_s_own_before_hdf5(tmp_path, values, block, options, suffix):
    path = tmp_path / f"a{suffix}"
    with h5py.File(path, "w", userblock_size=block) as file:
        file.create_dataset("cube", data=values, **options)
        file["wavelength"] = GRID
    np.testing.assert_array_equal(rs.open_cube(path).values, values)


@pytest.mark.parametrize("suffix", [".npz", ".mat"])
@pytest.mark.parametrize(
    ("name", "factor"), [("wavelengths_um", 1e-3), ("Wavelength", 1), ("Wavelength_nm", 1)]
)
def test_names_of_lists_of_wavelengths(tmp_path, values, suffix, name, factor):
    path = tmp_path / f"a{suffix}"
    parts = {"cube": values, name: GRID * factor}
    if suffix == ".npz":
        np.savez(path, **parts)
    else:
        import scipy.io

        scipy.io.savemat(path, parts)
    cube = rs.open_cube(path)
    np.testing.assert_allclose(cube["wavelength"], GRID)
    np.testing.assert_array_equal(cube.values, values)
