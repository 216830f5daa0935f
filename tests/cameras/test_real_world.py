import numpy as np
import pytest

import respectra as rs
from respectra import cameras
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.errors import DataError

F = cameras.get_response("ntire2020-example-d40").values


def flat(level, height=130, width=70):
    return rs.make_cube(np.full((height, width, 31), level), CHALLENGE_WAVELENGTHS_NM)


def test_bit_identical_to_the_official_steps(official, cube):
    track = cameras.get_track("real-world", seed=5)
    codes = track.render_codes(cube, key="scene")
    expected = official.real_world_codes(cube.values, F, seed=5, key="scene")
    np.testing.assert_array_equal(codes, expected)
    assert track.encode(codes) == official.jpeg(expected, 80)


def test_image_is_what_the_file_holds(cube, tmp_path):
    track = cameras.get_track("real-world")
    (tmp_path / "a.jpg").write_bytes(track.encode(track.render_codes(cube)))
    np.testing.assert_array_equal(
        track.render(cube).values, cameras.open_image(tmp_path / "a.jpg").values
    )


def test_noise_has_the_official_variance():
    """Of a flat scene: shot noise of 5000 electrons and dark noise of 100, by the squared value."""
    scene = flat(0.3)
    level = 0.3 * 65535

    def spread(**options):
        track = cameras.get_track("real-world", filter_array=False, **options)
        codes = track.render_codes(scene).astype(float)[..., 1]
        return codes.std() / 255 * 65535 / level * 5000

    assert spread() == pytest.approx(np.sqrt(5000 + 100**2), rel=0.05)
    assert spread(dark_noise_spread="as-given", dark_noise_e=200.0) == pytest.approx(
        np.sqrt(5000 + 200**2), rel=0.05
    )
    assert spread(shot_noise=False, dark_noise_e=0.0) == 0.0


def test_exposure_sets_the_noise_whatever_the_brightness():
    noisy = [
        cameras.get_track("real-world", filter_array=False).render_codes(flat(level)) / level
        for level in (0.3, 0.6)
    ]
    assert noisy[0].std() == pytest.approx(noisy[1].std(), rel=0.05)


def test_odd_sizes():
    with pytest.raises(DataError, match=r"even height and width; got 131 × 70"):
        cameras.get_track("real-world").render(flat(0.5, 131))
    track = cameras.get_track("real-world", odd_sizes="accept")
    assert track.render(flat(0.5, 131, 71)).shape == (131, 71, 3)


def test_black_and_negative():
    with pytest.raises(DataError, match="no green signal"):
        cameras.get_track("real-world").render(flat(0.0))
    assert cameras.get_track("real-world", black="keep").render(flat(0.0)).max() == 0
    with pytest.raises(DataError, match="negative signals"):
        cameras.get_track("real-world").render(flat(-0.1))


def test_not_finite():
    scene = flat(0.5)
    scene[3, 4, 5] = np.nan
    with pytest.raises(DataError, match="1 pixels of the cube hold NaN"):
        cameras.get_track("real-world").render(scene)
