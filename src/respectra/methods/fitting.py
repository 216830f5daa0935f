"""Fitting a classical method on the measured spectra that the package's own libraries bring.

It takes a second or two, needs no data of the user's, and gives the same result everywhere.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

import respectra
from respectra.cameras import get_track
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.datasets.pairs import Pairs, render_pairs
from respectra.datasets.spectra import illuminants, reflectances
from respectra.methods.contract import Contract, ResponseRecord
from respectra.methods.registry import build_classical
from respectra.methods.weights import Weights

FloatArray = npt.NDArray[np.float64]

#: Sources that colour-science brings; optional packages would make the result depend on them.
#: Smooth lights only: the lines of a fluorescent lamp teach spikes that most scenes lack.
REFLECTANCES = ("colorchecker-babelcolor", "pmc", "cie-ces99", "rawtoaces")
ILLUMINANTS = ("daylight", "blackbody")
#: Pairs drawn; more changes no score by more than the choice of another seed does.
COUNT = 20_000
SEED = 2020


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


def fit_on_measured_spectra(name: str, *, track: str = "clean") -> Weights:
    """Fit a classical method at its defaults.

    Args:
        name: a classical method of the registry.
        track: whose camera it is for.

    Raises:
        ConfigError: unknown method or track, or a network.
    """
    method = build_classical(name)
    camera = get_track(track)
    pairs = measured_pairs(track)
    matrix = camera.response_matrix(CHALLENGE_WAVELENGTHS_NM)
    method.fit(pairs.rgb, pairs.spectra, response=matrix, seed=SEED)
    contract = Contract(track=track, response=ResponseRecord.of(camera.response), clip_low=0.0)
    return method.to_weights(
        contract,
        {
            "fitted_on": {
                "reflectances": REFLECTANCES,
                "illuminants": ILLUMINANTS,
                "pairs": COUNT,
                "seed": SEED,
            },
            "respectra": respectra.__version__,
        },
    )
