"""How far off a recovered cube may be, from what a method says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from respectra.cubes import make_cube
from respectra.errors import ConfigError
from respectra.inference.backends.base import bits_of
from respectra.inference.tiled import TiledInference
from respectra.typing import Float32Array

if TYPE_CHECKING:
    from respectra.inference.reconstructor import Reconstructor
    from respectra.inference.self_ensemble import SelfEnsembledInference


def recover_with_uncertainty(
    reconstructor: Reconstructor, image: xr.DataArray
) -> tuple[xr.DataArray, xr.DataArray]:
    """The cube, and an array like it: the standard deviation of the error of each value.

    Of a network that says which errors it expects, that of a normal distribution is taken, √(π/2)
    times the mean absolute one; the guarantees' changes to the cube are not part of it. Of a
    self-ensemble it is the spread of its answers. Where symmetric answers agree the method may
    still be wrong: that is a lower bound of its error, and 0 everywhere for methods that look at
    single pixels.

    Raises:
        ConfigError: the method does not say how sure it is.
        DataError: as for the image alone.
    """
    whole = reconstructor.values_of(image)
    answers, guarantees = reconstructor.answers, reconstructor.guarantees
    if not isinstance(answers, TiledInference):
        return _spread(reconstructor, answers, whole)
    if not reconstructor.gives_uncertainty:
        raise ConfigError(
            f"{reconstructor.name} does not say how sure it is; take the spread of a "
            "self-ensemble: respectra.load(..., self_ensemble='flips').with_uncertainty(image)"
        )
    cube = reconstructor(image)
    picture, factor = guarantees.scale(whole)
    deviation: Float32Array | None = None
    if reconstructor.backend.says_uncertainty:
        rgb = np.asarray(picture.values, dtype=np.float32)
        deviation = answers.assemble(rgb, bits_of(picture), output="uncertainty")[0]
        deviation *= np.float32(factor * np.sqrt(np.pi / 2))
        if reconstructor.contract.band_scale is not None:
            deviation *= np.asarray(reconstructor.contract.band_scale, np.float32)
    return cube, cube.copy(data=guarantees.deviation(cube, whole, deviation))


def _spread(
    reconstructor: Reconstructor, answers: SelfEnsembledInference, whole: xr.DataArray
) -> tuple[xr.DataArray, xr.DataArray]:
    """Mean and standard deviation of the answers of a self-ensemble."""
    guarantees = reconstructor.guarantees
    picture, factor = guarantees.scale(whole)
    rgb = np.asarray(picture.values, dtype=np.float32)
    mean, deviation, layout = answers.moments(rgb, bits_of(picture))
    facts = reconstructor.cube_facts(layout)
    cube = make_cube(mean, reconstructor.contract.wavelengths_nm, **facts)
    if guarantees:
        cube = guarantees.enforce(cube, whole, factor)[0]
        deviation *= np.float32(factor)
    return cube, cube.copy(data=deviation)
