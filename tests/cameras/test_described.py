import numpy as np
import pytest
from tests.cameras.dng_file import write_dng

from respectra.cameras import (
    Capture,
    described_capture,
    list_responses,
    make_image,
    native_response,
    open_camera,
    open_image,
    resample_response,
)
from respectra.cameras.described import known_camera
from respectra.cameras.response_prior import GRID_NM, fit_channel, fit_matrices, response_prior
from respectra.colour import open_light, resample_light, rgb_space, xyz_weights
from respectra.errors import DataError

WAVES = np.arange(400.0, 701.0, 10.0)


def test_photographs_are_observers_of_their_space():
    srgb = make_image(np.full((1, 1, 3), 0.5), encoding="srgb")
    assert described_capture(srgb.attrs) == Capture.photograph()
    wide = make_image(np.full((1, 1, 3), 0.5), space="display-p3")
    capture = described_capture(wide.attrs)
    assert capture.camera_name == "display-p3"
    assert capture.is_photograph
    assert described_capture(make_image(np.full((1, 1, 3), 0.5)).attrs) is None


@pytest.mark.parametrize("space", ["display-p3", "adobe-rgb", "prophoto"])
def test_a_space_sees_the_same_colour(space):
    """Its R, G, B and those of sRGB are one colour of the 2° observer adapted to D65."""
    spectrum = np.linspace(0.2, 0.9, WAVES.size)
    seen = {
        name: rgb_space(name).to_xyz_d65
        @ (spectrum @ Capture.photograph(camera=name).effective_response(WAVES))
        for name in ("srgb", space)
    }
    np.testing.assert_allclose(seen[space], seen["srgb"], rtol=1e-3)
    np.testing.assert_allclose(Capture.photograph(camera=space).white_values(WAVES), 1.0)


def test_a_capture_of_one_space_takes_pictures_of_another():
    wide = make_image(np.array([[[0.2, 0.5, 0.3]]]), space="display-p3")
    linear = Capture.photograph().linear(wide)
    expected = rgb_space("display-p3").to_xyz_d65 @ [0.2, 0.5, 0.3]
    np.testing.assert_allclose(
        rgb_space("srgb").to_xyz_d65 @ linear.values[0, 0], expected, rtol=2e-3
    )


def test_cameras_by_what_exif_calls_them():
    assert known_camera("NIKON CORPORATION", "NIKON D700") == "ampas-nikon-d700"
    assert known_camera("Canon", "Canon EOS 5D Mark II") == "ampas-canon-eos-5d-mark-ii"
    assert known_camera("SONY", "ILCE-7RM2") == "ampas-sony-ilce-7rm2"
    assert known_camera("SONY", "ILCE-7RM5") is None


def test_a_raw_file_is_a_capture(tmp_path):
    pytest.importorskip("rawpy", reason="the extra raw is not installed")
    image = open_image(write_dng(tmp_path / "a.dng", np.full((24, 32), 2000)))
    capture = described_capture(image.attrs)
    np.testing.assert_allclose(capture.white, (0.5, 1, 0.625))
    assert capture.noise.gain == pytest.approx(1e-4)
    assert capture.camera_name == "Acme One (fitted)"
    np.testing.assert_allclose(capture.effective_response(WAVES).sum(axis=0), capture.white)


def test_an_unknown_camera_without_matrices():
    with pytest.raises(DataError, match="nothing is known of the camera 'Nothing 3'"):
        described_capture({"as_shot_neutral": (1, 1, 1), "camera_model": "Nothing 3"})


def _matrices(response):
    """The best matrices of a camera under A and D65, over random smooth surfaces."""
    rng = np.random.default_rng(1)
    knots = rng.uniform(0, 1, (60, 8))
    places = np.linspace(400, 700, 8)
    surfaces = np.array([np.interp(GRID_NM, places, k) for k in knots])
    found = []
    for light in ("A", "D65"):
        power = resample_light(open_light(light), GRID_NM)
        luminance = power @ xyz_weights(np.ones(GRID_NM.size), GRID_NM)[:, 1]
        xyz = surfaces @ xyz_weights(power, GRID_NM)
        camera = (surfaces * power / luminance) @ response
        found.append((np.linalg.lstsq(xyz, camera, rcond=None)[0].T, light))
    return found


def test_matrices_make_a_better_guess_than_the_mean_camera():
    """Of cameras of makers that the prior does not know."""
    fitted, guessed = [], []
    for name in [n for n in list_responses() if n.startswith("ampas-")]:
        truth = resample_response(native_response(name), GRID_NM).values
        truth = truth / truth.max(axis=0)
        guess = fit_matrices(_matrices(truth), name=name).values
        fitted.append(np.sqrt(((guess - truth) ** 2).mean()))
        mean = response_prior((name.split("-")[1],)).mean
        guessed.append(np.sqrt(((mean - truth) ** 2).mean()))
    assert np.mean(fitted) < 0.9 * np.mean(guessed)


def test_a_channel_is_found_again_from_many_lights():
    truth = resample_response(open_camera("ampas-nikon-d70"), GRID_NM).values[:, 1] * 0.37
    rng = np.random.default_rng(0)
    seen = np.exp(-0.5 * ((GRID_NM - rng.uniform(400, 700, (60, 1))) / 15) ** 2)
    values = seen @ truth
    found, deviation = fit_channel(seen, values, np.full(60, 1e-4), 1, response_prior(("nikon",)))
    assert np.abs(found - truth).max() < 0.03 * truth.max()
    assert (np.abs(found - truth) < 4 * deviation + 0.01 * truth.max()).all()


def test_light_that_no_camera_saw_is_refused():
    with pytest.raises(DataError, match="do not follow the light"):
        fit_channel(np.ones((3, GRID_NM.size)), np.array([-1.0, -1, -1]), np.ones(3), 0,
                    response_prior())  # fmt: skip
