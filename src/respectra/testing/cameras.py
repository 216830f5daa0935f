"""What must hold for every track."""

from __future__ import annotations

import json

import numpy as np
import xarray as xr

from respectra.cameras import Track, native_response
from respectra.cameras.tracks import tracks
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM, make_cube
from respectra.errors import ConfigError
from respectra.testing.base import Battery, require, require_refusal, run_checks, smooth_spectra

TRACK_CHECKS: Battery[type[Track]] = Battery()
_check = TRACK_CHECKS.check
_SHAPE = (16, 20)


def check_track(track: str | type[Track]) -> dict[str, str]:
    """Run every check that our own tracks pass; the results are those of `run_checks`.

    Args:
        track: a name of ``respectra.cameras.list_tracks()``, or a class not registered yet.

    Raises:
        ConfigError: there is no track of that name.
        AssertionError: as :func:`run_checks`.

    Example:
        >>> check_track("clean")["the_same_seed_gives_the_same_image"]
        'passed'
    """
    entry = tracks().find(track) if isinstance(track, str) else track
    return run_checks(entry.name, entry, TRACK_CHECKS, slow=True)


def make(track: type[Track], *, seed: int = 0, **options: object) -> Track:
    """The track with its own response."""
    response = native_response(track.default_response)
    return track(options=track.option_type(**options), response=response, seed=seed)


def scene() -> xr.DataArray:
    """A cube of smooth spectra, some of them dark, none negative."""
    bands = CHALLENGE_WAVELENGTHS_NM.size
    values = 0.4 * smooth_spectra(np.random.default_rng(0), *_SHAPE, bands=bands)
    return make_cube(values.astype(np.float32), CHALLENGE_WAVELENGTHS_NM)


@_check
def it_says_what_it_is(track: type[Track]) -> None:
    """Name, summary, title, suffix of files, options with their defaults."""
    for fact in ("name", "summary", "title", "file_suffix"):
        require(getattr(track, fact, ""), f"it has no {fact}")
    require("." in track.file_suffix, f"{track.file_suffix!r} is no ending of a file's name")
    require(isinstance(track.exact, bool), "it does not say whether it is exact")
    track.option_type()


@_check
def an_unknown_option_is_refused(track: type[Track]) -> None:
    """A mistyped option is no silent default."""
    require_refusal(
        lambda: make(track, no_such_option=1), ConfigError, "no_such_option", "an unknown option"
    )


@_check
def it_renders_images_of_codes(track: type[Track]) -> None:
    """Linear, of the cube's size, in [0, 1], whole codes."""
    image = make(track).render(scene())
    shape = tuple(image.shape)
    require(image.dims == ("y", "x", "channel"), f"its image has dimensions {image.dims}")
    require(shape == (*_SHAPE, 3), f"a cube of {_SHAPE} gives an image of {shape}")
    values = image.values
    require(np.isfinite(values).all(), "its image holds NaN or infinity")
    require(values.min() >= 0 and values.max() <= 1, "its image leaves [0, 1]")
    require(image.attrs.get("track") == track.name, "its image does not name the track")
    require(values.std() > 0, "its image is flat")


@_check
def the_same_seed_gives_the_same_image(track: type[Track]) -> None:
    """And another seed another one, unless the track is exact."""
    camera, cube = make(track), scene()
    first = camera.render(cube, seed=3, key="a").values
    again = camera.render(cube, seed=3, key="a").values
    require(np.array_equal(first, again), "the same seed gives another image")
    other = camera.render(cube, seed=4, key="a").values
    changes = "the same" if np.array_equal(first, other) else "another"
    require(
        (changes == "the same") == track.exact,
        f"it says exact = {track.exact}, and another seed gives {changes} image",
    )


@_check
def the_cube_is_left_alone(track: type[Track]) -> None:
    """Nothing is computed in place."""
    cube = scene()
    make(track).render(cube)
    require(cube.identical(scene()), "it changes the cube that it is given")


@_check
def the_linear_model_is_that_of_its_matrix(track: type[Track]) -> None:
    """``project`` is the cube times ``response_matrix``."""
    camera, cube = make(track), scene()
    matrix = camera.response_matrix(CHALLENGE_WAVELENGTHS_NM)
    require(matrix.shape == (CHALLENGE_WAVELENGTHS_NM.size, 3), f"its matrix is {matrix.shape}")
    wanted = cube.values.astype(np.float64) @ matrix
    require(np.allclose(camera.project(cube).values, wanted), "project is not cube @ matrix")


@_check
def exposure_is_kept_where_it_says_so(track: type[Track]) -> None:
    """Twice the light gives twice the values."""
    camera, cube = make(track), scene()
    level = 0.25 / max(float(camera.project(cube).values.max()), 1e-9)
    dark, bright = (float(camera.render(cube * (level * k)).values.mean()) for k in (1, 2))
    kept = bool(abs(bright / max(dark, 1e-9) - 2) < 0.2)
    require(
        kept == track.keeps_exposure,
        f"it says keeps_exposure = {track.keeps_exposure}; twice the light gives "
        f"{bright / max(dark, 1e-9):.2f} times the values",
    )


@_check
def its_recipe_can_be_written_down(track: type[Track]) -> None:
    """As JSON, with the track's name and options."""
    recipe = json.loads(json.dumps(make(track).recipe(seed=1, key="a")))
    require(recipe["track"] == track.name, "the recipe does not name the track")
