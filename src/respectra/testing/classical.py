"""What must hold for every classical method."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from respectra.errors import ConfigError, DataError
from respectra.methods import (
    Contract,
    Weights,
    get_classical,
    load_weights,
    save_weights,
)
from respectra.methods.classical.base import ClassicalEntry, ClassicalMethod
from respectra.testing.base import (
    Battery,
    registered,
    require,
    require_card,
    require_refusal,
    run_checks,
    smooth_spectra,
)
from respectra.typing import FloatArray

CLASSICAL_CHECKS: Battery[ClassicalEntry] = Battery()
_check = CLASSICAL_CHECKS.check
#: So many pairs are fitted: one option of a method may ask for a thousand.
_PAIRS = 1100


def check_classical(method: str | type[ClassicalMethod[Any]] | ClassicalEntry) -> dict[str, str]:
    """Run every check that our own classical methods pass; the results are those of `run_checks`.

    Args:
        method: a name of ``respectra.list_methods()``, or a class that is not registered yet; for
            the latter the checks that need a registered name do not apply.

    Raises:
        ConfigError: there is no classical method of that name.
        AssertionError: as :func:`run_checks`.

    Example:
        >>> check_classical("pseudo-inverse")["card_is_complete"]
        'passed'
    """
    if isinstance(method, str):
        entry = get_classical(method)
    else:
        entry = ClassicalEntry(method) if isinstance(method, type) else method
    return run_checks(entry.card.name, entry, CLASSICAL_CHECKS, slow=True)


def pairs(n: int, bands: int = 31) -> tuple[FloatArray, FloatArray, FloatArray]:
    """RGB, smooth positive spectra, and the response that joins them."""
    rng = np.random.default_rng(1)
    at = np.linspace(0, 1, bands)
    response = np.exp(-(((at[:, None] - [0.75, 0.45, 0.15]) / 0.15) ** 2))
    response /= response.sum(axis=0)
    spectra = 0.02 + smooth_spectra(rng, n, 3, bands=bands).mean(axis=1)
    return spectra @ response, spectra, response


def pixels() -> npt.NDArray[np.float32]:
    """A picture of what the training pairs look like, (6, 5, 3)."""
    return pairs(5000)[0][-30:].reshape(6, 5, 3).astype(np.float32)


def make(method: ClassicalEntry, preset: str = "published", **options: Any) -> ClassicalMethod[Any]:
    """The method with a preset's options, not fitted yet."""
    presets = {"published": {}, **method.presets}
    return method.build(method.config(**{**presets[preset], **options}))


@functools.lru_cache(maxsize=8)
def fitted(
    method: ClassicalEntry, *, preset: str = "published", bands: int = 31
) -> ClassicalMethod[Any]:
    """The method, fitted on the training pairs; shared between checks, none of which changes it."""
    rgb, spectra, response = pairs(_PAIRS, bands=bands)
    return make(method, preset).fit(rgb, spectra, response=response)


@_check
def card_is_complete(method: ClassicalEntry) -> None:
    """Everything that a card says is said."""
    require_card(method.card, "classical")


@_check
def every_preset_recovers_a_cube(method: ClassicalEntry) -> None:
    """Better than the mean spectrum."""
    truth = pairs(5000)[1][-30:].reshape(6, 5, 31)
    baseline = np.abs(truth - truth.mean(axis=(0, 1))).mean()
    for preset in ("published", *method.presets):
        cube = fitted(method, preset=preset).predict(pixels())
        require(cube.shape == (6, 5, 31), f"preset {preset!r} gives shape {cube.shape}")
        require(cube.dtype == np.float32, f"preset {preset!r} gives {cube.dtype}")
        error = np.abs(cube - truth).mean()
        require(
            error < baseline,
            f"preset {preset!r} is off by {error:.3g}, the mean spectrum by {baseline:.3g}",
        )


@_check
def any_number_of_bands(method: ClassicalEntry) -> None:
    """As many as the training spectra have."""
    shape = fitted(method, bands=7).predict(pixels()).shape
    require(shape == (6, 5, 7), f"fitted on 7 bands it gives shape {shape}")


@_check
def black_and_white_give_finite_spectra(method: ClassicalEntry) -> None:
    """No division by a pixel's own brightness goes wrong."""
    spectra = fitted(method).predict([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    require(np.isfinite(spectra).all(), "black or white gives NaN or infinity")


@_check
def a_pixel_does_not_see_the_others(method: ClassicalEntry) -> None:
    """What tiling rests on."""
    ready, image = fitted(method), pixels()
    alone, together = ready.predict(image[2:3, 3:4]), ready.predict(image)[2:3, 3:4]
    same = np.allclose(together, alone, rtol=1e-5, atol=1e-7)
    require(same, "a pixel alone gives another spectrum than within its image")


@_check
def the_same_seed_learns_the_same(method: ClassicalEntry) -> None:
    """Bit for bit."""
    rgb, spectra, response = pairs(_PAIRS)
    first, second = (
        make(method).fit(rgb, spectra, response=response, seed=7).tensors for _ in range(2)
    )
    require(first.keys() == second.keys(), "a second fit learns other arrays")
    for key, values in first.items():
        require(np.array_equal(values, second[key]), f"a second fit gives another {key}")


@_check
def inputs_are_left_alone(method: ClassicalEntry) -> None:
    """Neither fitting nor predicting changes what it is given."""
    given = pairs(_PAIRS)
    copies = tuple(array.copy() for array in given)
    ready = make(method).fit(given[0], given[1], response=given[2])
    image = pixels()
    ready.predict(image)
    same = all(np.array_equal(a, b) for a, b in zip(given, copies, strict=True))
    require(same, "fitting changes its training pairs")
    require(np.array_equal(image, pixels()), "predicting changes its image")


@_check
def saved_and_loaded_weights_give_the_same(method: ClassicalEntry) -> None:
    """Bit for bit, through a weights file."""
    name = registered(method)
    ready = fitted(method)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.safetensors"
        save_weights(Weights(name, ready.options, Contract(), ready.tensors), file)
        loaded = load_weights(file)
    again = make(method)
    require(again.options == loaded.config, "the file has other options")
    again.tensors = dict(loaded.tensors)
    same = np.array_equal(again.predict(pixels()), ready.predict(pixels()))
    require(same, "a saved and loaded method gives other spectra")


@_check
def bad_input_is_refused(method: ClassicalEntry) -> None:
    """With an error of ours that says what is wrong."""
    rgb, spectra, response = pairs(_PAIRS)
    ready = fitted(method)
    require_refusal(
        lambda: make(method).predict(pixels()),
        ConfigError,
        "has not been fitted",
        "predicting before fitting",
    )
    refused: dict[str, tuple[Any, str]] = {
        "an image of 4 channels": (lambda: ready.predict(np.zeros((4, 4))), "3 channels"),
        "fewer spectra than pixels": (
            lambda: make(method).fit(rgb, spectra[:-1], response=response),
            "shape",
        ),
        "NaN": (lambda: make(method).fit(rgb * np.nan, spectra, response=response), "finite"),
        "a transposed response": (
            lambda: make(method).fit(rgb, spectra, response=response.T),
            "response has shape",
        ),
    }
    for what, (call, pattern) in refused.items():
        require_refusal(call, DataError, pattern, what)
    require_refusal(
        lambda: make(method, colour="red"),
        ConfigError,
        "unknown option 'colour'",
        "an unknown option",
    )


@_check
def a_response_is_asked_for_where_it_is_needed(method: ClassicalEntry) -> None:
    """As ``needs_response`` says."""
    rgb, spectra, _ = pairs(_PAIRS)
    if method.needs_response:
        require_refusal(
            lambda: make(method).fit(rgb, spectra), ConfigError, "response", "no response"
        )
    else:
        cube = make(method).fit(rgb, spectra).predict(pixels())
        require(np.isfinite(cube).all(), "fitted without a response it gives NaN or infinity")
