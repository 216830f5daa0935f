"""MATLAB files against other readers and writers."""

import warnings

import h5py
import numpy as np
import pytest
import scipy.io

import respectra as rs
from respectra.errors import DataError, FormatError, RespectraWarning

GRID = np.array([400.0, 500.0, 600.0, 700.0])


@pytest.fixture
def values(rng):
    return rng.random((3, 5, 4), np.float32)  # every side different, so that no swap goes unseen


def test_version_73_as_another_reader_sees_it(tmp_path, values):
    cube = rs.make_cube(values, GRID, norm_factor=2.5)
    rs.save_cube(cube, tmp_path / "a.mat")
    head = (tmp_path / "a.mat").read_bytes()[:520]
    assert head.startswith(b"MATLAB 7.3 MAT-file")
    assert head[124:128] == b"\x00\x02IM"
    assert head[512:520] == b"\x89HDF\r\n\x1a\n"
    assert scipy.io.matlab.matfile_version(tmp_path / "a.mat") == (2, 0)
    with h5py.File(tmp_path / "a.mat") as file:
        np.testing.assert_array_equal(np.transpose(file["cube"]), values)
        assert file["cube"].attrs["MATLAB_class"] == b"single"
        assert file["bands"].attrs["MATLAB_class"] == b"double"
        assert file["bands"].shape == (4, 1)
        assert file["norm_factor"][()].item() == 2.5
        text = "".join(map(chr, file["attributes"][()].ravel()))
        assert '"norm_factor": 2.5' in text


@pytest.mark.parametrize(("unit", "factor"), [("Angstrom", 10), ("mm", 1e-6), ("um", 1e-3)])
def test_a_unit_that_an_attribute_states(tmp_path, values, unit, factor):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["cube"] = np.transpose(values)
        file["cube"].attrs["MATLAB_class"] = np.bytes_("single")
        file["wavelength"] = GRID * factor
        file["wavelength"].attrs["units"] = unit
    cube = rs.open_cube(tmp_path / "a.mat")
    np.testing.assert_allclose(cube["wavelength"], GRID)
    np.testing.assert_array_equal(cube.values, values)
    with h5py.File(tmp_path / "r.mat", "w") as file:
        file["response"] = np.arange(12.0).reshape(3, 4)
        file["wavelengths"] = GRID * factor
        file["wavelengths"].attrs["units"] = unit
    np.testing.assert_allclose(rs.cameras.open_response(tmp_path / "r.mat")["wavelength"], GRID)


def test_version_5_as_scipy_sees_it(tmp_path, values):
    rs.save_cube(rs.make_cube(values, GRID), tmp_path / "a.mat", format="matlab-v5")
    read = scipy.io.loadmat(tmp_path / "a.mat")
    np.testing.assert_array_equal(read["cube"], values)
    np.testing.assert_array_equal(read["bands"].ravel(), GRID)


@pytest.mark.parametrize("key", ["cube", "rad", "ref"])
def test_version_5_of_others(tmp_path, values, key):
    extra = {"bands": GRID.astype(np.uint16), "norm_factor": 3.0, "mask": np.ones((3, 5))}
    scipy.io.savemat(tmp_path / "a.mat", {key: values, **extra}, do_compression=True)
    cube = rs.open_cube(tmp_path / "a.mat")
    np.testing.assert_array_equal(cube.values, values)
    np.testing.assert_array_equal(cube["wavelength"], GRID)
    assert cube.attrs["norm_factor"] == 3.0


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("chunked", [True, False])
def test_version_73_of_others(tmp_path, values, marked, chunked):
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        storage = {"chunks": (1, 5, 3), "compression": "gzip"} if chunked else {}
        cube = file.create_dataset("rad", data=values.astype(np.float64).T, **storage)
        if marked:
            cube.attrs["MATLAB_class"] = np.bytes_("double")
        file["bands"] = GRID.reshape(-1, 1)
    cube = rs.open_cube(tmp_path / "a.mat")
    np.testing.assert_array_equal(cube.values, values)
    assert cube.values.flags.c_contiguous


@pytest.mark.parametrize(
    ("order", "axes"), [((0, 1, 2), "y,x,band"), ((2, 1, 0), "band,x,y"), ((2, 0, 1), "band,y,x")]
)
def test_the_axes_of_a_python_writer_are_told_or_said(tmp_path, values, order, axes):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["scene"] = values.transpose(order)
        file["bands"] = GRID
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(rs.open_cube(tmp_path / "a.mat", axes=axes).values, values)
    with pytest.warns(RespectraWarning, match=r"read as (y,x,band|band,x,y).*--axes"):
        cube = rs.open_cube(tmp_path / "a.mat")
    assert (cube.shape == values.shape) == (axes != "band,y,x")


@pytest.mark.parametrize("shape", [(4, 5, 4), (3, 4, 5), (7, 7, 7)])
def test_axes_that_nothing_tells_are_asked_for(tmp_path, shape):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["cube"] = np.zeros(shape)
        file["bands"] = GRID
    with pytest.raises(FormatError, match=r"--axes.*band,x,y in MATLAB's order"):
        rs.open_cube(tmp_path / "a.mat")


def test_the_files_of_the_challenge_are_known(tmp_path, values):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["cube"] = values.T
        file["bands"] = GRID[:, None]
        file["norm_factor"] = np.full((1, 1), 2.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cube = rs.open_cube(tmp_path / "a.mat")
    np.testing.assert_array_equal(cube.values, values)
    assert cube.attrs["norm_factor"] == 2.5


def test_band_numbers_are_not_wavelengths(tmp_path, values):
    scipy.io.savemat(tmp_path / "a.mat", {"cube": values, "bands": [1, 2, 3, 4]})
    with pytest.raises(FormatError, match="does not say at which wavelengths"):
        rs.open_cube(tmp_path / "a.mat")


def test_choosing_a_variable(tmp_path, values):
    scipy.io.savemat(tmp_path / "a.mat", {"a": values, "b": 2 * values, "bands": GRID})
    with pytest.raises(FormatError, match=r"several arrays.*a \(3, 5, 4\).*--key"):
        rs.open_cube(tmp_path / "a.mat")
    np.testing.assert_array_equal(rs.open_cube(tmp_path / "a.mat", key="b").values, 2 * values)
    with pytest.raises(FormatError, match="no variable 'c'; it holds a"):
        rs.open_cube(tmp_path / "a.mat", key="c")


def test_what_is_not_an_array_of_real_numbers(tmp_path, values):
    scipy.io.savemat(tmp_path / "a.mat", {"cube": {"name": "a struct"}, "bands": GRID})
    with pytest.raises(FormatError, match="is not an array of numbers"):
        rs.open_cube(tmp_path / "a.mat")
    with h5py.File(tmp_path / "b.mat", "w") as file:
        file["cube"] = values.astype(np.complex64)
    with pytest.raises(DataError, match="real numbers"):
        rs.open_cube(tmp_path / "b.mat", axes="y,x,band")


@pytest.mark.parametrize("chunks", [None, (1, 1000, 1000)])
def test_a_giant_that_was_never_written_is_refused_before_allocation(tmp_path, chunks):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file.create_dataset("cube", (31, 30_000, 30_000), "f4", chunks=chunks)
    grid = np.arange(400, 701, 10)
    cube = rs.open_cube(tmp_path / "a.mat", wavelengths_nm=grid, axes="band,x,y")
    with pytest.raises(FormatError, match=r"promises 30000 x 30000 x 31 .* would grow"):
        cube.load()


def test_values_kept_in_other_files_are_refused(tmp_path):
    (tmp_path / "secret.bin").write_bytes(bytes(96))
    with h5py.File(tmp_path / "a.mat", "w") as file:
        secret = str(tmp_path / "secret.bin")
        file.create_dataset("cube", (2, 3, 4), "f4", external=[(secret, 0, 96)])
    with pytest.raises(FormatError, match="in other files"):
        rs.open_cube(tmp_path / "a.mat")


def test_links_to_other_files_are_not_followed(tmp_path, values):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["cube"] = values
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["cube"] = h5py.ExternalLink(tmp_path / "secret.h5", "/cube")
    with pytest.raises(FormatError, match="holds no array with three dimensions"):
        rs.open_cube(tmp_path / "a.mat")


@pytest.mark.parametrize("at", [0xB8, 0x2D8])  # the tags of the values of `cube` and of `bands`
@pytest.mark.parametrize("kind", [0, 8, 10, 11, 14, 20, 23, 0xFFFF])
def test_type_numbers_that_end_the_process_in_scipy(tmp_path, rng, at, kind):
    cube = rs.make_cube(rng.random((6, 5, 4), np.float32), GRID)
    rs.save_cube(cube, tmp_path / "a.mat", format="matlab-v5")
    data = bytearray((tmp_path / "a.mat").read_bytes())
    assert data[at] in (7, 9)
    data[at : at + 4] = kind.to_bytes(4, "little")
    (tmp_path / "a.mat").write_bytes(data)
    with pytest.raises(FormatError, match=f"have type {kind}|small element|promises"):
        rs.open_cube(tmp_path / "a.mat")


def test_a_complex_wavelength_vector_is_not_read(tmp_path, values):
    scipy.io.savemat(tmp_path / "a.mat", {"cube": values, "bands": GRID + 1j})
    with pytest.raises(FormatError, match="does not say at which wavelengths"):
        rs.open_cube(tmp_path / "a.mat")
