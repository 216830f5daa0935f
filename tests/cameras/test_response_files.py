import h5py
import numpy as np
import pytest
import scipy.io

from respectra import cameras
from respectra.errors import FormatError

GRID = np.array([400.0, 500.0, 600.0])
TABLE = np.array([[0.1, 0.2, 0.9], [0.2, 0.8, 0.3], [0.7, 0.1, 0.0]])


def write_csv(path, header=True):
    lines = ["# a comment", "nm,R,G,B"] if header else []
    lines += [f"{w},{r},{g},{b}" for w, (r, g, b) in zip(GRID, TABLE, strict=True)]
    path.write_text("\n".join(lines))


def write_hdf5(path):
    with h5py.File(path, "w") as file:  # MATLAB's axis order is the reverse
        file["filters"], file["bands"] = TABLE.T, GRID[:, None]


WRITERS = {
    "a.csv": write_csv,
    "b.txt": lambda path: write_csv(path, header=False),
    "c.npz": lambda path: np.savez(path, ssf=TABLE, wavelengths=GRID),
    "d.mat": lambda path: scipy.io.savemat(path, {"filters": TABLE, "bands": GRID[None]}),
    "e.mat": write_hdf5,
}


@pytest.mark.parametrize("name", WRITERS)
def test_reads(tmp_path, name):
    WRITERS[name](tmp_path / name)
    response = cameras.open_response(tmp_path / name)
    np.testing.assert_array_equal(response.values, TABLE)
    np.testing.assert_array_equal(response.wavelength, GRID)
    assert response.attrs["name"] == name[0]


def test_four_columns_leave_out_the_second_green(tmp_path):
    (tmp_path / "qe.csv").write_text("w,R,G1,G2,B\n400,1,2,9,3\n410,4,5,9,6\n")
    response = cameras.open_response(tmp_path / "qe.csv")
    np.testing.assert_array_equal(response.values, [[1, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", b"", "no rows of numbers"),
        ("x.csv", b"400,1,2\n", "four numbers"),
        ("x.csv", b"400,1,2,x\n", "no rows of numbers"),
        ("x.csv", b"\xff\xfe\x00", "not text"),
        ("x.csv", b"400,1,2,3\n400,1,2,3\n", "ascend"),
        ("x.csv", b"400,1,2,3\0\n", "a NUL"),
        ("x.csv", b"0.4,1,2,3\n0.5,1,2\n", "a row differs"),
        ("x.csv", b"nm,R,G,G\n400,1,2,3\n", "header that names"),
        ("x.csv", b"nm,R,G,B\n20,1,2,3\n50,1,2,3\n", "nm"),
        ("x.npz", b"no archive", "not an NPZ"),
        ("x.mat", b"no matlab", "not a MATLAB file"),
        ("x.xlsx", b"", "not a known kind"),
    ],
)
def test_refuses(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match=message):
        cameras.open_response(tmp_path / name)


@pytest.mark.parametrize(
    "text",
    [
        "nm,B,G,R\n400,3,2,1\n410,6,5,4\n",
        "nm;B;G;R\n410,0;6,0;5,0;4,0\n400,0;3,0;2,0;1,0\n",
        "wavelength [nm]\tRed\tGreen\tBlue\n400\t1\t2\t3\n410\t4\t5\t6\n",
        "400 1 2 3\n410   4 5 6\n",
        "400,0 1,0 2,0 3,0\n410,0 4,0 5,0 6,0\n",
        "% exported\nQE of a camera\nR, G, B, Wavelength_um\n1, 2, 3, 0.40\n4, 5, 6, 0.41\n",
        "\ufeffλ,R,G1,G2,B\n400,1,2,9,3\n410,4,5,9,6\n",
        "nm,B,G,R,\n400,3,2,1,\n410,6,5,4,\n",
        "wavenumber (cm-1),R,G,B\n25000,1,2,3\n24390.243902439024,4,5,6\n",
    ],
)
def test_headings_decide_the_channels_and_tables_come_as_people_write_them(tmp_path, text):
    (tmp_path / "qe.txt").write_text(text, "utf-8")
    response = cameras.open_response(tmp_path / "qe.txt")
    np.testing.assert_allclose(response.wavelength, [400, 410], rtol=1e-12)
    np.testing.assert_array_equal(response.values, [[1, 2, 3], [4, 5, 6]])


def test_micrometres_are_converted_in_archives(tmp_path):
    scipy.io.savemat(
        tmp_path / "a.mat",
        {"camera": {"ssf": TABLE[::-1], "wavelengths": GRID[::-1] / 1e3, "units": "um"}},
    )
    response = cameras.open_response(tmp_path / "a.mat")
    np.testing.assert_array_equal(response.wavelength, GRID)
    np.testing.assert_array_equal(response.values, TABLE)


def test_missing_parts(tmp_path):
    np.savez(tmp_path / "a.npz", ssf=TABLE)
    with pytest.raises(FormatError, match="no wavelengths"):
        cameras.open_response(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", wavelengths=GRID, one=TABLE, two=TABLE)
    with pytest.raises(FormatError, match="exactly one array"):
        cameras.open_response(tmp_path / "b.npz")
    with pytest.raises(FormatError, match="there is no file"):
        cameras.open_response(tmp_path / "c.csv")


def test_an_archive_holds_many_cameras(tmp_path):
    many = np.stack([TABLE, TABLE[::-1], TABLE * 2])
    np.savez(tmp_path / "many.npz", ssf=many, wavelengths=GRID, names=np.array(["x", "y", "z"]))
    found = cameras.open_responses(tmp_path / "many.npz")
    assert [one.attrs["name"] for one in found] == ["x", "y", "z"]
    np.testing.assert_array_equal(found[1].values, TABLE[::-1])
    np.savez(tmp_path / "bare.npz", ssf=many, wavelengths=GRID)
    assert cameras.open_responses(tmp_path / "bare.npz")[2].attrs["name"] == "bare-03"


def test_a_folder_holds_many_cameras_in_the_order_of_their_names(tmp_path):
    for name in ("b.csv", "a.csv"):
        write_csv(tmp_path / name)
    (tmp_path / "readme.md").write_text("nothing")
    found = cameras.open_responses(tmp_path)
    assert [one.attrs["name"] for one in found] == ["a", "b"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match="no response file"):
        cameras.open_responses(tmp_path / "empty")
    with pytest.raises(FormatError, match="there is no file"):
        cameras.open_responses(tmp_path / "none.csv")
