"""Laws of cube files: what is saved comes back, and damage never escapes as a foreign error."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from respectra.cubes import make_cube, open_cube, save_cube

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
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
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
        back = open_cube(path)
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
        back = open_cube(Path(folder, "scene"))
    np.testing.assert_array_equal(back.values, cube.values)
    np.testing.assert_array_equal(back["wavelength"], grid)
    assert back.attrs == cube.attrs


@relaxed
@given(cube=cubes())
def test_npy_keeps_values_alone(cube):
    with tempfile.TemporaryDirectory() as folder:
        save_cube(cube, Path(folder, "cube.npy"))
        back = open_cube(Path(folder, "cube.npy"), wavelengths_nm=cube["wavelength"])
    assert back.values.tobytes() == cube.values.tobytes()
