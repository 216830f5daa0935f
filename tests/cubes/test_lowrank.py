"""A low-rank cube is a cube that is computed where one looks."""

import numpy as np
import pytest
import xarray as xr

import respectra as rs
from respectra.cubes import LowRankCube, check, crop, inspect, open_low_rank, preview, resample
from respectra.errors import DataError, FormatError
from respectra.evaluation import metrics

GRID = np.arange(400.0, 701.0, 50.0)


@pytest.fixture
def cube(rng):
    return LowRankCube(
        rng.random((12, 9, 3), dtype=np.float32),
        rng.random((3, GRID.size)),
        GRID,
        mean=rng.random(GRID.size),
        attrs={"quantity": "reflectance", "source": "a test", "answer": 42},
    )


@pytest.fixture
def values(cube):
    """The cube by its definition, in double precision."""
    product = np.einsum("yxk,kb->yxb", cube.coefficients.astype(float), cube.basis.astype(float))
    return product + cube.mean


def test_expanded_it_is_coefficients_times_basis_plus_mean(cube, values):
    ordinary = cube.to_cube()
    np.testing.assert_allclose(ordinary, values, rtol=1e-5)
    assert ordinary.dtype == np.float32
    assert ordinary.attrs["answer"] == 42
    np.testing.assert_array_equal(ordinary["wavelength"], GRID)


def test_parts_are_parts_of_the_whole(cube, values):
    np.testing.assert_allclose(cube.band(512.0), values[:, :, 2], rtol=1e-5)
    np.testing.assert_allclose(cube.pixel(3, 4), values[3, 4], rtol=1e-5)
    region = cube.crop(slice(2, 7), slice(1, 4))
    assert region.coefficients.base is not None  # a view
    np.testing.assert_allclose(region, values[2:7, 1:4], rtol=1e-5)


@pytest.mark.parametrize(
    "key",
    [
        (3, 4, 5),
        (slice(None), 2, slice(1, 4)),
        (slice(None, None, -2), slice(5, 1, -1), -1),
        ([0, 5, 2], slice(None), [1, 1, 0]),
        (np.arange(12) % 2 == 0, 3),
    ],
)
def test_the_lazy_cube_indexes_as_any_array(cube, key):
    whole = cube.to_cube()
    np.testing.assert_allclose(cube.lazy()[key], whole[key], rtol=2e-6)


def test_a_band_costs_a_band(cube, monkeypatch):
    asked = []
    original = LowRankCube._expand
    monkeypatch.setattr(
        LowRankCube,
        "_expand",
        lambda self, key: asked.append(original(self, key).size) or original(self, key),
    )
    lazy = cube.lazy()
    assert not asked
    _ = lazy.sel(wavelength=500.0).isel(y=slice(2, 4)).values
    assert asked == [2 * 9]


def test_other_wavelengths_come_from_the_basis(cube):
    finer = np.arange(400.0, 700.0, 7.0)
    expected = resample(cube.to_cube(), finer)
    result = cube.resample(finer)
    assert result.coefficients is cube.coefficients
    np.testing.assert_allclose(result.to_cube(), expected, rtol=1e-5)
    coarser = [450.0, 550.0, 650.0]
    averaged = resample(cube.to_cube(), coarser, "band-average")
    np.testing.assert_allclose(cube.resample(coarser, "band-average"), averaged, rtol=1e-5)


def test_the_clip_of_the_method_holds(rng):
    coefficients = rng.normal(size=(5, 4, 2)).astype(np.float32)
    cube = LowRankCube(coefficients, rng.normal(size=(2, 7)), GRID, clip=(0.0, 0.5))
    free = np.einsum("yxk,kb->yxb", coefficients, cube.basis)
    np.testing.assert_allclose(cube, np.clip(free, 0, 0.5), atol=1e-6)
    np.testing.assert_allclose(cube.band(400.0), np.clip(free[..., 0], 0, 0.5), atol=1e-6)


def test_everything_that_takes_a_cube_takes_it(cube):
    whole = cube.to_cube()
    np.testing.assert_array_equal(preview(cube), preview(whole))
    assert check(cube) == check(whole)
    np.testing.assert_allclose(crop(cube, (1, 3), (2, 5)), whole[1:3, 2:5], rtol=2e-6)
    assert metrics.mrae(whole * 1.1, cube.lazy()) == pytest.approx(0.1 / 1.1, rel=1e-4)
    assert metrics.mrae(whole * 1.1, cube) == pytest.approx(0.1 / 1.1, rel=1e-4)
    dim = LowRankCube(cube.coefficients * np.float32(0.1), cube.basis, GRID, mean=cube.mean * 0.1)
    track = rs.get_track("clean")
    np.testing.assert_array_equal(track.render(dim), track.render(dim.to_cube()))


@pytest.mark.parametrize("name", ["cube.zarr", "cube.nc"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_zarr_and_netcdf_keep_the_factors(cube, tmp_path, name, dtype):
    clipped = LowRankCube(
        cube.coefficients.astype(dtype),
        cube.basis,
        GRID,
        mean=cube.mean,
        clip=(0.0, None),
        attrs=cube.attrs,
    )
    rs.save_cube(clipped, tmp_path / name)
    again = open_low_rank(tmp_path / name)
    np.testing.assert_array_equal(again.coefficients, clipped.coefficients)
    np.testing.assert_array_equal(again.basis, clipped.basis)
    np.testing.assert_array_equal(again.mean, clipped.mean)
    assert again.clip == (0.0, None)
    assert again.attrs == clipped.attrs
    xr.testing.assert_identical(rs.open_cube(tmp_path / name), clipped.to_cube())
    facts = inspect(tmp_path / name)
    assert facts["shape"] == [12, 9, 7]
    assert facts["details"]["low_rank"] == 3


@pytest.mark.parametrize("name", ["cube.zarr", "cube.nc"])
def test_plain_xarray_sees_factors_with_names(cube, tmp_path, name):
    rs.save_cube(cube, tmp_path / name)
    engine = "zarr" if name.endswith(".zarr") else "h5netcdf"
    options = {"consolidated": False} if engine == "zarr" else {}
    with xr.open_dataset(tmp_path / name, engine=engine, **options) as data:
        product = xr.dot(data.coefficients, data.basis) + data.mean_spectrum
        assert data.coefficients.dims == ("y", "x", "component")
        np.testing.assert_allclose(product, cube.to_cube(), rtol=1e-5)


@pytest.mark.parametrize("name", ["cube.mat", "cube.hdr", "cube.npz", "cube.tif"])
def test_other_formats_keep_its_values(cube, tmp_path, name):
    rs.save_cube(cube, tmp_path / name)
    np.testing.assert_array_equal(rs.open_cube(tmp_path / name), cube.to_cube())
    with pytest.raises(FormatError, match="by its values, not low-rank"):
        open_low_rank(tmp_path / name)


def test_much_is_made_of_little(tmp_path):
    """A file whose cube is far larger than its factors opens."""
    cube = LowRankCube(
        np.ones((64, 64, 1), np.float32), np.ones((1, 2000)), np.arange(2000) + 400.0
    )
    rs.save_cube(cube, tmp_path / "cube.nc")
    assert rs.open_cube(tmp_path / "cube.nc").shape == (64, 64, 2000)


def test_what_fits_not_is_refused(cube):
    with pytest.raises(DataError, match=r"need a basis of shape \(3, 7\)"):
        LowRankCube(cube.coefficients, np.ones((2, 7)), GRID)
    with pytest.raises(DataError, match="float32 or float16"):
        LowRankCube(np.ones((2, 2, 1)), np.ones((1, 7)), GRID)
    with pytest.raises(DataError, match=r"shape \(y, x, k\)"):
        cube.crop(slice(3, 3), slice(None))
    with pytest.raises(DataError, match="finite"):
        LowRankCube(cube.coefficients, np.full((3, 7), np.nan), GRID)
    with pytest.raises(DataError, match="lies outside"):
        cube.pixel(12, 0)


def test_a_file_with_a_wrong_basis_is_refused(cube, tmp_path):
    rs.save_cube(cube, tmp_path / "good.zarr")
    data = xr.open_zarr(tmp_path / "good.zarr", consolidated=False).load()
    data["coefficients"] = data.coefficients.astype(np.int32)
    data.to_zarr(tmp_path / "bad.zarr", consolidated=False)
    with pytest.raises(FormatError, match="no low-rank cube"):
        rs.open_cube(tmp_path / "bad.zarr")
