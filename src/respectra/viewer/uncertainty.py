"""How far a method's spectra can be expected to be off, where it does not say so itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from respectra.cameras import get_track, make_image
from respectra.datasets.pairs import render_pairs
from respectra.datasets.spectra import illuminants, reflectances
from respectra.inference import Reconstructor

#: Materials that colour-science brings, so that every install measures the same.
_REFLECTANCES = ("cie-ces99", "rawtoaces", "pmc")
_ILLUMINANTS = ("daylight",)
_PIXELS = 4000
_SEED = 8


def typical_error(reconstructor: Reconstructor) -> npt.NDArray[np.float64] | None:
    """Standard deviation of the error in each band over the mean of the true spectrum.

    Measured on mixtures of measured materials under daylight, as the
    weights' camera sees them. Materials like these took part in fitting, so that it is
    a lower bound for surfaces that are like none of them. It depends on the light, which is why
    one profile serves all pixels.

    Returns:
        shape (band,), or None where the method looks at neighbours: loose pixels tell nothing.
    """
    if reconstructor.sees_neighbours:
        return None
    grid = np.asarray(reconstructor.contract.wavelengths_nm, np.float64)
    pairs = render_pairs(
        np.concatenate([reflectances(name, grid).values for name in _REFLECTANCES]),
        np.concatenate([illuminants(name, grid).values for name in _ILLUMINANTS]),
        get_track(reconstructor.contract.track).response_matrix(grid),
        _PIXELS,
        seed=_SEED,
        exposure_range=(0.1, 1.0),
    )
    values = np.clip(pairs.rgb, 0.0, 1.0)[None]
    image = make_image(values, encoding="linear", bits=32, track=reconstructor.contract.track)
    error = reconstructor(image).values[0] - pairs.spectra
    relative = error / pairs.spectra.mean(axis=1, keepdims=True)
    return np.asarray(np.sqrt(np.mean(relative**2, axis=0)), np.float64)
