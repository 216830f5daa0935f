"""Undoing what cameras do for beauty, where nothing is known of the camera.

A camera lifts the middle tones, rounds off the highlights, deepens the blacks and adds colour, each
in its own way. What light is likely behind a value, in relative error, was learned from simulated
cameras alone; no photograph was used. See ``scripts/fit_rendering.py`` and docs/photographs.md.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from respectra.colour.transfer import space_matrix
from respectra.threads import for_blocks

Float32Array = npt.NDArray[np.float32]

SHIPPED = Path(__file__).parents[1] / "data" / "rendering.safetensors"
#: Light comes out in this colour space, which holds the colours of phones and cameras.
LIGHT_SPACE = "rec2020"
#: Below this share of full scale, logarithms flatten.
FLOOR = 0.004
#: Nodes of the table along each axis, evenly spaced in logarithms.
NODES = 33
_PIECE = 1 << 15
_LOW, _HIGH = float(np.log(FLOOR)), float(np.log1p(FLOOR))


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
        """Light on the scene, linear R, G, B of ``LIGHT_SPACE`` from 0 to 1.

        The network's answers are read off a table of 33 steps a channel between which they are
        linear, so that a pixel's does not depend on what is computed beside it.

        Args:
            values: shape (…, 3), linear, from 0 to 1.
            space: their colour space, a name of :func:`respectra.colour.list_rgb_spaces`.

        Raises:
            ConfigError: there is no such space.
        """
        flat = np.ascontiguousarray(np.reshape(values, (-1, 3)), np.float32)
        out = np.empty_like(flat)
        matrix = np.ascontiguousarray(space_matrix(space, LIGHT_SPACE), np.float32)
        table = _table(self.weights)

        def run(start: int, stop: int) -> None:
            r, g, b = flat[start:stop].T
            light = np.stack([r * row[0] + g * row[1] + b * row[2] for row in matrix])
            out[start:stop] = _look_up(np.clip(light, 0.0, 1.0), table).T

        for_blocks(run, len(flat), _PIECE)
        return out.reshape(np.shape(values))


def _look_up(values: Float32Array, table: Float32Array) -> Float32Array:
    """Light of values in ``LIGHT_SPACE``, both (3, n)."""
    logs = np.log(values + np.float32(FLOOR))
    places = (logs - np.float32(_LOW)) * np.float32((NODES - 1) / (_HIGH - _LOW))
    node = np.clip(places.astype(np.int32), 0, NODES - 2)
    high = np.clip(places - node, 0.0, 1.0)
    shares = (1 - high, high)
    first = (node[0] * NODES + node[1]) * NODES + node[2]
    more = np.zeros_like(logs)
    for corner in np.ndindex(2, 2, 2):
        weight = shares[corner[0]][0] * shares[corner[1]][1] * shares[corner[2]][2]
        at = first + ((corner[0] * NODES + corner[1]) * NODES + corner[2])
        for channel in range(3):
            more[channel] += weight * table[channel].take(at)
    return np.asarray(np.minimum(np.exp(logs + more), 1.0), np.float32)


@functools.lru_cache(maxsize=2)
def _table(weights: Path) -> Float32Array:
    """Logarithms of light over values, shape (3, nodes³), R slowest."""
    from safetensors.numpy import load_file

    arrays = load_file(weights)

    def layer(values: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
        return np.asarray(values @ arrays[f"{name}.weight"].T + arrays[f"{name}.bias"])

    axis = np.linspace(_LOW, _HIGH, NODES)
    logs = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    hidden = np.concatenate([logs / 2 + 1, logs - logs.mean(axis=1, keepdims=True)], axis=1)
    for name in ("first", "second"):
        sums = layer(hidden, name)
        hidden = sums / (1 + np.exp(-sums))
    return np.ascontiguousarray(layer(hidden, "last").T, np.float32)
