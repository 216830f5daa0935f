"""Reconstructors that were told how their pictures were taken."""

import json
import warnings

import numpy as np
import pytest

import respectra as rs
from respectra.cameras.capture_camera import CaptureCamera
from respectra.errors import ConfigError, FormatError, RespectraWarning
from respectra.inference import reconstruct_file
from respectra.inference.capture import bind, camera_matrix, constrained_fit
from respectra.inference.tables import bake
from respectra.methods import Contract, save_weights

GRID = np.arange(400.0, 701.0, 10.0)
CAPTURE = rs.Capture(camera="ampas-nikon-d700", light="A")


@pytest.fixture(scope="module")
def surfaces():
    from respectra.datasets.spectra import reflectances

    values = np.concatenate([reflectances(n, GRID).values for n in ("pmc", "rawtoaces")])[:120]
    return rs.make_cube(values.reshape(10, 12, 31), GRID, quantity="reflectance")


@pytest.fixture(scope="module")
def network():
    return rs.load()


def error(cube, truth):
    return float((np.abs(cube.values - truth.values) / np.maximum(truth.values, 0.01)).mean())


def test_told_networks_recover_reflectance_as_well_as_the_clean_track(network, surfaces):
    clean = network(rs.get_track("clean").render(surfaces.assign_attrs(quantity="radiance")))
    told = network(CaptureCamera(CAPTURE).render(surfaces), capture=CAPTURE)
    assert told.attrs["quantity"] == "reflectance"
    assert (told.attrs["camera"], told.attrs["light"]) == ("ampas-nikon-d700", "A")
    assert rs.Capture.from_json(told.attrs["capture"]) == CAPTURE
    assert error(told, surfaces) < 1.5 * error(clean, surfaces)


def test_an_image_may_carry_its_capture(network, surfaces):
    image = CaptureCamera(CAPTURE).render(surfaces)
    told = network(image, capture=CAPTURE)
    for held in (CAPTURE.to_json(), json.dumps(CAPTURE.to_json())):
        carried = image.assign_attrs(capture=held)
        np.testing.assert_array_equal(network(carried), told)
        np.testing.assert_array_equal(
            network(carried, quantity="radiance"),
            network(image, capture=CAPTURE, quantity="radiance"),
        )
        lazily = rs.reconstruct_lazily(carried.chunk(y=5, x=-1), network)
        np.testing.assert_allclose(lazily.values, told.values, rtol=1e-5, atol=1e-7)
    other = rs.Capture(camera="ampas-nikon-d70", light="A")
    np.testing.assert_array_equal(network(carried, capture=other), network(image, capture=other))
    later = {**CAPTURE.to_json(), "version": 2}
    with pytest.raises(FormatError, match="in the image's attributes is a capture of version 2"):
        network(image.assign_attrs(capture=later))


def test_radiance_under_a_light_that_nobody_stated_is_warned_of(network):
    with pytest.warns(RespectraWarning, match="which nobody stated: E is assumed"):
        network.with_capture(CAPTURE.replace(light=None), quantity="radiance")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network.with_capture(CAPTURE.replace(light=None))
        network.with_capture(CAPTURE, quantity="radiance")
        network.with_capture(rs.Capture.photograph(), quantity="radiance")


def test_methods_of_one_camera_get_the_picture_through_a_matrix(surfaces):
    image = CaptureCamera(CAPTURE).render(surfaces)
    method = rs.load("default-classical")
    cube = method(image, capture=CAPTURE)
    assert "3 x 3 matrix" in cube.attrs["camera_matrix"]
    blind = method(image)
    assert error(cube, surfaces) < 0.35 < error(blind, surfaces)


@pytest.mark.parametrize("light", ["FL2", "LED-B3", "HP1"])
def test_a_lamp_with_lines_costs_methods_of_one_camera_little(surfaces, light):
    errors = []
    for lit in ("E", light):
        capture = CAPTURE.replace(light=lit, bits=None)
        image = CaptureCamera(capture).render(surfaces)
        errors.append(error(rs.load("default-classical")(image, capture=capture), surfaces))
    assert errors[1] < 2.0 * errors[0]


def test_the_matrix_keeps_white_and_is_the_best_that_does(rng):
    matrix, factor = camera_matrix(Contract(), CAPTURE)
    white = CAPTURE.white_values(GRID)
    own = rs.get_track("clean").response_matrix(GRID)
    np.testing.assert_allclose(matrix @ white, factor * own.sum(axis=0))
    left, right = rng.random((50, 3)), rng.random((50, 3))
    fitted = constrained_fit(left, right, np.ones(3), np.full(3, 2.0))
    least = np.square(left @ fitted.T - right).sum()
    for _ in range(20):
        step = 0.01 * rng.standard_normal((3, 3))
        other = fitted + step - step.mean(axis=1, keepdims=True)
        assert np.square(left @ other.T - right).sum() >= least


def test_radiance_is_reflectance_times_the_light(network, surfaces):
    image = CaptureCamera(CAPTURE).render(surfaces)
    reflectance = network(image, capture=CAPTURE)
    radiance = network(image, capture=CAPTURE, quantity="radiance")
    np.testing.assert_allclose(rs.to_radiance(reflectance), radiance, rtol=1e-5)
    assert rs.to_radiance(reflectance).attrs["light"] == "A"


def test_photographs_give_reflectance_and_radiance_is_a_word_away(network, surfaces):
    photo = CaptureCamera(rs.Capture.photograph()).render(surfaces)
    cube = network(photo)
    assert cube.attrs["quantity"] == "reflectance"
    assert "D65" in cube.attrs["assumed"]
    assert network(photo, quantity="radiance").attrs["quantity"] == "radiance"
    assert rs.load(quantity="radiance")(photo).attrs["quantity"] == "radiance"
    assert error(cube, surfaces) < 0.3


def test_a_photograph_under_another_light(network, surfaces):
    capture = rs.Capture(light="planck:3000")
    photo = CaptureCamera(rs.Capture.photograph(light="planck:3000")).render(surfaces)
    cube = network(photo, capture=capture)
    assert (cube.attrs["camera"], cube.attrs["light"]) == ("srgb", "planck:3000")
    assert error(cube, surfaces) < 1.05 * error(network(photo), surfaces)


def test_bound_weights_are_weights_like_any_other(network, surfaces, tmp_path):
    bound = network.with_capture(CAPTURE)
    image = CaptureCamera(CAPTURE).render(surfaces)
    save_weights(bound.weights, tmp_path / "told.safetensors")
    again = rs.load(tmp_path / "told.safetensors")
    np.testing.assert_array_equal(again(image), bound(image))
    assert again.capture == CAPTURE
    assert bind(bound.weights, CAPTURE) is bound.weights
    assert bind(bound.weights, rs.Capture(), "reflectance") is bound.weights
    for other, quantity in ((CAPTURE, "radiance"), (rs.Capture(white=(0.5, 0.5, 0.5)), None)):
        with pytest.raises(ConfigError, match=r"already, Capture\(camera='ampas-nikon-d700'"):
            bind(bound.weights, other, quantity)


@pytest.mark.parametrize(("name", "quantity"), [("default", "reflectance"), ("wiener", "radiance")])
def test_tables_are_baked_for_a_capture(surfaces, name, quantity):
    image = CaptureCamera(CAPTURE).render(surfaces)
    bound = rs.load(name).with_capture(CAPTURE, quantity=quantity)
    table = rs.Reconstructor(bake(bound.weights, nodes=33).to_weights())
    cube = table(image)
    assert cube.attrs["quantity"] == quantity
    expected = bound(image) if name == "wiener" else None
    if expected is not None:
        np.testing.assert_allclose(cube, expected, rtol=1e-3, atol=5e-4)
    else:
        assert error(cube, surfaces) < 0.35


def test_pieces_and_memory_give_the_same(network, surfaces, tmp_path):
    image = CaptureCamera(CAPTURE).render(surfaces)
    rs.save_image(image, tmp_path / "raw.png")
    spots = rs.References([[1, 1], [5, 5], [8, 3]], surfaces.values[[1, 5, 8], [1, 5, 3]], GRID)
    bound = network.with_capture(CAPTURE)
    reconstruct_file(
        bound, tmp_path / "raw.png", tmp_path / "a.zarr", kind="camera", references=spots
    )
    streamed = rs.open_cube(tmp_path / "a.zarr")
    np.testing.assert_allclose(streamed, bound(image, references=spots), rtol=1e-5, atol=1e-6)
    assert streamed.attrs["quantity"] == "reflectance"
    assert streamed.attrs["references"].startswith("3 references")


def test_self_ensembles_and_low_rank_cubes_for_a_capture(surfaces):
    image = CaptureCamera(CAPTURE).render(surfaces)
    plain = rs.load("wiener").with_capture(CAPTURE)
    flipped = rs.load("wiener", self_ensemble="flips").with_capture(CAPTURE)
    np.testing.assert_allclose(flipped(image), plain(image), rtol=1e-5, atol=1e-6)
    bounded = rs.load("pseudo-inverse")
    weights = bounded.weights
    free = rs.Reconstructor(
        type(weights)(
            weights.method,
            weights.config,
            weights.contract.model_copy(update={"clip_low": None}),
            weights.tensors,
        )
    ).with_capture(CAPTURE)
    np.testing.assert_allclose(free.low_rank(image).lazy(), free(image), rtol=1e-4, atol=1e-5)


def test_a_noisy_capture_is_kept_on_average(network, surfaces):
    capture = CAPTURE.replace(noise=0.01)
    image = CaptureCamera(capture).render(surfaces, seed=1)
    cube = rs.load(guarantees=["consistent"])(image, capture=capture)
    again = CaptureCamera(capture).render(cube)
    assert float(np.abs(again.values - image.values).mean()) < 0.03


def test_who_took_it_has_to_be_known():
    weights = rs.load("wiener").weights
    contract = weights.contract.model_copy(update={"track": "real-world", "response": None})
    unknown = rs.Reconstructor(
        type(weights)(weights.method, weights.config, contract, weights.tensors)
    )
    with pytest.raises(ConfigError, match="which camera"):
        unknown.with_capture(rs.Capture(light="A"))
    with pytest.raises(ConfigError, match="unknown quantity"):
        rs.load("wiener", quantity="colour")


def test_of_a_balanced_white_the_light_is_equal_energy_and_otherwise_guessed(network):
    even = network.with_capture(rs.Capture(camera="ampas-nikon-d700", white=(0.8, 0.8, 0.795)))
    raw = network.with_capture(rs.Capture(camera="ampas-nikon-d700", white=(0.9, 0.8, 0.2)))
    np.testing.assert_allclose(even.capture.power(GRID), 1.0)
    power = raw.capture.power(GRID)
    assert power[-1] > 1.5 * power[0]


def test_what_is_no_capture_and_no_references_is_refused(network, surfaces):
    image = CaptureCamera(CAPTURE).render(surfaces)
    for ask in (
        lambda: network(image, capture="capture.json"),
        lambda: network.with_capture("capture.json"),
        lambda: rs.load("wiener", capture={"light": "A"}),
    ):
        with pytest.raises(ConfigError, match=r"a capture is a respectra.Capture; got"):
            ask()
    for ask in (
        lambda: network(image, capture=CAPTURE, references="spots.csv"),
        lambda: network(image, references="spots.csv"),
        lambda: network.with_references(image, np.ones((2, 31))),
    ):
        with pytest.raises(ConfigError, match=r"references are respectra.References; got"):
            ask()
