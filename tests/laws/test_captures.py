"""Laws of captures: what telling must change, and what it must not."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import respectra as rs
from respectra.cameras import CLEAN_RESPONSE, get_response, make_response
from respectra.cameras.capture_camera import CaptureCamera

GRID = np.arange(400.0, 701.0, 10.0)
CAMERAS = ("ampas-nikon-d700", "ampas-arri-d21", "nikon-5100-npl", "srgb", CLEAN_RESPONSE)
LIGHTS = ("E", "D65", "A", "LED-B3", "FL2", "planck:3000")

cameras, lights = st.sampled_from(CAMERAS), st.sampled_from(LIGHTS)
seeds = st.integers(0, 2**16)


@functools.cache
def reconstructor(name: str, *guarantees: str) -> rs.Reconstructor:
    return rs.load(name, guarantees=guarantees)


def scene(seed: int, height: int = 4, width: int = 5):
    """Smooth reflectances, none black."""
    rng = np.random.default_rng(seed)
    knots = rng.uniform(0.05, 0.9, (height, width, 5))
    places = np.linspace(0, 4, 31)
    left = np.minimum(places.astype(int), 3)
    share = places - left
    values = knots[..., left] * (1 - share) + knots[..., left + 1] * share
    return rs.make_cube(values, GRID, quantity="reflectance")


def with_gains(*gains: float):
    """The clean track's camera with gains of its channels."""
    values = get_response(CLEAN_RESPONSE).values * np.array(gains)
    return make_response(values, GRID, name="gained")


@pytest.mark.parametrize("name", ["default", "wiener"])
@given(seed=seeds)
@settings(max_examples=5, deadline=None)
def test_telling_the_clean_tracks_own_camera_changes_nothing(name, seed):
    image = rs.get_track("clean").render(scene(seed).assign_attrs(quantity="radiance"))
    method = reconstructor(name)
    told = method(image, capture=rs.Capture(camera=CLEAN_RESPONSE))
    np.testing.assert_array_equal(told, method(image))
    assert told.attrs["quantity"] == "radiance"
    in_other_units = rs.Capture(camera=with_gains(7.0, 7.0, 7.0))
    np.testing.assert_array_equal(method(image, capture=in_other_units), told)


@pytest.mark.parametrize("name", ["default", "wiener"])
@given(seed=seeds, green=st.sampled_from((0.4, 0.7, 0.98)))
@settings(max_examples=5, deadline=None)
def test_a_camera_of_other_gains_is_another_camera_and_sees_no_less(name, green, seed):
    method, answers = reconstructor(name), []
    for gain, quantity in ((1.0, "reflectance"), (green, None)):
        capture = rs.Capture(camera=with_gains(1.0, gain, 1.0))
        values = 0.9 * scene(seed).values @ capture.effective_response(GRID)
        image = rs.make_image(values, bits=32)
        answers.append(method(image, capture=capture, quantity=quantity))
    np.testing.assert_allclose(answers[1], answers[0], rtol=0.02, atol=2e-3)


@given(light=lights, seed=seeds)
@settings(max_examples=10, deadline=None)
def test_relighting_to_the_same_light_is_the_identity(light, seed):
    cube = rs.to_radiance(scene(seed), light)
    again = rs.relight(cube, light)
    np.testing.assert_array_equal(again, cube)
    assert again.attrs == cube.attrs
    np.testing.assert_allclose(rs.to_reflectance(cube), scene(seed), rtol=1e-6)
    there = rs.relight(cube, "FL11")
    assert not np.allclose(there, cube, rtol=0.01)
    np.testing.assert_allclose(rs.relight(there, light), cube, rtol=1e-5)


def gives_its_codes_again(capture: rs.Capture, seed: int, quantity: str) -> None:
    """What it took and its method gave back renders to the same codes."""
    image = CaptureCamera(capture).render(scene(seed))
    assert len(np.unique(image)) > 10
    cube = reconstructor("default", "consistent")(image, capture=capture, quantity=quantity)
    assert cube.attrs["quantity"] == quantity
    again = CaptureCamera(capture, quantity).render(cube)
    np.testing.assert_array_equal(np.rint(again.values * 255), np.rint(image.values * 255))


@given(camera=cameras, light=lights, seed=seeds)
@settings(max_examples=12, deadline=None)
def test_what_a_capture_took_and_gave_back_renders_to_the_same_codes(camera, light, seed):
    for quantity in ("reflectance", "radiance"):
        gives_its_codes_again(rs.Capture(camera=camera, light=light), seed, quantity)


@pytest.mark.parametrize("quantity", ["reflectance", "radiance"])
@given(light=lights, seed=seeds)
@settings(max_examples=2, deadline=None)
def test_what_a_camera_took_and_gave_back_renders_to_the_same_codes(light, seed, quantity):
    """The same of one camera, which takes a moment."""
    gives_its_codes_again(rs.Capture(camera="ampas-nikon-d700", light=light), seed, quantity)


@given(camera=cameras, light=lights, seed=seeds)
@settings(max_examples=8, deadline=None)
def test_k_times_the_exposure_is_k_times_the_cube(camera, light, seed):
    capture = rs.Capture(camera=camera, light=light, white=(0.8, 0.8, 0.8))
    values = scene(seed).values @ capture.effective_response(GRID)
    values = np.clip(values, 0.02, 1.0)
    method = reconstructor("default")
    one, half = (
        method(rs.make_image(k * values, bits=32), capture=capture).values for k in (1.0, 0.5)
    )
    np.testing.assert_allclose(half, 0.5 * one, rtol=2e-3, atol=1e-5)


@given(seed=seeds)
@settings(max_examples=5, deadline=None)
def test_references_equal_to_the_methods_own_answer_change_nothing(seed):
    image = rs.get_track("clean").render(scene(seed, 8, 8).assign_attrs(quantity="radiance"))
    method = reconstructor("default")
    own = method(image)
    places = [(y, x) for y in range(0, 8, 2) for x in range(0, 8, 2)]
    spectra = np.stack([own.values[y, x] for y, x in places])
    corrected = method(image, references=rs.References(places, np.maximum(spectra, 0), GRID))
    np.testing.assert_allclose(corrected, own, rtol=2e-5, atol=1e-7)


@given(seed=seeds, light=lights)
@settings(max_examples=8, deadline=None)
def test_with_white_right_a_wrong_light_moves_reflectance_little_and_keeps_white(seed, light):
    camera, true = "ampas-nikon-d700", rs.Capture(camera="ampas-nikon-d700", light=light)
    white = tuple(true.white_values(GRID).tolist())
    image = CaptureCamera(true).render(scene(seed))
    cube = reconstructor("default")(image, capture=rs.Capture(camera=camera, white=white))
    assert "light not known" in cube.attrs["assumed"]
    told = reconstructor("default")(image, capture=true).values
    moved = np.abs(cube.values - told).mean() / told.mean()
    assert moved < 0.15, moved
    grey = rs.make_image(0.5 * np.broadcast_to(white, (2, 2, 3)), bits=32)
    answer = reconstructor("default")(grey, capture=rs.Capture(camera=camera, white=white))
    assert abs(float(answer.mean()) - 0.5) < 0.1
