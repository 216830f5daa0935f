"""Fitting a classical method on the measured spectra that the package's own libraries bring.

It takes seconds, needs no data of the user's, and is done once: what was fitted is kept in the
cache folder, under the hash of everything that it depends on.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import threadpoolctl

import respectra
from respectra.cache import cache_folder, fingerprint
from respectra.cameras import get_track
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.datasets.pairs import Pairs, render_pairs
from respectra.datasets.spectra import illuminants, reflectances
from respectra.errors import RespectraError
from respectra.identity import content_hash
from respectra.methods.contract import Contract, ResponseRecord
from respectra.methods.registry import build_classical, configure, get_classical, methods
from respectra.methods.weights import Weights
from respectra.methods.weights_files import load_weights, save_weights
from respectra.registry import own_package, package_of
from respectra.typing import FloatArray

#: Sources that colour-science brings; optional packages would make the result depend on them.
#: Smooth lights only: the lines of a fluorescent lamp teach spikes that most scenes lack.
REFLECTANCES = ("colorchecker-babelcolor", "pmc", "cie-ces99", "rawtoaces")
ILLUMINANTS = ("daylight", "blackbody")
#: Pairs drawn; more changes no score by more than the choice of another seed does.
COUNT = 20_000
SEED = 2020
#: What the result depends on besides the method: code and data of the package, and libraries.
_SOURCES = (
    "cameras",
    "colour",
    "datasets/pairs.py",
    "datasets/spectra.py",
    "methods/classical",
    "methods/contract.py",
    "methods/fitting.py",
)
_LIBRARIES = ("colour-science", "numpy", "scikit-learn", "scipy")


def measured_pairs(track: str = "clean", *, count: int = COUNT, seed: int = SEED) -> Pairs:
    """Pixels of measured reflectances under measured and standard lights, as a track sees them.

    Raises:
        ConfigError: unknown track.
    """
    grid = CHALLENGE_WAVELENGTHS_NM
    return render_pairs(
        np.concatenate([reflectances(source, grid).values for source in REFLECTANCES]),
        np.concatenate([illuminants(source, grid).values for source in ILLUMINANTS]),
        get_track(track).response_matrix(grid),
        count,
        seed=seed,
        exposure_range=(0.02, 1.0),
    )


def measured_values(camera: npt.ArrayLike, wavelengths_nm: npt.ArrayLike) -> FloatArray:
    """Linear values (n, 3) that a camera has of measured reflectances.

    Args:
        camera: shape (band, 3), values = reflectance @ camera.
        wavelengths_nm: shape (band,), nm.
    """
    surfaces = [reflectances(source, wavelengths_nm).values for source in REFLECTANCES]
    return np.asarray(np.concatenate(surfaces) @ np.asarray(camera), np.float64)


def fitted_once(name: str, *, track: str = "clean") -> Weights:
    """:func:`fit_on_measured_spectra`, or what it gave before on this machine.

    The file lies in ``respectra.cache.cache_folder()``. It counts only for the same code, data and
    libraries. Methods of other packages are fitted each time: what they depend on is not known.

    Args:
        name: a classical method of the registry.
        track: whose camera it is for.

    Raises:
        ConfigError: unknown method or track, or a network.
    """
    get_classical(name)
    if package_of(methods(), name) != own_package():
        return fit_on_measured_spectra(name, track=track)
    file = _cached(name, track)
    with contextlib.suppress(RespectraError):  # none yet, or damaged
        return load_weights(file)
    weights = fit_on_measured_spectra(name, track=track)
    with contextlib.suppress(RespectraError):  # a full or forbidden folder costs only time
        save_weights(weights, file, overwrite=True, shared=True)
    return weights


def _cached(name: str, track: str) -> Path:
    camera = get_track(track)
    key = fingerprint(
        configure(name).model_dump(mode="json"),
        ResponseRecord.of(camera.response).model_dump(mode="json"),
        [content_hash(file) for file in _sources()],
        [importlib.metadata.version(library) for library in _LIBRARIES],
    )
    return cache_folder() / "fitted" / f"{name}-{track}-{key}.safetensors"


def _sources() -> Iterator[Path]:
    """Code and tables that a fit depends on."""
    root = Path(respectra.__file__).parent
    for source in _SOURCES:
        place = root / source
        files = sorted(place.rglob("*")) if place.is_dir() else [place]
        yield from (file for file in files if file.suffix in (".py", ".csv"))


def fit_on_measured_spectra(name: str, *, track: str = "clean") -> Weights:
    """Fit a classical method at its defaults; the same result however many threads there are.

    Args:
        name: a classical method of the registry.
        track: whose camera it is for.

    Raises:
        ConfigError: unknown method or track, or a network.
    """
    method = build_classical(name)
    camera = get_track(track)
    matrix = camera.response_matrix(CHALLENGE_WAVELENGTHS_NM)
    with threadpoolctl.threadpool_limits(1):  # sums in another order differ in their last digits
        pairs = measured_pairs(track)
        method.fit(pairs.rgb, pairs.spectra, response=matrix, seed=SEED)
    contract = Contract(track=track, response=ResponseRecord.of(camera.response), clip_low=0.0)
    return method.to_weights(
        contract,
        {
            "fitted_on": {
                "reflectances": list(REFLECTANCES),
                "illuminants": list(ILLUMINANTS),
                "pairs": COUNT,
                "seed": SEED,
            },
            "respectra": respectra.__version__,
        },
    )
