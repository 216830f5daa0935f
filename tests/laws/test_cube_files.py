"""Laws of cube files: what is saved comes back, and damage never escapes as a foreign error."""

import contextlib
import json
import os
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from respectra.cubes import inspect, make_cube, open_cube, require_cube, save_cube
from respectra.errors import RespectraError

#: File name and format; these hold every float32 bit for bit, with wavelengths and attributes.
EXACT = (
    ("cube.mat", None),
    ("cube.mat", "matlab-v5"),
    ("cube.hdr", None),
    ("cube.bip", None),
    ("cube.bil", None),
    ("cube.bsq", None),
    ("cube.nc", None),
    ("cube.zarr", None),
    ("cube.npz", None),
    ("cube.tif", None),
)
IDS = [f"{name}-{form}" if form else name for name, form in EXACT]
relaxed = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
facts = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def cubes(draw):
    shape = draw(st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 7)))
    dtype = draw(st.sampled_from([np.float32, np.float64, np.uint8, np.uint16, np.int16]))
    elements = st.floats(width=32) if np.issubdtype(dtype, np.floating) else None
    values = draw(hnp.arrays(dtype, shape, elements=elements, fill=st.nothing()))
    grid = st.floats(200, 2500, width=64)
    wavelengths = draw(st.lists(grid, min_size=shape[2], max_size=shape[2], unique=True))
    cube = make_cube(
        values,
        sorted(wavelengths),
        quantity=draw(st.sampled_from(["radiance", "reflectance"])),
        units=draw(texts),
        source=draw(texts),
    )
    cube.attrs.update(draw(st.dictionaries(texts, facts, max_size=3)), quantity="reflectance")
    return cube


@pytest.mark.parametrize(("name", "form"), EXACT, ids=IDS)
@relaxed
@given(cube=cubes())
def test_a_saved_cube_comes_back_bit_for_bit(name, form, cube):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        save_cube(cube, path, format=form)
        back = open_cube(path).load()
    assert back.values.tobytes() == cube.values.tobytes()  # also NaN payloads and -0.0
    assert back["wavelength"].values.tobytes() == cube["wavelength"].values.tobytes()
    assert json.dumps(back.attrs, sort_keys=True) == json.dumps(cube.attrs, sort_keys=True)
    assert back.dims == cube.dims
    assert back.values.flags.c_contiguous


@relaxed
@given(
    codes=hnp.arrays(np.uint16, st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 6)))
)
def test_png_folders_are_exact_on_their_own_codes(codes):
    grid = np.linspace(400, 700, codes.shape[2])
    cube = make_cube(codes / np.float32(65535), grid, source="codes")
    with tempfile.TemporaryDirectory() as folder:
        save_cube(cube, Path(folder, "scene"), format="png")
        back = open_cube(Path(folder, "scene")).load()
    np.testing.assert_array_equal(back.values, cube.values)
    np.testing.assert_array_equal(back["wavelength"], grid)
    assert back.attrs == cube.attrs


@relaxed
@given(cube=cubes())
def test_npy_keeps_values_alone(cube):
    with tempfile.TemporaryDirectory() as folder:
        save_cube(cube, Path(folder, "cube.npy"))
        back = open_cube(Path(folder, "cube.npy"), wavelengths_nm=cube["wavelength"]).load()
    assert back.values.tobytes() == cube.values.tobytes()


# --- damaged files -------------------------------------------------------------------------------


def write_v73_gzip(path: Path, values: np.ndarray) -> None:
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset("rad", data=values.T, chunks=(2, 3, 2), compression="gzip")
        file["bands"] = np.linspace(400, 700, values.shape[2]).reshape(-1, 1)


#: Valid files that we do not write ourselves.
FOREIGN = {
    "gzip.mat": write_v73_gzip,
    "deflate-v5.mat": lambda path, values: scipy.io.savemat(
        path, {"cube": values, "bands": [400, 500, 600, 700]}, do_compression=True
    ),
    "deflate.npz": lambda path, values: np.savez_compressed(
        path, cube_u16=values.astype(np.uint16), scale=0.1, wavelengths=[400, 500, 600, 700]
    ),
    "deflate.tif": lambda path, values: tifffile.imwrite(
        path, values, photometric="minisblack", planarconfig="contig", compression="zlib"
    ),
    "imagej.tif": lambda path, values: tifffile.imwrite(
        path, values.transpose(2, 0, 1), imagej=True
    ),
}
OURS = (*EXACT, ("cube.npy", None), ("folder", "png"))


@st.composite
def damages(draw):
    """A change of a few bytes, anywhere or among the first ones, where headers are."""
    kind = draw(st.sampled_from(["flip", "truncate", "insert", "overwrite"]))
    place = draw(st.floats(0, 1, exclude_max=True))
    head = draw(st.booleans())
    data = draw(st.binary(min_size=1, max_size=8) | st.sampled_from([b"\xff" * 8, bytes(8)]))
    return kind, place, head, data


def damage(data: bytes, change) -> bytes:
    kind, place, head, new = change
    at = int(place * min(len(data), 1024 if head else len(data)))
    if kind == "flip" and data:
        return data[:at] + bytes([data[at] ^ (1 << (new[0] % 8))]) + data[at + 1 :]
    if kind == "truncate":
        return data[:at]
    if kind == "insert":
        return data[:at] + new + data[at:]
    return data[:at] + new + data[at + len(new) :]


@pytest.fixture(scope="module", params=[*OURS, *FOREIGN], ids=str)
def valid(request, tmp_path_factory):
    """A valid cube, and its files."""
    folder = tmp_path_factory.mktemp("valid")
    values = np.random.default_rng(7).random((6, 5, 4), np.float32)
    if isinstance(request.param, tuple):
        name, form = request.param
        cube = make_cube(values, [400, 500, 600, 700], source="x", note=[1, {"a": 2}])
        save_cube(cube, folder / name, format=form)
    else:
        name = request.param
        FOREIGN[name](folder / name, values)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return folder / name, {path: path.read_bytes() for path in files}


#: RESPECTRA_FUZZ=1000 explores that many new damages a format; a run without it is repeatable,
#: because what is found here can be a library that hangs.
FUZZ = int(os.environ.get("RESPECTRA_FUZZ", "0"))


@settings(relaxed, max_examples=FUZZ or 40, derandomize=not FUZZ)
@given(data=st.data())
def test_damaged_files_raise_nothing_but_our_own_errors(valid, data):
    path, files = valid
    target = data.draw(st.sampled_from(sorted(files)))
    changes = data.draw(st.lists(damages(), min_size=1, max_size=3))
    wavelengths = data.draw(st.sampled_from([None, [400, 500, 600, 700]]))
    content = files[target]
    for change in changes:
        content = damage(content, change)
    try:
        target.write_bytes(content)
        with contextlib.suppress(RespectraError):
            inspect(path)
        with contextlib.suppress(RespectraError):
            require_cube(open_cube(path, wavelengths_nm=wavelengths)).load()
    finally:
        target.write_bytes(files[target])
