"""Settings of a set of weights: what the network is told once, for all pictures that come."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from respectra.cameras import get_track
from respectra.errors import ConfigError, unknown_name
from respectra.methods.contract import ResponseRecord
from respectra.methods.registry import get_network
from respectra.methods.weights import Weights
from respectra.typing import FloatArray

#: What is told of the pictures of each track, besides its camera: see ``set_capture``. The noise
#: of the real-world track is that of its sensor, and what its JPEG adds to dark values.
TRACK_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "clean": {},
    "real-world": {"noise": (0.006, 0.0), "exposed_noise": (0.02, 0.0002)},
}


def tell(weights: Weights, camera: FloatArray | None = None, **capture: Any) -> Weights:
    """Weights of a network that was told of a capture; what it learned stays as it is.

    Args:
        weights: of a network with ``set_capture``.
        camera: the effective response, (band, channel).
        capture: what else :meth:`respectra.methods.network.CaptureAware.set_capture` takes.

    Raises:
        ConfigError: the network cannot be told, or these weights of it not that.
    """
    method = get_network(weights.method)
    make = method.in_numpy if weights.baked is None else None
    pixels = make and make(weights.config, weights.tensors)
    if pixels is not None:
        pixels.set_capture(camera, **capture)
        return _told(weights, pixels.tensors, denoises=pixels.denoises)
    import torch

    from respectra.methods.network import CaptureAware

    network = method.network(weights.config)
    if not isinstance(network, CaptureAware) or weights.baked is not None:
        raise ConfigError(f"{weights.method} cannot be told how its pictures were taken")
    state = {name: torch.from_numpy(np.array(t)) for name, t in weights.tensors.items()}
    network.load_state_dict(state)
    network.set_capture(None if camera is None else torch.from_numpy(camera.copy()), **capture)
    tensors = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    return _told(weights, tensors, denoises=network.denoises)


def _told(weights: Weights, tensors: Mapping[str, Any], *, denoises: bool) -> Weights:
    config = weights.config.model_copy(update={"denoises": denoises})
    return dataclasses.replace(weights, config=config, tensors=tensors)


def for_track(weights: Weights, track: str) -> Weights:
    """The same weights, told that pictures are a track's.

    Raises:
        ConfigError: no such track, or the network cannot be told of it.
    """
    if track not in TRACK_SETTINGS:
        raise unknown_name("track", track, TRACK_SETTINGS)
    camera = get_track(track)
    response = camera.response_matrix(weights.contract.wavelengths_nm)
    told = tell(weights, camera=response, **TRACK_SETTINGS[track])
    fields = {"track": track, "response": ResponseRecord.of(camera.response)}
    return dataclasses.replace(told, contract=weights.contract.model_copy(update=fields))
