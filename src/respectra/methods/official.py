"""Checkpoints of the methods' own authors: read safely, checked key by key, described.

The files that people already have are PyTorch checkpoints without a word about what the network
was fed. The importer accepts a file only when its tensors are exactly those of the method it is
said to be, reads the configuration off their shapes, and writes down the missing contract.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from respectra.errors import ConfigError, FormatError, RespectraWarning
from respectra.methods.contract import Contract
from respectra.methods.registry import get_network, list_methods
from respectra.methods.weights import Weights

if TYPE_CHECKING:
    from torch import Tensor, nn

    from respectra.methods.network import NetworkConfig, NetworkMethod, OfficialLayout, State

#: Names under which training scripts nest the weights.
_NESTINGS = ("state_dict", "model_state_dict", "model", "net", "network", "params", "weights")
#: Prefixes that wrappers put before every key: DataParallel, torch.compile.
_WRAPPERS = ("module.", "_orig_mod.")


def load_official(
    name: str, state_dict: Mapping[str, Any], *, track: str | None = None
) -> nn.Module:
    """A network with the authors' weights, its configuration read off their shapes.

    Args:
        name: of the method, such as ``awan``.
        state_dict: tensors under the authors' keys; the nestings and prefixes that training
            scripts add are removed.
        track: only needed where weights of one track run differently (``hrnet`` of the 2022
            toolbox, track ``exposed``, pads with zeros).

    Raises:
        ConfigError: unknown method or track, or its authors' layout is not known.
        FormatError: keys are missing, unknown or of another shape; names them, and the method
            that they fit, if there is one.
    """
    method, layout = _official(name)
    if track is not None:
        _check_track(name, layout, track)
    return _load(name, method, layout, _unwrap(state_dict), track)[1]


def import_official(
    name: str, path: str | os.PathLike[str], *, track: str | None = None
) -> Weights:
    """Weights from a file of the method's authors, with the contract that it lacks.

    Nothing in the file is executed. Save the result with ``save_weights``.

    Args:
        name: of the method, such as ``awan``.
        path: the authors' file; ``.pth`` and the like, or safetensors with the authors' keys.
        track: what the weights were trained on; may be left out where only one is known.

    Raises:
        ConfigError: unknown method, a track is needed or not one of the known ones.
        FormatError: the file cannot be read safely, or its tensors are not those of the method.

    Warns:
        RespectraWarning: the weights stretch every image to its own range, so that exposure is
            lost.
    """
    method, layout = _official(name)
    if track is None:
        if len(layout.contract) > 1:
            raise ConfigError(
                f"a checkpoint does not say on which track it was trained, and for {name} it "
                f"could be {_listed(layout.contract)}; name it with --track (track=)"
            )
        track = next(iter(layout.contract))
    _check_track(name, layout, track)
    file = Path(path)
    if not file.is_file():
        raise FormatError(f"there is no checkpoint {file}")
    state = _unwrap(layout.read(file) if layout.read else _read(file))
    config, net = _load(name, method, layout, state, track)
    fields: dict[str, Any] = {"track": track, **layout.contract[track]}
    contract = Contract(**fields)
    if config.bands != contract.bands:
        raise FormatError(
            f"{file} gives {config.bands} bands, and weights of {name} for the track {track} "
            f"give {contract.bands}; nothing says at which wavelengths these are"
        )
    if not contract.keeps_exposure:
        warnings.warn(
            f"these weights of {name} stretch every image to its own minimum and maximum, as "
            "their authors did: the exposure of an image is lost, and a darker picture of a "
            "scene gives the same cube",
            RespectraWarning,
            stacklevel=2,
        )
    return Weights(
        method=name,
        config=config,
        contract=contract,
        tensors={key: value.numpy() for key, value in net.state_dict().items()},
        provenance={
            "origin": "checkpoint of the method's authors' layout",
            "source": layout.source,
            "file": file.name,
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        },
    )


def _official(name: str) -> tuple[NetworkMethod[Any], OfficialLayout[Any]]:
    method = get_network(name)
    if method.official is None:
        known = [n for n in list_methods("network") if get_network(n).official is not None]
        raise ConfigError(
            f"no layout of checkpoints of {name} is known; it is for {', '.join(known)}"
        )
    return method, method.official


def _check_track(name: str, layout: OfficialLayout[Any], track: str) -> None:
    if track not in layout.contract:
        raise ConfigError(
            f"weights of {name} are known for the track {_listed(layout.contract)}; got {track!r}"
        )


def _listed(names: Iterable[str]) -> str:
    return " or ".join(map(repr, names))


def _read(file: Path) -> Mapping[str, Any]:
    """The content of a checkpoint; only tensors, numbers, strings and containers are allowed."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if file.suffix == ".safetensors":
            tensors: Mapping[str, Any] = load_file(file)
            return tensors
        content = torch.load(file, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise FormatError(f"{file} is not a safetensors file: {error}") from None
    except pickle.UnpicklingError as error:
        if "Unsupported global" not in str(error):
            raise FormatError(f"{file} is not a PyTorch checkpoint, or is damaged") from None
        raise FormatError(
            f"{file} holds objects other than tensors, which only running code of the file could "
            "restore; that is never done. Save it again as torch.save(model.state_dict(), file)"
        ) from None
    except Exception as error:  # what PyTorch raises on bytes that are no checkpoint has no bounds
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise FormatError(f"{file} is not a PyTorch checkpoint, or is damaged ({reason})") from None
    if not isinstance(content, Mapping):
        raise FormatError(
            f"{file} holds one {type(content).__name__}, not tensors by name; save it again as "
            "torch.save(model.state_dict(), file)"
        )
    return content


def _unwrap(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors by name, out of the nesting and without the prefixes of wrappers."""
    import torch

    while not any(isinstance(value, torch.Tensor) for value in content.values()):
        inner = [content[n] for n in _NESTINGS if isinstance(content.get(n), Mapping)]
        if not inner:
            raise FormatError(
                "the checkpoint holds no tensors, neither at the top nor under "
                f"{', '.join(_NESTINGS)}; its keys are {_some(map(str, content))}"
            )
        content = inner[0]
    odd = [str(key) for key, value in content.items() if not isinstance(value, torch.Tensor)]
    if odd:
        raise FormatError(f"the checkpoint holds values that are no tensors: {_some(odd)}")
    state = {str(key): value for key, value in content.items()}
    while prefix := next((w for w in _WRAPPERS if all(k.startswith(w) for k in state)), None):
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _load(
    name: str,
    method: NetworkMethod[Any],
    layout: OfficialLayout[Any],
    state: State,
    track: str | None,
) -> tuple[NetworkConfig, nn.Module]:
    import torch

    options = layout.options.get(track, {}) if track is not None else {}
    config, problem = _match(method, layout, state, options)
    if problem:
        fits = [other for other in list_methods("network") if other != name and _fits(other, state)]
        hint = f"; these are weights of {_listed(fits)}" if fits else ""
        raise FormatError(f"this is no checkpoint of {name}: {problem}{hint}")
    tensors = {ours: state[layout.key(ours, config)] for ours in _shapes(method, config)}
    if layout.adapt is not None:
        tensors = {n: layout.adapt(layout.key(n, config), t) for n, t in tensors.items()}
    broken = [
        layout.key(n, config) for n, t in tensors.items() if not bool(torch.isfinite(t).all())
    ]
    if broken:
        raise FormatError(f"the checkpoint holds values that are not finite, in {_some(broken)}")
    net = method.network(config)
    net.load_state_dict(tensors)
    return config, net.eval()


def _match(
    method: NetworkMethod[Any],
    layout: OfficialLayout[Any],
    state: State,
    options: Mapping[str, object],
) -> tuple[NetworkConfig, str]:
    """The configuration that the shapes tell, and what speaks against it; empty when they fit.

    When they tell none, the published configuration is what they are compared with.
    """
    config: NetworkConfig
    try:
        config = method.config(**{**layout.configure(state).model_dump(), **options})
    except (KeyError, ValueError, IndexError):
        config = method.config()
        return config, _compare(method, layout, state, config) or "its shapes fit no configuration"
    return config, _compare(method, layout, state, config)


def _shapes(method: NetworkMethod[Any], config: NetworkConfig) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors of our network by name; nothing is allocated."""
    import torch

    with torch.device("meta"):
        net = method.network(config)
    return {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}


def _compare(
    method: NetworkMethod[Any], layout: OfficialLayout[Any], state: State, config: NetworkConfig
) -> str:
    """What differs between a checkpoint and the layout, in words; empty when nothing does."""
    shapes = {layout.key(ours, config): s for ours, s in _shapes(method, config).items()}
    missing = [key for key in shapes if key not in state]
    extra = [
        key
        for key in state
        if key not in shapes and not any(re.search(pattern, key) for pattern in layout.ignored)
    ]
    misshapen = [
        f"{key} is {tuple(state[key].shape)} instead of {shape}"
        for key, shape in shapes.items()
        if key in state and _adapted_shape(layout, key, state[key]) != shape
    ]
    parts = [
        f"{len(keys)} {what} ({_some(keys)})"
        for keys, what in (
            (missing, "of its tensors are missing"),
            (extra, "are unknown to it"),
            (misshapen, "have another shape"),
        )
        if keys
    ]
    return ", ".join(parts)


def _adapted_shape(layout: OfficialLayout[Any], key: str, tensor: Tensor) -> tuple[int, ...] | None:
    if layout.adapt is None:
        return tuple(tensor.shape)
    try:
        return tuple(layout.adapt(key, tensor).shape)
    except (RuntimeError, ValueError, IndexError):
        return None


def _fits(name: str, state: State) -> bool:
    method = get_network(name)
    layout = method.official
    return layout is not None and not _match(method, layout, state, {})[1]


def _some(names: Iterable[str], count: int = 3) -> str:
    """The first few names."""
    all_names = list(names)
    more = len(all_names) - count
    return ", ".join(all_names[:count]) + (f" and {more} more" if more > 0 else "")
