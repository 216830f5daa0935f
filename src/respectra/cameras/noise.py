"""The noise of a camera's linear values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from respectra.errors import ConfigError
from respectra.typing import FloatArray

__all__ = ["Noise"]


@dataclass(frozen=True)
class Noise:
    """Noise of linear values: their variance is ``gain`` times the value plus ``read`` squared.

    Attributes:
        gain: variance per unit of value, in full scale; one over the electrons at full scale.
        read: standard deviation in the dark, in full scale.

    Example:
        >>> import numpy as np
        >>> Noise(gain=0.01, read=0.002).deviation(np.array([0.0, 0.25])).round(4).tolist()
        [0.002, 0.05]
    """

    gain: float = 0.0
    read: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.gain < 1 and 0 <= self.read < 1):
            raise ConfigError(
                f"noise is stated in full scale, from 0 to 1; got gain {self.gain!r}, "
                f"read {self.read!r}"
            )

    def __bool__(self) -> bool:
        return self.gain > 0 or self.read > 0

    def deviation(self, values: npt.ArrayLike) -> FloatArray:
        """Standard deviation of the noise of linear values, in the shape of them."""
        signal = np.maximum(np.asarray(values, np.float64), 0.0)
        return np.asarray(np.sqrt(self.gain * signal + self.read**2))
