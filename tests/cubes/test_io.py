"""Opening and saving: wavelengths are always known, content is what its name says."""

import pickle

import numpy as np
import pytest

import respectra as rs
from respectra.cubes import parse_wavelengths
from respectra.errors import ConfigError, DataError, FormatError, OutputError


@pytest.fixture
def cube(rng):
    return rs.make_cube(rng.random((3, 5, 4), np.float32), [400, 500, 600, 700], source="test")


def test_every_measured_scene_opens(data_dir):
    scenes = sorted((data_dir / "scenes").glob("*.npz"))
    assert scenes
    for scene in scenes:
        cube = rs.open_cube(scene)
        raw = np.load(scene)
        codes = raw["cube_u16"] if "cube_u16" in raw else raw["cube_u8"]
        np.testing.assert_array_equal(cube.values, codes * raw["scale"])
        np.testing.assert_array_equal(cube["wavelength"], np.arange(400, 701, 10))
        assert cube.attrs["note"] == str(raw["note"])
        assert cube.attrs["source"] == scene.name


# --- wavelengths ---------------------------------------------------------------------------------


def test_parse_wavelengths():
    np.testing.assert_array_equal(parse_wavelengths("400:700:10"), np.arange(400, 701, 10))
    np.testing.assert_array_equal(parse_wavelengths("420:400:-10"), [420, 410, 400])
    np.testing.assert_array_equal(parse_wavelengths("400, 410.5,420"), [400, 410.5, 420])


@pytest.mark.parametrize(
    "text", ["", "400:700", "400:705:10", "400:700:0", "a", "0:1e30:1", "1:2:3:4"]
)
def test_wavelengths_that_cannot_be_read(text):
    with pytest.raises(ConfigError, match=r"first:last:step in nm.*400:700:10"):
        parse_wavelengths(text)


def test_a_file_without_wavelengths_asks_for_them(tmp_path, rng):
    np.save(tmp_path / "a.npy", rng.random((2, 2, 31)))
    with pytest.raises(FormatError, match=r"31 bands are; pass --wavelengths 400:700:10"):
        rs.open_cube(tmp_path / "a.npy")
    cube = rs.open_cube(tmp_path / "a.npy", wavelengths_nm=np.arange(400, 701, 10))
    assert cube.sizes["wavelength"] == 31


def test_given_wavelengths_must_fit_the_bands(tmp_path, cube):
    rs.save_cube(cube, tmp_path / "a.npz")
    with pytest.raises(FormatError, match=r"has 4 bands .* and 3 wavelengths are given"):
        rs.open_cube(tmp_path / "a.npz", wavelengths_nm=[401, 402, 403])


def test_bands_come_back_in_ascending_order(tmp_path, rng):
    values = rng.random((2, 3, 3), np.float32)
    np.savez(tmp_path / "a.npz", cube=values, wavelengths=[700, 500, 600])
    cube = rs.open_cube(tmp_path / "a.npz")
    np.testing.assert_array_equal(cube["wavelength"], [500, 600, 700])
    np.testing.assert_array_equal(cube.values, values[:, :, [1, 2, 0]])


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ([400, 500, 500, 600], "ascend without repetition"),
        ([-400, 500, 550, 600], "finite and positive"),
        ([0, 500, 550, 600], "finite and positive"),
        ([np.nan, 500, 550, 600], "finite and positive"),
    ],
)
def test_wavelengths_that_cannot_be(tmp_path, cube, grid, message):
    np.savez(tmp_path / "a.npz", cube=cube.values, wavelengths=grid)
    with pytest.raises(FormatError, match=rf"a\.npz: .*{message}"):
        rs.open_cube(tmp_path / "a.npz")


# --- content against name ------------------------------------------------------------------------


def test_a_pickle_posing_as_npy_is_never_loaded(tmp_path):
    (tmp_path / "a.npy").write_bytes(pickle.dumps([1, 2, 3]))
    with pytest.raises(FormatError, match=r"named like a NPY.*Python pickle.*never loaded"):
        rs.open_cube(tmp_path / "a.npy")


def test_a_renamed_file_is_named_for_what_it_is(tmp_path, cube):
    rs.save_cube(cube, tmp_path / "a.npz")
    (tmp_path / "a.npz").rename(tmp_path / "a.mat")
    with pytest.raises(FormatError, match=r"named like a MATLAB file.*NPZ archive; rename it to"):
        rs.open_cube(tmp_path / "a.mat")


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"\xff\xd8\xff\xe0", "a JPEG image"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"CDF\x01", "nccopy"),
    ],
)
def test_files_mistaken_for_cubes(tmp_path, head, what):
    (tmp_path / "a.nc").write_bytes(head + bytes(100))
    with pytest.raises(FormatError, match=what):
        rs.open_cube(tmp_path / "a.nc")


def test_missing_empty_and_unknown_files(tmp_path):
    with pytest.raises(FormatError, match="there is no file"):
        rs.open_cube(tmp_path / "none.mat")
    (tmp_path / "empty.mat").touch()
    with pytest.raises(FormatError, match="is empty"):
        rs.open_cube(tmp_path / "empty.mat")
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(FormatError, match=r"does not end like a cube .*\.mat.*a JPEG image"):
        rs.open_cube(tmp_path / "a.jpg")
    with pytest.raises(FormatError, match="folder without a cube"):
        rs.open_cube(tmp_path)


@pytest.mark.parametrize("suffix", [".mat", ".nc", ".npy", ".npz", ".tif", ".hdr"])
def test_folders_where_files_are_expected(tmp_path, suffix):
    (tmp_path / f"a{suffix}").mkdir()
    with pytest.raises(FormatError, match="folder without a cube"):
        rs.open_cube(tmp_path / f"a{suffix}")


def test_a_file_that_may_not_be_read(tmp_path, cube, monkeypatch):
    rs.save_cube(cube, tmp_path / "a.npz")

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(FormatError, match="permission denied"):
        rs.open_cube(tmp_path / "a.npz")


# --- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [complex, "U3", bool, "M8[s]"])
def test_values_that_are_not_real_numbers(tmp_path, dtype):
    np.save(tmp_path / "a.npy", np.zeros((2, 2, 2), dtype))
    with pytest.raises(DataError, match="real numbers"):
        rs.open_cube(tmp_path / "a.npy", wavelengths_nm=[401, 402]).load()


def test_values_beyond_float32_are_refused_instead_of_becoming_infinite(tmp_path):
    np.save(tmp_path / "a.npy", np.full((2, 2, 2), 1e300))
    with pytest.raises(DataError, match="32-bit"):
        rs.open_cube(tmp_path / "a.npy", wavelengths_nm=[401, 402]).load()


def test_a_cube_larger_than_the_free_memory_is_refused_before_it_is_read(
    tmp_path, monkeypatch, cube
):
    rs.save_cube(cube, tmp_path / "a.npy")
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": 10}))
    with pytest.raises(DataError, match="GiB of memory"):
        rs.open_cube(tmp_path / "a.npy", wavelengths_nm=[401, 402, 403, 404]).load()


def test_quantity_is_that_of_the_file_unless_told(tmp_path, cube):
    cube.attrs["quantity"] = "reflectance"
    rs.save_cube(cube, tmp_path / "a.npz")
    assert rs.open_cube(tmp_path / "a.npz").attrs["quantity"] == "reflectance"
    assert rs.open_cube(tmp_path / "a.npz", quantity="radiance").attrs["quantity"] == "radiance"
    with pytest.raises(DataError, match=r"'radiance' or 'reflectance'; got 'irradiance'"):
        rs.open_cube(tmp_path / "a.npz", quantity="irradiance")


@pytest.mark.parametrize("kind", ["irradiance", None, 5, ["radiance"], np.arange(2)])
def test_a_quantity_that_could_not_be_read_again_is_not_written(tmp_path, cube, kind):
    cube.attrs["quantity"] = kind
    with pytest.raises(DataError, match="quantity is 'radiance' or 'reflectance'"):
        rs.save_cube(cube, tmp_path / "a.npz")
    assert not (tmp_path / "a.npz").exists()


# --- saving --------------------------------------------------------------------------------------


def test_an_existing_file_is_kept_unless_told(tmp_path, cube):
    rs.save_cube(cube, tmp_path / "a.npz")
    with pytest.raises(OutputError, match=r"exists already.*--overwrite"):
        rs.save_cube(cube * 2, tmp_path / "a.npz")
    rs.save_cube(cube * 2, tmp_path / "a.npz", overwrite=True)
    np.testing.assert_array_equal(rs.open_cube(tmp_path / "a.npz"), cube * 2)


@pytest.mark.parametrize("name", ["a.mat", "a.bil", "a.nc", "a.zarr", "a.npz", "a.npy", "a.tif"])
def test_a_failed_save_leaves_the_old_cube_and_nothing_else(tmp_path, cube, name, monkeypatch):
    rs.save_cube(cube, tmp_path / name)
    before = sorted(tmp_path.rglob("*"))
    bad = cube.assign_attrs(handle=object())
    if name == "a.npy":
        monkeypatch.setattr("numpy.save", lambda *a, **k: 1 / 0)
        with pytest.raises(OutputError, match="division"):
            rs.save_cube(bad, tmp_path / name, overwrite=True)
    else:
        with pytest.raises(DataError, match=r"attribute of the cube cannot be saved.*object"):
            rs.save_cube(bad, tmp_path / name, overwrite=True)
    assert sorted(tmp_path.rglob("*")) == before
    np.testing.assert_array_equal(
        rs.open_cube(tmp_path / name, wavelengths_nm=cube["wavelength"]), cube
    )


def test_names_that_say_no_format(tmp_path, cube):
    with pytest.raises(ConfigError, match=r"does not end like a cube \(.*\.mat.*format='png'"):
        rs.save_cube(cube, tmp_path / "a.jpg")
    with pytest.raises(ConfigError, match=r"unknown cube format 'matlab5'; did you mean"):
        rs.save_cube(cube, tmp_path / "a.mat", format="matlab5")
    with pytest.raises(ConfigError, match=r"a MATLAB file has \.mat; got a\.nc"):
        rs.save_cube(cube, tmp_path / "a.nc", format="matlab")
    with pytest.raises(ConfigError, match="no suffix of another format"):
        rs.save_cube(cube, tmp_path / "a.nc", format="png")


def test_only_cubes_are_saved(tmp_path):
    with pytest.raises(DataError, match=r"a cube is an xarray\.DataArray"):
        rs.save_cube(np.zeros((2, 2, 2)), tmp_path / "a.npz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.mat", "a.bil", "a.nc", "a.npz", "a.npy", "a.tif"])
def test_a_full_disk_is_refused_before_anything_is_written(tmp_path, cube, name, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(OutputError, match=r"needs 0\.0 MiB and 0\.0 MiB is free in"):
        rs.save_cube(cube, tmp_path / name)
    assert list(tmp_path.iterdir()) == []
