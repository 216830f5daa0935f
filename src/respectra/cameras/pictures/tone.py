"""Undoing what cameras do for beauty: a tone curve, and light that was scattered onto the sensor.

A camera develops a photograph for a display: it lifts the middle, deepens the contrast and rounds
off the highlights. What sRGB's own curve gives is then not proportional to the light on the scene.
The model is, for each channel of linear light v in [0, 1],

    light = (exp((1 + slope) ln v + bend (ln v)²) - flare) / (1 - flare),

a power law whose exponent changes with the value, but is nowhere below a least one. It is fitted to
a chart in the picture. Where nothing is known of the camera, :class:`Rendering` undoes what cameras
do on the whole: what light is likely behind a value, in relative error, was learned from simulated
cameras alone; no photograph was used. See ``scripts/fit_rendering.py`` and docs/photographs.md.
"""

from __future__ import annotations

import functools
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from respectra.cameras.correction import PIECE, look_up, node_logs
from respectra.colour.transfer import space_matrix
from respectra.errors import ConfigError, FormatError, reading
from respectra.files import atomic_path
from respectra.guards.text import read_object
from respectra.threads import for_blocks
from respectra.typing import Float32Array, FloatArray

_FORMAT, _VERSION = "respectra tone", 1
#: Nothing below this share of full scale is told apart from black.
_DARKEST = 1e-5
#: Light grows at least as this power of the value.
_LEAST_EXPONENT = 0.3


@dataclass(frozen=True)
class Tone:
    """A camera's tone curve and flare.

    Attributes:
        slope: by how much the exponent at full scale is above 1.
        bend: how the exponent changes with the logarithm of the value.
        flare: light that is everywhere, in shares of full scale.
        name: where it comes from.

    Example:
        >>> import numpy as np
        >>> Tone().undo(np.array([0.0, 0.5, 1.0])).tolist()
        [0.0, 0.5, 1.0]
    """

    slope: float = 0.0
    bend: float = 0.0
    flare: float = 0.0
    name: str = "a tone curve"

    def __post_init__(self) -> None:
        numbers = (self.slope, self.bend, self.flare)
        if not all(isinstance(v, (int, float)) and math.isfinite(v) for v in numbers):
            raise ConfigError(f"a tone curve has three finite numbers; got {numbers}")
        if not 0 <= self.flare < 0.5:
            raise ConfigError(f"flare is a share of full scale, from 0 to 0.5; got {self.flare:g}")
        darkest = 1 + self.slope + 2 * self.bend * math.log(_DARKEST)
        if 1 + self.slope < _LEAST_EXPONENT or darkest > 20:
            raise ConfigError(f"slope {self.slope:g} and bend {self.bend:g} are no tone curve")

    def undo(self, values: npt.NDArray[np.floating]) -> Float32Array:
        """Light on the scene of linear values, both in [0, 1], in the shape of them."""
        table = self._table()
        places = np.linspace(0.0, 1.0, table.size)
        # Roots of values: dark ones lie further apart.
        root = np.sqrt(np.clip(np.asarray(values, np.float64), 0.0, 1.0))
        return np.interp(root, places, table).astype(np.float32)

    def _table(self) -> FloatArray:
        values = np.linspace(0.0, 1.0, 4096) ** 2
        log = np.log(np.maximum(values, _DARKEST))
        # From here on down the exponent is the least one.
        edge = -np.inf
        if self.bend > 0:
            edge = (_LEAST_EXPONENT - 1 - self.slope) / (2 * self.bend)
        upper = np.maximum(log, edge)
        light = np.exp(
            (1 + self.slope) * upper + self.bend * upper**2 + _LEAST_EXPONENT * (log - upper)
        )
        light[values < _DARKEST] = 0.0
        table: FloatArray = np.clip((light - self.flare) / (1 - self.flare), 0.0, 1.0)
        return table

    def save(self, path: Path, *, overwrite: bool = False) -> None:
        """Write one JSON file."""
        record = {"format": _FORMAT, "version": _VERSION, **asdict(self)}
        with atomic_path(path, overwrite=overwrite) as temporary:
            temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def open_tone(path: Path) -> Tone:
    """Read what :meth:`Tone.save` wrote; a FormatError where it is no tone curve."""
    with reading(path, "a tone curve"):
        record = dict(read_object(path))
        if record.pop("format", None) != _FORMAT or record.pop("version", None) != _VERSION:
            raise FormatError("is no tone curve of this version")
        return Tone(**record)


SHIPPED = Path(__file__).parents[1] / "data" / "rendering.safetensors"
#: Light comes out in this colour space, which holds the colours of phones and cameras.
LIGHT_SPACE = "rec2020"


@dataclass(frozen=True)
class Rendering:
    """What cameras do to pictures, on the whole.

    Attributes:
        weights: file of the network; that which ships by default.

    Example:
        >>> import numpy as np
        >>> Rendering().undo(np.full((2, 3), 0.2), "srgb").shape
        (2, 3)
    """

    weights: Path = SHIPPED

    def undo(self, values: npt.NDArray[np.floating], space: str) -> Float32Array:
        """Light on the scene, linear R, G, B of ``LIGHT_SPACE``, of linear values of a space.

        Both have shape (…, 3) and are from 0 to 1. The network's answers are read off a table; see
        :func:`respectra.cameras.correction.look_up`.
        """
        flat = np.ascontiguousarray(np.reshape(values, (-1, 3)), np.float32)
        out = np.empty_like(flat)
        matrix = np.ascontiguousarray(space_matrix(space, LIGHT_SPACE), np.float32)
        table = _table(self.weights)

        def run(start: int, stop: int) -> None:
            r, g, b = flat[start:stop].T
            light = np.stack([r * row[0] + g * row[1] + b * row[2] for row in matrix])
            logs = look_up(np.clip(light, 0.0, 1.0), table)
            out[start:stop] = np.minimum(np.exp(logs), np.float32(1.0)).T

        for_blocks(run, len(flat), PIECE)
        return out.reshape(np.shape(values))


@functools.lru_cache(maxsize=2)
def _table(weights: Path) -> Float32Array:
    """Logarithms of light over values, shape (3, nodes³), R slowest."""
    from safetensors.numpy import load_file

    arrays = load_file(weights)

    def layer(values: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
        return np.asarray(values @ arrays[f"{name}.weight"].T + arrays[f"{name}.bias"])

    logs = node_logs()
    hidden = np.concatenate([logs / 2 + 1, logs - logs.mean(axis=1, keepdims=True)], axis=1)
    for name in ("first", "second"):
        sums = layer(hidden, name)
        hidden = sums / (1 + np.exp(-sums))
    return np.ascontiguousarray(layer(hidden, "last").T, np.float32)
