"""The network of Respectra over single pixels, in NumPy: ``respectra_network`` without noise.

PyTorch takes a second to load and some hundred megabytes, more than a photograph takes here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from respectra.methods.networks.respectra_config import (
    EPSILON,
    LEVEL_EPSILON,
    REACH,
    RespectraConfig,
    rename_former_parts,
    what_is_told,
)
from respectra.typing import Float32Array

_TINY = np.float32(1e-6)


class RespectraPixels:
    """The same function of pixels as :class:`~.respectra_network.Respectra`; see there.

    Args:
        config: of the network.
        tensors: its weights, by the names of its state dict.
    """

    def __init__(self, config: RespectraConfig, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
        self.config, self.denoises = config, config.denoises
        self.tensors = {name: np.asarray(tensor) for name, tensor in tensors.items()}
        rename_former_parts(self.tensors)
        self.means = 2 if config.scene else 0
        self._step = np.float32(0.0)

    def get_step(self) -> float:
        """Width of the cells of values; 0: they are exact."""
        return float(self._step)

    def set_step(self, step: float) -> None:
        """Take values from now on as the lower bounds of cells of this width, or as exact: 0."""
        self._step = np.float32(step)

    def set_capture(
        self,
        camera: npt.NDArray[Any] | None = None,
        *,
        light: Literal["told", "white", "unknown"] = "unknown",
        camera_known: bool = True,
        noise: tuple[float, float] = (0.0, 0.0),
        exposed_noise: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """Say everything that is known of the pictures that come from now on.

        See :meth:`~.respectra_network.Respectra.set_capture`.
        """
        if camera is not None:
            self._set_camera(np.asarray(camera, np.float64))
        told = what_is_told(
            self.config,
            light=light,
            camera_known=camera_known,
            noise=noise,
            exposed_noise=exposed_noise,
        )
        if told is not None:
            said, levels = (np.array(values, np.float32) for values in told)
            self.tensors |= {"said": said, "noise_levels": levels}
            self.denoises = bool(levels.any())

    def _set_camera(self, camera: npt.NDArray[np.float64]) -> None:
        seen = self.tensors["covariance"].astype(np.float64) @ camera
        small = max(seen.shape[1], 1) * np.finfo(np.float64).eps
        exact = np.linalg.pinv(camera.T @ seen, rcond=small) @ seen.T
        parts = {"camera": camera, "exact": exact, "free": np.eye(len(camera)) - camera @ exact}
        self.tensors |= {name: part.astype(np.float32) for name, part in parts.items()}

    @property
    def basis(self) -> Float32Array:
        """Basis spectra, (channels_in + rank, bands): the exact part first."""
        free = self.tensors["basis_spectra"] @ self.tensors["free"]
        return np.concatenate([self.tensors["exact"], free])

    def averaged(self, pixels: Float32Array, means: Sequence[Float32Array]) -> Float32Array:
        """Of pixels (n, channels_in), what the mean after these is taken over: (n, values)."""
        middle = pixels + np.float32(0.5) * self._step
        if not means:
            return self._ratios(middle)[0]
        seen = _positive(self._layer("scene_encoder1", self._features(middle, means)[1]))
        return _positive(self._layer("scene_encoder2", seen))

    def coefficients(self, pixels: Float32Array, means: Sequence[Float32Array]) -> Float32Array:
        """Of pixels (n, channels_in), given all means: (n, channels_in + rank)."""
        middle, total, _, hidden = self._encode_and_hide(pixels, means)
        return self._project(middle, total, hidden)

    def uncertainty(self, pixels: Float32Array, means: Sequence[Float32Array]) -> Float32Array:
        """Of pixels (n, channels_in), given all means: the expected absolute error, (n, bands)."""
        middle, total, features, hidden = self._encode_and_hide(pixels, means)
        answer = np.maximum(self._project(middle, total, hidden) @ self.basis, 0)
        if self.config.uncertainty_width:
            hidden = _positive(self._layer("uncertainty_layer", hidden))
        size = np.exp(self._layer("uncertainty_head", hidden).clip(-8.0, 4.0))
        learned = total * size * (self.tensors["spread"] / np.float32(answer.shape[1]))
        if self.config.scene:
            learned *= np.exp(self._chosen("level_power") * features[:, -1:])
        cell = self._chosen("cell_share") * self._step
        share = self._chosen("answer_share")
        return np.asarray(np.sqrt(learned**2 + cell**2 + (share * answer) ** 2), np.float32)

    def _encode_and_hide(
        self, pixels: Float32Array, means: Sequence[Float32Array]
    ) -> tuple[Float32Array, Float32Array, Float32Array, Float32Array]:
        """Middles of cells, sums of values, features, and what the last layers see of pixels."""
        middle = pixels + np.float32(0.5) * self._step
        total, features = self._features(middle, means)
        conditions = self._conditions(means)
        h = self._layer("first", features)
        if conditions:
            h += conditions[0]
        _positive(h)
        for i in range(self.config.layers):
            more = self._layer(f"layers.{i}", h)
            if i + 1 < len(conditions):
                more += conditions[i + 1]
            _positive(more)
            h = np.add(h, more, out=h) if self.config.residual else more
        return middle, total, features, h

    def _project(
        self, middle: Float32Array, total: Float32Array, hidden: Float32Array
    ) -> Float32Array:
        """Coefficients of pixels."""
        placed = middle
        if self._step:
            reach = np.float32(REACH * self._step)
            offset = reach * np.tanh(self._layer("offset_head", hidden))
            placed = np.asarray(middle + offset, np.float32)
        return np.concatenate([placed, total * self._layer("last", hidden)], axis=1)

    def _features(
        self, x: Float32Array, means: Sequence[Float32Array]
    ) -> tuple[Float32Array, Float32Array]:
        """Sum of the values, and ratios: of channels, of cells to values, to the scene's light."""
        total, ratios = self._ratios(x)
        wide = self._step
        cells: Any = wide / np.maximum(np.maximum(x, 0) + wide, np.float32(1e-9))
        every = [ratios, cells]
        if self.config.scene:
            light = np.maximum(means[0].reshape(1, 1), _TINY)
            every.append(np.log(total / light + np.float32(LEVEL_EPSILON)))
        return total, np.concatenate(every, axis=1)

    def _ratios(self, x: Float32Array) -> tuple[Float32Array, Float32Array]:
        """Sum of the values, and shares of the channels with two of their logarithms."""
        values = np.maximum(x @ (self.tensors["exact"] @ self.tensors["standard"]), 0)
        total = values.sum(axis=1, keepdims=True)
        share = values / np.maximum(total, _TINY)
        logs = np.log(share + np.float32(EPSILON))
        ends = logs[:, :1] - logs[:, -1:]
        middle = logs.mean(axis=1, keepdims=True) - logs[:, 1:2]
        return total, np.concatenate([share * np.float32(3), ends, middle], axis=1)

    def _conditions(self, means: Sequence[Float32Array]) -> list[Float32Array]:
        """What is added to every pixel of a scene, before each layer's nonlinearity."""
        codes = [means[1].reshape(1, -1)] if self.config.scene else []
        if not self.config.told:
            return [self._layer("condition", code) for code in codes]
        tensors = self.tensors
        analysis = tensors["camera"] @ tensors["exact"] @ tensors["standard"]
        size = np.maximum(np.abs(analysis).mean(axis=0), np.float32(1e-9))
        seen = np.concatenate([(analysis / size).ravel(), tensors["said"]])[None]
        code = _positive(self._layer("capture_encoder.into", seen))
        codes.append(_positive(self._layer("capture_encoder.out", code)))
        joined = np.concatenate(codes, axis=1)
        return [self._layer(f"conditions.{i}", joined) for i in range(self.config.layers + 1)]

    def _chosen(self, name: str) -> np.float32:
        """A number that older weights do not have, and do without."""
        return np.float32(self.tensors.get(name, 0.0))

    def _layer(self, name: str, x: Float32Array) -> Float32Array:
        weight = self.tensors[f"{name}.weight"]
        found: Float32Array = x @ weight.reshape(weight.shape[:2]).T
        found += self.tensors[f"{name}.bias"]
        return found


def _positive(x: Float32Array) -> Float32Array:
    """Negative values set to 0, in place."""
    return np.maximum(x, 0, out=x)
