"""Names of the arrays that pass from room to room."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Float32Array", "FloatArray"]

#: Values in float64: spectra, responses and matrices that are computed with.
FloatArray = npt.NDArray[np.float64]
#: Values in float32: pictures and cubes as they are stored.
Float32Array = npt.NDArray[np.float32]
