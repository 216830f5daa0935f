import io
import pickle
import zipfile

import numpy as np
import pytest

import respectra as rs
from respectra.errors import FormatError
from respectra.guards import limits
from respectra.guards.npy import read_npy, read_npz

EVIL = b"cos\nsystem\n(S'touch owned'\ntR."


def npy(values, header=None):
    stream = io.BytesIO()
    np.save(stream, values)
    data = stream.getvalue()
    if header is not None:
        data = data[:10] + header.ljust(117) + b"\n" + data[128:]
    return data


def test_arrays_come_back_and_may_be_changed(tmp_path, rng):
    arrays = {
        "a": rng.random((3, 4)), "b": np.asfortranarray(rng.random((3, 4))),
        "text": np.array("µ"), "none": np.empty((0, 3)), "c": np.array(3 + 1j),
    }  # fmt: skip
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", **arrays)
        found = read_npz(tmp_path / "a.npz")
        assert found.keys() == arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)
            assert found[name].flags.writeable
    np.save(tmp_path / "a.npy", arrays["b"])
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), arrays["b"])


@pytest.mark.parametrize(
    "header",
    [
        b"{",
        b"(" * 100,
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (1.5,)}",
        b"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
        b"{'descr': '<f99', 'fortran_order': False, 'shape': (1,)}",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999,)}",
        b"__import__('os').system('id')",
        b"\xff\xfe",
    ],
)
def test_headers_that_are_refused(tmp_path, header):
    data = npy(np.ones(3, np.float32), header)
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(FormatError):
        read_npy(tmp_path / "a.npy")
    with pytest.raises(FormatError):
        rs.open_cube(tmp_path / "a.npy", wavelengths_nm=[400])
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("cube.npy", data)
    with pytest.raises(FormatError):
        read_npz(tmp_path / "a.npz")


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_archives_packed_as_numpy_never_does(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
        archive.writestr("cube.npy", npy(np.ones((2, 2, 2))))
    with pytest.raises(FormatError, match=r"save it again with numpy\.savez"):
        rs.open_cube(tmp_path / "a.npz", wavelengths_nm=[400, 500])


def test_pickles_are_never_loaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.npy").write_bytes(npy(np.array([{}], object))[:-40] + EVIL)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("cube.npy", EVIL)
        archive.writestr("wavelengths.npy", pickle.dumps([1]))
    for name in ("a.npy", "a.npz"):
        with pytest.raises(FormatError):
            rs.open_cube(tmp_path / name, wavelengths_nm=[400])
    assert not (tmp_path / "owned").exists()


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "ALLOWANCE", 2**20)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        header = io.BytesIO()
        facts = {"descr": "|u1", "fortran_order": False, "shape": (1024, 32, 300)}
        np.lib.format.write_array_header_1_0(header, facts)
        with archive.open("cube.npy", "w") as member:
            member.write(header.getvalue())
            member.write(bytes(1024 * 32 * 300))
    with pytest.raises(FormatError, match="would grow from"):
        rs.open_cube(tmp_path / "a.npz", wavelengths_nm=np.arange(400, 700)).load()
