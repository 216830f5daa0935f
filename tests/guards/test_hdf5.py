"""HDF5: values of every layout, nothing of other files, nothing of this process's memory."""

import itertools
import zlib

import h5py
import numpy as np
import pytest

import respectra as rs
from respectra.errors import FormatError, RespectraError
from respectra.guards.hdf5 import is_hdf5, open_hdf5
from respectra.guards.processes import Reader

GRID = [400.0, 500.0, 600.0, 700.0]
LAYOUTS = {
    "contiguous": {},
    "chunks": {"chunks": (3, 4, 2)},
    "gzip": {"chunks": (3, 4, 2), "compression": "gzip"},
    "all": {"chunks": (3, 4, 2), "compression": "gzip", "shuffle": True, "fletcher32": True},
    "lzf": {"chunks": (3, 4, 2), "compression": "lzf", "shuffle": True},
    "grows": {"chunks": (2, 3, 1), "maxshape": (None, None, 5), "compression": "gzip"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("version", ["earliest", "latest"])
def test_values_are_those_of_the_library(tmp_path, rng, layout, version):
    for block, dtype in itertools.product((0, 512), ("f4", ">f8", "u2", "?")):
        values = (rng.random((7, 9, 5)) * 100).astype(dtype)
        with h5py.File(tmp_path / "a.h5", "w", userblock_size=block, libver=version) as file:
            file.create_dataset("group/cube", data=values, **LAYOUTS[layout])
            file["number"], file["texts"] = 3.5, ["a", "b"]
            file["link"] = h5py.SoftLink("/number")
        found = open_hdf5(tmp_path / "a.h5")
        array = found.arrays["group/cube"]
        np.testing.assert_array_equal(array.read(), values)
        part = (slice(2, 6), slice(1, None, 3), -1)
        np.testing.assert_array_equal(array.read(part), values[part])
        assert found.arrays["number"].read() == 3.5
        assert found.arrays["texts"].texts == ("a", "b")
        assert "not followed" in found.skipped["link"]


def test_missing_chunks_are_the_fill_value(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("a", (4, 4), "f4", chunks=(2, 2), fillvalue=7)
        data[:2, :2] = 1
        file.create_dataset("b", (3,), "i2", fillvalue=-5)
    found = open_hdf5(tmp_path / "a.h5").arrays
    expected = np.full((4, 4), 7.0)
    expected[:2, :2] = 1
    np.testing.assert_array_equal(found["a"].read(), expected)
    np.testing.assert_array_equal(found["b"].read(), [-5, -5, -5])


# --- values of other files -----------------------------------------------------------------------


def outside(tmp_path, file, name, shape, dtype="u1"):
    secret = tmp_path / "secret.txt"
    secret.write_text("s3cret " * 500)
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return file.create_dataset(name, shape, dtype, external=[(str(secret), 0, count)])


def fill(file, tmp_path, place, name):
    """A file of which one object leads outside."""
    values = np.random.default_rng(0).random((5, 3, 4)).astype("f4")
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = values if name in ("cube", "filters") else GRID
        other["attributes"] = np.frombuffer(b'{"a": 1}', "u1").astype("u2")
    target = tmp_path / "other.h5"
    parts = {"cube": values, "wavelength": GRID, "bands": GRID}
    for part, content in parts.items():
        if part == name:
            continue
        file[part] = content
    if place == "external storage":
        outside(tmp_path, file, name, (5, 3, 4) if name == "cube" else (4,))
    elif place == "virtual layout":
        shape = (5, 3, 4) if name == "cube" else (4,)
        layout = h5py.VirtualLayout(shape, "f4")
        layout[...] = h5py.VirtualSource(target, "x", shape)
        file.create_virtual_dataset(name, layout)
    elif place == "external link":
        file[name] = h5py.ExternalLink(target, "/x")
    else:
        file[name] = h5py.SoftLink("/elsewhere")


@pytest.mark.parametrize("suffix", [".nc", ".mat", ".h5"])
@pytest.mark.parametrize(
    "place", ["external storage", "virtual layout", "external link", "soft link"]
)
def test_cubes_of_other_files_are_refused(tmp_path, place, suffix):
    with h5py.File(tmp_path / f"a{suffix}", "w") as file:
        fill(file, tmp_path, place, "cube")
    with pytest.raises(FormatError, match=r"other files|no array with three dimensions"):
        rs.open_cube(tmp_path / f"a{suffix}", wavelengths_nm=GRID).load()


@pytest.mark.parametrize(("suffix", "name"), [(".nc", "wavelength"), (".mat", "bands")])
@pytest.mark.parametrize("place", ["external storage", "virtual layout"])
def test_wavelengths_of_other_files_are_refused(tmp_path, place, suffix, name):
    with h5py.File(tmp_path / f"a{suffix}", "w") as file:
        fill(file, tmp_path, place, name)
        other = "bands" if name == "wavelength" else "wavelength"
        del file[other]
    with pytest.raises(FormatError, match="other files"):
        rs.open_cube(tmp_path / f"a{suffix}").load()


@pytest.mark.parametrize("name", ["attributes", "norm_factor"])
def test_attributes_of_other_files_are_not_read(tmp_path, name):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["cube"], file["bands"] = np.ones((4, 3, 2)), GRID
        outside(tmp_path, file, name, (8,) if name == "attributes" else (1,), "u2")
    try:
        attrs = rs.open_cube(tmp_path / "a.mat").attrs
    except RespectraError:
        return
    assert "s3" not in str(attrs)
    assert "norm_factor" not in attrs


def test_responses_of_other_files_are_refused(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        outside(tmp_path, file, "filters", (3, 4))
        file["bands"] = GRID
    with pytest.raises(FormatError, match="other files"):
        rs.cameras.open_response(tmp_path / "a.mat")


def test_linked_attributes_stay_unread(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.ones(4)
    with h5py.File(tmp_path / "a.nc", "w") as file:
        file["cube"], file["wavelength"] = np.ones((2, 3, 4)), GRID
        file["cube"].attrs["reference"] = file["cube"].ref
        file["group"] = h5py.ExternalLink("other.h5", "/")
    assert rs.open_cube(tmp_path / "a.nc").shape == (2, 3, 4)


# --- memory of this process ----------------------------------------------------------------------


def short_chunk(path, stored, shape=(16, 16, 4), **options):
    with h5py.File(path, "w") as file:
        data = file.create_dataset("cube", shape, "f4", chunks=shape, **options)
        data.id.write_direct_chunk((0, 0, 0), stored)
        file["wavelength"] = GRID


@pytest.mark.parametrize(
    ("stored", "options"),
    [
        (zlib.compress(b"\x01" * 16), {"compression": "gzip"}),
        (zlib.compress(b"\x01" * 5000), {"compression": "gzip"}),
        (zlib.compress(b"\x01" * 4096)[:-8], {"compression": "gzip"}),
        (b"\x01" * 16, {}),
        (b"\x01" * 16, {"shuffle": True}),
        (b"\x01" * 16, {"fletcher32": True}),
        (b"\x03\x01\x01\x01\x01", {"compression": "lzf"}),
    ],
)
def test_a_chunk_that_is_not_as_long_as_it_promises(tmp_path, stored, options):
    short_chunk(tmp_path / "a.nc", stored, **options)
    with pytest.raises(FormatError, match="chunk"):
        rs.open_cube(tmp_path / "a.nc").load()


def test_a_huge_declared_chunk_is_refused_before_it_is_unpacked(tmp_path):
    short_chunk(tmp_path / "a.nc", zlib.compress(bytes(4096)), (4096, 4096, 8), compression="gzip")
    with pytest.raises(FormatError, match="would grow from"):
        rs.open_cube(tmp_path / "a.nc", wavelengths_nm=np.arange(400, 480, 10)).load()


def test_filters_that_are_not_read_are_named(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("cube", data=np.ones((5, 3, 4), "i4"), scaleoffset=4)
        file["wavelength"] = GRID
    with pytest.raises(FormatError, match=r"the filter scaleoffset.*h5repack"):
        rs.open_cube(tmp_path / "a.h5").load()


# --- the process that runs the library -----------------------------------------------------------


@pytest.mark.posix
def test_a_file_that_the_library_reads_for_ever_is_refused_and_the_next_one_read(tmp_path, rng):
    cube = rs.make_cube(rng.random((3, 4, 4), np.float32), GRID)
    rs.save_cube(cube, tmp_path / "good.nc")
    rs.save_cube(cube, tmp_path / "a.nc")
    data = bytearray((tmp_path / "a.nc").read_bytes())
    heap = data.index(b"GCOL")
    data[heap + 16 : heap + 32] = bytes(16)  # an object 0 of size 0
    (tmp_path / "a.nc").write_bytes(data)
    with pytest.raises(FormatError, match="keeps it busy for ever"):
        rs.open_cube(tmp_path / "a.nc")
    np.testing.assert_array_equal(rs.open_cube(tmp_path / "good.nc"), cube)


@pytest.mark.parametrize(
    "program",
    [
        "import os; os.kill(os.getpid(), 11)",
        "import sys; sys.stdout.write('x' * 99); sys.stdout.flush(); input(); input()",
        "print('{\"bytes\": -1}', flush=True); input(); input()",
        "print('[' * 99999, flush=True); input(); input()",
    ],
)
def test_whatever_becomes_of_that_process_is_one_error(tmp_path, program):
    script = tmp_path / "reader.py"
    script.write_text(program)
    reader = Reader(script, patience_s=1.0)
    with pytest.raises(FormatError, match="damaged"):
        reader.ask(tmp_path / "a.h5")
    reader.close()


def test_what_is_no_hdf5(tmp_path):
    assert not is_hdf5(tmp_path / "none")
    (tmp_path / "a.h5").write_bytes(b"no" * 999)
    assert not is_hdf5(tmp_path / "a.h5")
    with pytest.raises(FormatError, match="not an HDF5 file"):
        open_hdf5(tmp_path / "a.h5")
    (tmp_path / "b.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99))
    with pytest.raises(FormatError, match="damaged or not an HDF5 file"):
        open_hdf5(tmp_path / "b.h5")


# --- cubes in HDF5 of any writer -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.h5", "a.hdf5", "a.he5"])
def test_hdf5_opens_under_its_own_names(tmp_path, rng, name):
    values = rng.random((4, 5, 3), np.float32)
    with h5py.File(tmp_path / name, "w") as file:
        file["cube"], file["wavelengths"] = values, [0.4, 0.5, 0.6]
        file["wavelengths"].attrs["units"] = "micrometers"
    cube = rs.open_cube(tmp_path / name)
    np.testing.assert_array_equal(cube, values)
    np.testing.assert_array_equal(cube["wavelength"], [400, 500, 600])


def test_groups_are_part_of_the_key(tmp_path, rng):
    one, two = rng.random((2, 4, 5, 3), np.float32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["one/data"], file["one/wavelength"] = one, [400, 500, 600]
        file["two/data"], file["two/wavelength"] = two, [410, 510, 610]
    with pytest.raises(FormatError, match=r"several arrays .*one/data .*two/data"):
        rs.open_cube(tmp_path / "a.h5")
    for key in ("two/data", "/two/data"):
        cube = rs.open_cube(tmp_path / "a.h5", key=key)
        np.testing.assert_array_equal(cube, two)
        np.testing.assert_array_equal(cube["wavelength"], [410, 510, 610])


def test_the_bands_lie_where_the_wavelengths_fit(tmp_path, rng):
    values = rng.random((4, 5, 3), np.float32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["cube"], file["wavelength"] = values.transpose(2, 0, 1), [400, 500, 600]
    np.testing.assert_array_equal(rs.open_cube(tmp_path / "a.h5"), values)


def test_matlab_says_of_itself_that_it_keeps_axes_the_other_way_round(tmp_path, rng):
    cube = rs.make_cube(rng.random((3, 5, 4), np.float32), GRID)
    rs.save_cube(cube, tmp_path / "a.mat")
    (tmp_path / "a.mat").rename(tmp_path / "a.h5")
    np.testing.assert_array_equal(rs.open_cube(tmp_path / "a.h5"), cube)
