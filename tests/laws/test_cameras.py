"""Laws that every camera obeys, whatever the scene."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import respectra as rs
from respectra import cameras
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.errors import RespectraError

TRACKS = cameras.list_tracks()
SCENES = hnp.arrays(np.float32, (6, 4, 31), elements=st.floats(0.0078125, 1.0, width=32))
MODEST = settings(max_examples=15, deadline=None)


def scene(values):
    return rs.make_cube(values, CHALLENGE_WAVELENGTHS_NM)


@pytest.mark.parametrize("name", TRACKS)
@MODEST
@given(a=SCENES, b=SCENES, factor=st.floats(0.0, 4.0))
def test_projection_is_linear(name, a, b, factor):
    track = cameras.get_track(name)
    of_sum = track.project(scene(a + np.float32(factor) * b))
    sum_of = track.project(scene(a)) + np.float32(factor) * track.project(scene(b))
    np.testing.assert_allclose(of_sum, sum_of, rtol=1e-5)


@pytest.mark.parametrize("name", TRACKS)
@MODEST
@given(values=SCENES)
def test_projection_is_the_response_matrix(name, values):
    track = cameras.get_track(name)
    matrix = track.response_matrix(CHALLENGE_WAVELENGTHS_NM)
    expected = np.einsum("yxb,bc->yxc", values.astype(np.float64), matrix)
    np.testing.assert_allclose(track.project(scene(values)), expected, rtol=1e-12)


@MODEST
@given(values=SCENES, power=st.integers(-3, 3))
def test_brightness_scales_the_codes(values, power):
    """A scene k times as bright gives codes k times as high, but for one step and the clipping."""
    track = cameras.get_track("clean")
    factor = 2.0**power
    codes = track.render_codes(scene(values)).astype(float)
    scaled = track.render_codes(scene(np.float32(factor) * values)).astype(float)
    free = (codes < 255) & (scaled < 255)
    assert (np.abs(scaled - factor * codes)[free] <= max(1.0, factor)).all()


@MODEST
@given(codes=hnp.arrays(np.uint8, (3, 5, 3)))
def test_inverted_codes_render_to_the_same_codes(codes):
    for rounding in ("truncate", "nearest"):
        track = cameras.get_track("clean", rounding=rounding)
        image = track.label(codes)
        linear = track.invert_codes(image)
        low, high = track.code_bounds(image)
        assert ((low <= linear) & (linear < high)).all()
        again = 255.0 * np.minimum(1.0, linear)
        again = np.floor(again) if rounding == "truncate" else np.rint(again)
        np.testing.assert_array_equal(again, codes)


@MODEST
@given(values=SCENES)
def test_codes_lie_within_their_bounds(values):
    track = cameras.get_track("clean")
    linear = track.project(scene(values)).values
    low, high = track.code_bounds(track.render(scene(values)))
    assert ((low <= linear + 1e-12) & (linear < high + 1e-12)).all()


@pytest.mark.parametrize("name", TRACKS)
@MODEST
@given(values=SCENES, seed=st.integers(0, 2**63), key=st.text(max_size=8))
def test_seed_and_key_settle_every_byte(name, values, seed, key):
    """Whatever was rendered before, and on however many threads at once."""
    track = cameras.get_track(name, seed=seed)
    cube = scene(values)
    first = track.render_codes(cube, key=key).tobytes()
    cameras.get_track(name, seed=seed + 1).render_codes(cube, key=key)
    with ThreadPoolExecutor(3) as pool:
        others = list(pool.map(lambda _: track.render_codes(cube, key=key).tobytes(), range(3)))
    assert others == [first] * 3


_DIGESTS = """
import hashlib, numpy as np, respectra as rs
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM as nm
cube = rs.make_cube(np.random.default_rng(1).random((150, 60, 31), dtype=np.float32), nm)
for name in rs.cameras.list_tracks():
    track = rs.get_track(name, seed=3)
    print(hashlib.sha256(track.encode(track.render_codes(cube, key="k"))).hexdigest())
"""


def test_another_process_with_one_thread_gives_the_same_files(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    values = np.random.default_rng(1).random((150, 60, 31), dtype=np.float32)
    here = []
    for name in TRACKS:
        track = cameras.get_track(name, seed=3)
        data = track.encode(track.render_codes(scene(values), key="k"))
        here.append(hashlib.sha256(data).hexdigest())
    there = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _DIGESTS], capture_output=True, text=True, check=True
    )
    assert there.stdout.split() == here


def _files():
    codes = np.random.default_rng(0).integers(0, 256, (12, 14, 3), dtype=np.uint8)
    image = cameras.make_image(codes / 255.0)
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".png", ".jpg", ".tif"):
            path = Path(folder) / f"a{suffix}"
            cameras.save_image(image, path)
            yield suffix, path.read_bytes()
        from PIL import Image

        from respectra.cameras.pictures import profiles
        from respectra.colour import rgb_space

        profile = profiles.write_profile("P3", rgb_space("display-p3").to_xyz_d50, 2.2)
        picture = Image.fromarray(np.rint(image.values * 255).astype(np.uint8))
        for suffix in (".webp", ".avif", ".jpeg", ".tiff"):
            path = Path(folder) / f"a{suffix}"
            picture.save(path, icc_profile=profile)
            yield suffix, path.read_bytes()


FILES = dict(_files())


@pytest.mark.parametrize("suffix", FILES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_file_opens_or_is_refused(suffix, data):
    """Whatever bytes are changed or cut off, only our own errors escape."""
    content = bytearray(FILES[suffix])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        path.write_bytes(content)
        try:
            image = cameras.open_image(path, encoding="srgb", grey="repeat", alpha="drop")
        except RespectraError:
            return
        assert np.isfinite(image.values).all()
