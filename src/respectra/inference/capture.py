"""Telling a method how its pictures were taken.

A network with ``set_camera`` is told the effective response. Every other method knows one camera
only, and gets the picture through the best 3 x 3 matrix to that one: least squares, relative, over
measured reflectances under the capture's light, with white kept. Either way the result is a set of
weights like any other, whose contract says which capture it is for.
"""

from __future__ import annotations

import dataclasses
import json
import warnings
from typing import Any

import numpy as np

from respectra.cameras import Capture, Noise, default_response, get_response
from respectra.cameras.responses import PHOTOGRAPH_LIGHT
from respectra.cameras.tracks import has_one_camera
from respectra.colour import make_light
from respectra.cubes import Quantity
from respectra.datasets.spectra import reflectances
from respectra.datasets.white_light import light_of_white
from respectra.errors import ConfigError, RespectraWarning
from respectra.inference.guarantees import camera_of
from respectra.methods import Contract, Weights, get_method
from respectra.methods.fitting import REFLECTANCES
from respectra.methods.network import CameraAware, NetworkMethod
from respectra.methods.settings import tell
from respectra.typing import FloatArray

#: Level of white in a method's own camera over that in the picture: no usual colour is clipped.
HEADROOM = 0.9
#: Where the channels of white differ by less than this factor, the camera has balanced it.
_EVEN = 1.02
#: A response is a method's own where it differs by less than this share of its peak.
_SAME = 1e-3


def bind(weights: Weights, capture: Capture, quantity: Quantity | None = None) -> Weights:
    """Weights for the pictures of a capture.

    Args:
        weights: of any method, for no capture yet or this very one.
        capture: its white and references looked up in a picture, if they are places there; a
            camera that is not stated is that of the weights.
        quantity: what comes out; reflectance by default, and what the weights give where the
            capture says nothing that they do not know.

    Returns:
        The same weights where the capture says nothing that they do not know.

    Raises:
        ConfigError: the weights are bound to another, or their own camera is not known.
        DataError: the capture's camera or light do not cover the bands.
    """
    contract = weights.contract
    held = capture_of(contract)
    if held is not None:
        told = capture.replace(references=None)
        same = told == Capture() or (told.camera is not None and held == _assuming(told, contract))
        if same and quantity in (None, contract.quantity):
            return weights
        raise ConfigError(
            f"these weights are for one capture already, {held}, and give {contract.quantity}; "
            "load those of the method, and tell them"
        )
    if says_nothing_new(contract, capture) and quantity in (None, contract.quantity):
        return weights
    if capture.camera is None:
        capture = capture.replace(camera=own_response(contract))
    capture = _assuming(capture.replace(references=None), contract)
    if quantity == "radiance" and capture.light is None and not capture.is_photograph:
        light = capture.assumed_light(contract.wavelengths_nm).attrs["name"]
        warnings.warn(
            f"radiance is reflectance times the light, which nobody stated: {light} is assumed, "
            "and a wrong one makes it wrong by as much; state it with light= (--light), or take "
            "reflectance",
            RespectraWarning,
            stacklevel=2,
        )
    return _bound(weights, capture, quantity or "reflectance", _tell_network(weights, capture))


def through_matrix(
    weights: Weights, capture: Capture, quantity: Quantity = "reflectance"
) -> Weights:
    """As :func:`bind`, by a 3 x 3 matrix also for networks that can be told a camera."""
    return _bound(weights, capture, quantity, None)


def _bound(weights: Weights, capture: Capture, target: Quantity, told: Weights | None) -> Weights:
    """Weights for a capture: those of a network that was told, or through a matrix."""
    contract = weights.contract
    grid = np.array(contract.wavelengths_nm)
    power = capture.power(grid)
    facts: dict[str, Any] = {"capture": json.dumps(capture.to_json()), "quantity": target}
    if told is not None:
        weights, scale = told, np.ones(grid.size)
    else:
        matrix, factor = camera_matrix(contract, capture)
        facts["camera_matrix"] = tuple(tuple(row) for row in matrix.tolist())
        scale = 1.0 / (factor * _light_of_own(contract, capture))
    if target == "radiance":
        scale = scale * power
    if not np.allclose(scale, 1.0, rtol=1e-12):
        facts["band_scale"] = tuple(scale.tolist())
    bound = Contract(**{**contract.model_dump(), **facts})
    return dataclasses.replace(weights, contract=bound)


def _assuming(capture: Capture, contract: Contract) -> Capture:
    """The capture with the light to assume where only white is known: the mean of known lights.

    Of a developed photograph white says nothing: every light is balanced away.
    """
    known = isinstance(capture.white, tuple) and len(capture.white) == 3
    if capture.light is not None or capture.assumed is not None or not known:
        return capture
    if capture.is_photograph:
        return capture
    white, grid = np.asarray(capture.white, np.float64), np.array(contract.wavelengths_nm)
    if white.max() < _EVEN * white.min():
        source = "white is balanced, so that its colour says nothing of the light"
        light = make_light(np.ones(grid.size), grid, name="equal-energy", source=source)
        return capture.replace(assumed=light)
    camera = capture.sensitivity(grid)
    power = light_of_white(camera, white, grid)
    source = "mean of the known lights in which white has this colour"
    return capture.replace(assumed=make_light(power, grid, name="of-white", source=source))


def says_nothing_new(contract: Contract, capture: Capture) -> bool:
    """Whether a capture states nothing that weights do not know: at most their own camera."""
    if capture.light is not None or capture.white is not None or capture.has_levels:
        return False
    if capture.noise or capture.is_photograph:
        return False
    if capture.camera is None:
        return True
    try:
        own = camera_of(contract).response_matrix(contract.wavelengths_nm)
    except ConfigError:
        return False
    told = capture.effective_response(contract.wavelengths_nm)
    shapes = [response / response.max() for response in (own, told)]  # gains of channels count
    return bool(np.abs(shapes[0] - shapes[1]).max() < _SAME)


def capture_of(contract: Contract) -> Capture | None:
    """The capture that a contract is for, or None."""
    if contract.capture is None:
        return None
    return Capture.from_json(contract.capture, where="the contract's capture")


def own_response(contract: Contract) -> Any:
    """The response of the camera that the weights were made for.

    Raises:
        ConfigError: it is not known.
    """
    if contract.response is not None:
        return contract.response.to_response()
    if has_one_camera(contract.track):
        return get_response(default_response(contract.track))
    raise ConfigError(
        f"neither the capture nor the weights, for the track {contract.track!r}, say which camera "
        "took the picture; state one: a name of respectra.list_cameras() or a file"
    )


def camera_matrix(contract: Contract, capture: Capture) -> tuple[FloatArray, float]:
    """The 3 x 3 matrix from a capture's values to those of the method's own camera.

    That sees the surfaces under equal energy: a method whose spectra are smooth would have none of
    the lines of a lamp, and reflectance, radiance over the light, all of them upside down. Of
    photographs it sees them under the light that they are developed to, which is smooth.

    Returns:
        the matrix (values of the own camera = matrix @ values), and the factor by which spectra in
        the method's scale exceed the capture's.

    Raises:
        ConfigError: the method's own camera is not known.
    """
    grid = np.array(contract.wavelengths_nm)
    seen = capture.effective_response(grid)
    own = own_matrix(contract) * _light_of_own(contract, capture)[:, None]
    white, own_white = seen.sum(axis=0), own.sum(axis=0)
    factor = HEADROOM * float(white.max() / own_white.max())
    own = own * factor
    surfaces = np.concatenate([reflectances(name, grid).values for name in REFLECTANCES])
    left, right = surfaces @ seen, surfaces @ own
    weight = 1.0 / np.maximum(np.linalg.norm(right, axis=1), 1e-6)
    return constrained_fit(left * weight[:, None], right * weight[:, None], white, own.sum(0)), (
        factor
    )


def _light_of_own(contract: Contract, capture: Capture) -> FloatArray:
    """The light under which the method's own camera is to see the surfaces, shape (band,)."""
    grid = np.array(contract.wavelengths_nm)
    light = capture.light
    displayed = light is None or light.attrs["name"] == PHOTOGRAPH_LIGHT
    if contract.quantity == "radiance" and capture.is_photograph and displayed:
        return capture.power(grid)
    return np.ones(grid.size)


def own_matrix(contract: Contract) -> FloatArray:
    """What the method's own camera makes of the spectra that it gives, shape (band, 3)."""
    if contract.quantity == "radiance":
        return camera_of(contract).response_matrix(contract.wavelengths_nm)
    camera = Capture(camera=own_response(contract))
    return camera.effective_response(contract.wavelengths_nm)


def constrained_fit(
    left: FloatArray, right: FloatArray, white: FloatArray, target: FloatArray
) -> FloatArray:
    """The matrix M with least |left @ Mᵀ − right|² among those with M @ white = target."""
    system = np.zeros((4, 4))
    system[:3, :3] = left.T @ left
    system[:3, 3] = system[3, :3] = white
    known = np.vstack([left.T @ right, target])
    return np.asarray(np.linalg.solve(system, known)[:3].T)


def _tell_network(weights: Weights, capture: Capture) -> Weights | None:
    """The weights of a network that was told the capture; None for methods that cannot be."""
    contract = weights.contract
    plain = contract.scaling == "unit" and weights.baked is None and weights.registered
    if not plain or not isinstance(get_method(weights.method), NetworkMethod):
        return None
    response = capture.effective_response(contract.wavelengths_nm)
    if contract.channel_order == "BGR":
        response = response[:, ::-1]
    if getattr(weights.config, "told", 0):
        noise = capture.noise if isinstance(capture.noise, Noise) else Noise()
        light = "told" if capture.light is not None else "white"
        return tell(weights, response, light=light, noise=(noise.read, noise.gain))
    from respectra.inference.networks import build

    network: Any = build(weights)
    aware: object = network
    if not isinstance(aware, CameraAware):
        return None
    import torch

    network.set_camera(torch.from_numpy(np.float32(response)))
    tensors = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    return dataclasses.replace(weights, tensors=tensors)
