"""Laws of the datasets room."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.datasets.memory import MemoryScenes

from respectra.cameras import get_track
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM, make_cube
from respectra.datasets.palette import metamers
from respectra.datasets.patches import Patches, PatchOptions, turn
from respectra.datasets.textures import power_law_fields

GRID = CHALLENGE_WAVELENGTHS_NM
seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, strength=st.floats(0.01, 1.0))
def test_metamers_look_alike_and_stay_reflectances(seed, strength):
    rng = np.random.default_rng(seed)
    r = rng.uniform(0.01, 0.99, (5, 31))
    camera = get_track("clean").response_matrix(CHALLENGE_WAVELENGTHS_NM)
    changed = metamers(r, camera, CHALLENGE_WAVELENGTHS_NM, rng, strength=strength)
    np.testing.assert_allclose(changed @ camera, r @ camera, atol=1e-9)
    assert (changed > 0).all()
    assert (changed < 1).all()
    assert np.abs(changed - r).max() > 0


@settings(max_examples=10, deadline=None)
@given(seed=seeds, slope=st.floats(0.8, 1.8))
def test_a_power_law_field_has_the_slope_it_was_given(seed, slope):
    field = power_law_fields(1, 128, 128, np.random.default_rng(seed), (slope, slope))[0]
    frequency = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128))
    amplitude = np.abs(np.fft.fft2(field))
    ring = (frequency > 0.02) & (frequency < 0.4)
    measured = np.polyfit(np.log(frequency[ring]), np.log(amplitude[ring]), 1)[0]
    assert abs(measured + slope) < 0.1


@settings(max_examples=30, deadline=None)
@given(first=st.integers(0, 7), second=st.integers(0, 7))
def test_symmetries_are_isometries_and_form_a_group(first, second):
    patch = np.arange(5 * 5 * 2).reshape(5, 5, 2)
    turned = turn(patch, first)
    assert sorted(map(tuple, turned.reshape(-1, 2))) == sorted(map(tuple, patch.reshape(-1, 2)))
    neighbours = np.abs(np.diff(patch[..., 0], axis=0)), np.abs(np.diff(patch[..., 0], axis=1))
    steps = {int(n.max()) for n in neighbours}
    assert {int(np.abs(np.diff(turned[..., 0], axis=a)).max()) for a in (0, 1)} == steps
    both = turn(turned, second)
    assert any(np.array_equal(both, turn(patch, k)) for k in range(8))
    assert len({turn(patch, k).tobytes() for k in range(8)}) == 8


_SCENES = MemoryScenes(
    {
        name: make_cube(np.random.default_rng(k).uniform(0.1, 1, (20 + k, 24, 31)), GRID)
        for k, name in enumerate("abc")
    },
    [get_track("clean")],
)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**63),
    epoch=st.integers(0, 10**6),
    numbers=st.lists(st.integers(0, 11), min_size=1, max_size=6),
)
def test_a_patch_depends_on_seed_epoch_and_number_alone(seed, epoch, numbers):
    options = PatchOptions(size=8, per_scene=4, symmetries="all", exposure=(0.5, 1.0))
    together = Patches(_SCENES, options, seed=seed).batch(epoch, numbers)
    other = Patches(_SCENES, options, seed=seed)
    other.batch(epoch + 1, [0, 1])
    for k in reversed(range(len(numbers))):
        alone = other.batch(epoch, [numbers[k]])
        np.testing.assert_array_equal(alone.cubes[0], together.cubes[k])
        np.testing.assert_array_equal(alone.images[0], together.images[k])
        assert alone.scenes[0] == together.scenes[k]
