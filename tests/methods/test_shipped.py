from __future__ import annotations

import numpy as np
import pytest

from respectra.cameras import get_track, make_image
from respectra.cubes import make_cube
from respectra.datasets.spectra import illuminants, reflectances
from respectra.errors import ConfigError
from respectra.methods import get_method, load_weights
from respectra.methods.classical.base import ClassicalEntry, ClassicalMethod
from respectra.methods.shipped import list_shipped, open_shipped, shipped


def load(track: str) -> ClassicalMethod:
    weights = load_weights(shipped(track, name="classical"))
    entry = get_method(weights.method)
    assert isinstance(entry, ClassicalEntry)
    return entry.method.from_weights(weights)


def test_both_tracks_have_weights() -> None:
    for name in ("respectra", "classical"):
        assert list_shipped(name) == ["clean", "real-world"]
    with pytest.raises(ConfigError, match="'clean'"):
        shipped("cleen")


@pytest.mark.parametrize("track", list_shipped("classical"))
def test_shipped_weights_say_what_they_are(track: str) -> None:
    path = shipped(track, name="classical")
    assert path.stat().st_size < 1_000_000
    weights = load_weights(path)
    assert weights.contract.track == track
    assert weights.contract.response is not None
    assert weights.contract.clip_low == 0.0
    assert {"seed", "reflectances", "illuminants", "licence", "scores", "protocol"} <= set(
        weights.provenance
    )
    assert weights.provenance["scores"]


@pytest.mark.parametrize("track", list_shipped("classical"))
def test_colour_checker_under_daylight_is_recovered(track: str) -> None:
    # Not among the collections it was fitted on: another measurement of the chart.
    patches = reflectances("colorchecker-ohta").values
    light = illuminants("cie").sel(sample="D65").values
    matrix = get_track(track).response_matrix(np.arange(400.0, 701.0, 10.0))
    spectra = 0.5 * patches * light
    method = load(track)
    estimate = method.predict(spectra @ matrix)
    error = np.mean(np.abs(estimate - spectra) / np.maximum(spectra, 0.01))
    assert error < (0.12 if track == "clean" else 0.16)
    # Twice the light, twice the spectrum.
    np.testing.assert_allclose(method.predict(2 * spectra @ matrix), 2 * estimate, rtol=1e-6)


def test_the_network_that_ships_is_small_and_says_what_it_is() -> None:
    path = shipped("clean")
    assert path.stat().st_size < 250_000
    weights = load_weights(path)
    assert weights.method == "respectra"
    assert {"recipe", "seed", "step", "versions"} <= set(weights.provenance)
    assert {"reflectances", "lights", "licence"} <= set(weights.provenance["spectra"])
    with pytest.raises(ConfigError, match="respectra weights 'cleen'"):
        shipped("cleen")


def test_the_tracks_are_settings_of_one_set_of_weights() -> None:
    whole, real = open_shipped("clean"), open_shipped("real-world")
    assert shipped("clean") == shipped("real-world")
    assert whole.contract.track == "clean"
    assert real.contract.track == "real-world"
    assert real.contract.response is not None
    assert real.contract.response.name == "ntire2020-example-d40"
    assert (whole.config.denoises, real.config.denoises) == (False, True)
    told = {"camera", "exact", "free", "noise_levels"}
    for name, values in whole.tensors.items():
        assert np.array_equal(values, real.tensors[name]) is (name not in told), name


def test_a_told_light_gives_reflectance() -> None:
    """Through another camera, under a lamp with lines, and no worse than with the track's own."""
    import torch

    from respectra.cameras.responses import get_response
    from respectra.inference.networks import build

    patches = reflectances("colorchecker-ohta").values
    network = build(open_shipped())
    errors = []
    for camera, light in (("cie-1964-ntire2020", "E"), ("nikon-5100-npl", "FL11")):
        seen = illuminants("cie").sel(sample=light).values[:, None] * get_response(camera).values
        response = torch.tensor(seen / seen.sum(axis=0))
        network.set_capture(response, light="told")
        pixels = torch.tensor(patches) @ response
        with torch.inference_mode():
            found = network(pixels.float().T.reshape(1, 3, 4, 6))[0].flatten(1).T.numpy()
        errors.append(float(np.mean(np.abs(found - patches) / np.maximum(patches, 0.01))))
    assert errors[0] < 0.12
    assert errors[1] < 0.14


def test_the_network_that_ships_recovers_the_colour_checker() -> None:
    """And it is consistent with the real camera, not with the one that it starts from."""
    import respectra

    patches = reflectances("colorchecker-ohta").values
    track = get_track("clean")
    truth = make_cube(0.5 * patches.reshape(4, 6, -1), np.arange(400.0, 701.0, 10.0))
    values = track.project(truth).values
    recover = respectra.load("respectra")
    estimate = recover(make_image(values, bits=32))
    error = np.abs(estimate - truth) / np.maximum(truth, 0.01)
    assert float(error.mean()) < 0.12
    np.testing.assert_allclose(track.project(estimate), values, atol=2e-3)
