"""From a camera's linear values to linear R, G, B: a matrix, a root-polynomial, a Gaussian process.

A matrix or a root-polynomial (Finlayson, Mackiewicz, Hurlbert, Color correction using
root-polynomial regression, IEEE TIP 2015) follows the light on the scene and suits raw values. What
a camera does for beauty bends tones and colours where it likes; a Gaussian process (Rasmussen,
Williams, Gaussian Processes for Machine Learning, 2006) over the logarithm of the values follows
that near the colours that it was shown, and far from them is no more than a gain a channel.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from respectra.errors import ConfigError
from respectra.threads import for_blocks
from respectra.typing import Float32Array, FloatArray

#: Below this share of full scale, logarithms flatten.
FLOOR = 0.004
#: Nodes along each axis of a table of what light is behind a value, evenly spaced in logarithms.
NODES = 33
_LOW, _HIGH = float(np.log(FLOOR)), float(np.log1p(FLOOR))
#: Pixels that go through a table at a time.
PIECE = 1 << 15
#: Errors of a patch, in logarithms: of each channel, and of all alike.
_CHANNEL_NOISE, _PATCH_NOISE = 0.19, 0.07
#: Values and weights beyond these come from no chart.
_LARGEST_VALUE, _LARGEST_WEIGHT, _MOST_VALUES = 16.0, 1e4, 4096


def root_polynomial(values: npt.NDArray[np.floating]) -> npt.NDArray[Any]:
    """R, G, B and the roots of RG, GB, RB, shape (…, 6); homogeneous in exposure."""
    v = np.maximum(values, 0.0)
    r, g, b = v[..., 0], v[..., 1], v[..., 2]
    return np.stack([r, g, b, np.sqrt(r * g), np.sqrt(g * b), np.sqrt(r * b)], axis=-1)


@dataclass(frozen=True)
class ProcessCorrection:
    """A correction by a Gaussian process over the logarithm of values.

    The logarithm of a channel of light is that of the channel's value, plus a gain, plus a curve of
    that value, plus a function of the colour. How large these are and how fast they change was
    chosen on photographs of charts under open licences; see docs/photographs.md.

    Attributes:
        values: n rows of linear R, G, B of the camera: the colours that it was shown.
        weights: n rows, of each of them and each channel.
        scale: by which its light is multiplied.
        curve, curve_length: how far the curve goes, and over which distance it changes, in
            logarithms.
        colour, colour_length, brightness_length: the same of the function of the colour, which
            changes with colour (logarithms over their mean) and brightness (that mean).
        gain: how far the gains of channels differ.
    """

    values: tuple[tuple[float, ...], ...]
    weights: tuple[tuple[float, ...], ...]
    scale: float = 1.0
    curve: float = 0.2
    curve_length: float = 1.1
    colour: float = 0.33
    colour_length: float = 0.87
    brightness_length: float = 3.0
    gain: float = 0.5

    def __post_init__(self) -> None:
        for name, largest in (("values", _LARGEST_VALUE), ("weights", _LARGEST_WEIGHT)):
            table = _table(getattr(self, name), name)
            if table.ndim != 2 or table.shape[1] != 3 or not np.abs(table).max() <= largest:
                raise ConfigError(
                    f"the {name} of a correction are rows of 3 numbers up to {largest:g}; got "
                    f"shape {table.shape}"
                )
            if len(table) > _MOST_VALUES:
                raise ConfigError(f"a correction has at most {_MOST_VALUES} {name}")
            object.__setattr__(self, name, _rows(table))
        if len(self.values) != len(self.weights):
            raise ConfigError(
                f"a correction has a weight for each value; got {len(self.weights)} and "
                f"{len(self.values)}"
            )
        sizes = {k: v for k, v in asdict(self).items() if k not in ("values", "weights")}
        for name, size in sizes.items():
            number = isinstance(size, (int, float)) and not isinstance(size, bool)
            if not (number and 1e-3 <= size <= 1e3):
                raise ConfigError(f"{name} of a correction is from 0.001 to 1000; got {size!r}")

    def covariance(self, some: FloatArray, others: FloatArray) -> FloatArray:
        """Of the process at values, shapes (n, 3) and (m, 3), without noise: (3 n, 3 m).

        All values of R come first, then those of G, then those of B.
        """
        x, y = _logarithms(some), _logarithms(others)
        alike = np.kron(np.eye(3), np.ones((len(x), len(y))))
        curves = self.curve**2 * _falling(x.T.reshape(-1, 1), y.T.reshape(-1, 1), self.curve_length)
        return np.asarray(curves + 1.0 + alike * np.tile(self._colours(x, y), (3, 3)))

    def _colours(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """What channels have each for itself: gains and the function of the colour."""
        bright, others = (v.mean(axis=1, keepdims=True) for v in (x, y))
        near = _falling(x - bright, y - others, self.colour_length)
        near *= _falling(bright, others, self.brightness_length)
        return np.asarray(self.gain**2 + self.colour**2 * near)

    def log_ratio(self, values: FloatArray) -> FloatArray:
        """Logarithm of the light over the values, both above the floor; shape (n, 3)."""
        x, y = _logarithms(values), _logarithms(np.asarray(self.values))
        weights = np.asarray(self.weights)
        out = self._colours(x, y) @ weights + weights.sum()
        known, shared = y.T.reshape(-1, 1), self.curve**2 * weights.T.ravel()
        for channel in range(3):
            near = _falling(x[:, channel : channel + 1], known, self.curve_length)
            out[:, channel] += near @ shared
        return np.asarray(out)

    def __call__(self, values: npt.NDArray[np.floating]) -> Float32Array:
        """Linear R, G, B of values, both of shape (…, 3), from 0 to 1; see :func:`look_up`."""
        flat = np.clip(np.asarray(values, np.float32).reshape(-1, 3), 0.0, 1.0)
        out = np.empty_like(flat)

        def run(start: int, stop: int) -> None:
            light = np.exp(look_up(flat[start:stop].T, self._ratios)) - np.float32(FLOOR)
            out[start:stop] = np.clip(np.float32(self.scale) * light, 0.0, 1.0).T

        for_blocks(run, len(flat), PIECE)
        return out.reshape(np.shape(values))

    @property
    def brightest(self) -> float:
        """The most light that it gives for values up to 1, were there no limit."""
        return float(self.scale * (np.exp(node_logs().T + self._ratios) - FLOOR).max())

    @cached_property
    def _ratios(self) -> Float32Array:
        ratios = self.log_ratio(np.exp(node_logs()) - FLOOR)
        return np.ascontiguousarray(ratios.T, np.float32)


def node_logs() -> FloatArray:
    """Logarithms of the values at the nodes of a table, above the floor, (nodes³, 3), R slowest."""
    axis = np.linspace(_LOW, _HIGH, NODES)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)


def look_up(values: Float32Array, table: Float32Array) -> Float32Array:
    """Logarithms of the light of values from 0 to 1, both (3, n), above the floor.

    The table, (3, nodes³), holds logarithms of light over value; between its nodes it is linear. So
    a pixel's answer does not depend on what is computed beside it.
    """
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
    return np.asarray(logs + more, np.float32)


#: Rows of a matrix (3) or a root-polynomial (6), or a process.
Correction = tuple[tuple[float, ...], ...] | ProcessCorrection


def check_correction(correction: Any) -> Correction:
    """Three or six rows of three finite numbers, or a process; a ConfigError else."""
    if isinstance(correction, ProcessCorrection):
        return correction
    matrix = _table(correction, "rows")
    if matrix.shape not in ((3, 3), (6, 3)):
        raise ConfigError(f"a correction has 3 or 6 rows of 3 numbers; got {matrix.shape}")
    return _rows(matrix)


def correction_record(correction: Correction) -> Any:
    """As plain values of JSON."""
    if isinstance(correction, ProcessCorrection):
        return asdict(correction)
    return [list(row) for row in correction]


def read_correction(record: Any) -> Correction:
    """The correction of a record."""
    return ProcessCorrection(**record) if isinstance(record, dict) else record


def correct(values: Float32Array, correction: Correction) -> Float32Array:
    """Linear R, G, B of a camera's values, both of shape (…, 3), cut to [0, 1]."""
    if isinstance(correction, ProcessCorrection):
        return correction(values)
    matrix = np.asarray(correction, np.float32)
    terms = root_polynomial(values) if len(matrix) == 6 else values
    return np.asarray(np.clip(terms @ matrix, 0.0, 1.0), np.float32)


def light_of(values: FloatArray, correction: Correction) -> FloatArray:
    """As :func:`correct`, of a few values, shape (n, 3): exact, and nothing is cut."""
    if isinstance(correction, ProcessCorrection):
        logs = _logarithms(values) + correction.log_ratio(values)
        return np.asarray(correction.scale * (np.exp(logs) - FLOOR))
    matrix = np.asarray(correction)
    return np.asarray((root_polynomial(values) if len(matrix) == 6 else values) @ matrix)


def within_range(correction: Correction) -> tuple[Correction, float]:
    """A correction whose light is at most 1 for all values up to 1, and its scale over the old."""
    if isinstance(correction, ProcessCorrection):
        level = 1.0 / max(correction.brightest, 1.0)
        return replace(correction, scale=correction.scale * level), level
    level = 1.0 / max(float(light_of(np.ones((1, 3)), correction).max()), 1.0)
    return _rows(np.asarray(correction) * level), level


def fit_process(values: FloatArray, truth: FloatArray) -> ProcessCorrection:
    """The likeliest process from linear values of a camera to linear sRGB, both of shape (n, 3)."""
    prior = ProcessCorrection(_rows(values), _rows(np.zeros_like(values)))
    off = (_logarithms(truth) - _logarithms(values)).T.ravel()
    noise = _CHANNEL_NOISE**2 * np.eye(3 * len(values))
    noise += _PATCH_NOISE**2 * np.tile(np.eye(len(values)), (3, 3))
    weights = np.linalg.solve(prior.covariance(values, values) + noise, off)
    return ProcessCorrection(prior.values, _rows(weights.reshape(3, -1).T))


def _logarithms(values: FloatArray) -> FloatArray:
    return np.asarray(np.log(np.maximum(values, 0.0) + FLOOR))


def _falling(x: FloatArray, y: FloatArray, length: float) -> FloatArray:
    """Squared-exponential covariance of points, shapes (n, d) and (m, d)."""
    apart = np.zeros((len(x), len(y)))
    for k in range(x.shape[1]):
        apart += (x[:, k, None] - y[None, :, k]) ** 2
    return np.asarray(np.exp(-0.5 / length**2 * apart))


def _table(rows: Any, what: str) -> FloatArray:
    try:
        table = np.asarray(rows, np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"the {what} of a correction are numbers: {error}") from None
    if not table.size or not np.isfinite(table).all():
        raise ConfigError(f"the {what} of a correction are finite numbers")
    return table


def _rows(table: npt.ArrayLike) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(v) for v in row) for row in np.asarray(table))
