"""Checkpoints of the methods' own authors: read safely, checked key by key, described.

The files that people already have are PyTorch checkpoints without a word about what the network
was fed. The importer accepts a file only when its tensors are exactly those of the method it is
said to be, reads the configuration off their shapes, and writes down the missing contract.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from respectra.errors import ConfigError, FormatError, RespectraWarning
from respectra.methods.checkpoints import Checkpoint, read_checkpoint, some, unwrap
from respectra.methods.contract import Contract
from respectra.methods.registry import get_network, list_methods
from respectra.methods.weights import Weights

if TYPE_CHECKING:
    from torch import Tensor, nn

    from respectra.methods.network import NetworkConfig, NetworkMethod, OfficialLayout, State

#: How a file of HDF5 begins; Keras saves its weights so.
_HDF5 = b"\x89HDF\r\n\x1a\n"


def load_official(
    name: str, state_dict: Mapping[str, Any], *, track: str | None = None
) -> nn.Module:
    """A network with the authors' weights, its configuration read off their shapes.

    Args:
        name: of the method, such as ``awan``.
        state_dict: tensors under the authors' keys; the nestings and prefixes that training
            scripts add are removed.
        track: only needed where weights of one track run differently and the checkpoint does not
            tell (``hrnet`` of the 2022 toolbox, track ``exposed``, pads with zeros and leaves its
            gates out).

    Raises:
        ConfigError: unknown method or track, or its authors' layout is not known.
        FormatError: keys are missing, unknown or of another shape; names them, and the method
            that they fit, if there is one.
    """
    method, layout = _official(name)
    checkpoint = unwrap(state_dict)
    if track is None:
        track = _told_track(layout, checkpoint)
    else:
        _check_track(name, layout, track)
    return _load(name, method, layout, checkpoint.tensors, track)[1]


def recognise_official(state_dict: Mapping[str, Any]) -> list[str]:
    """Names of the methods whose authors' layout has exactly these keys and shapes; often one.

    Args:
        state_dict: as for :func:`load_official`.

    Raises:
        FormatError: there are no tensors in it.
    """
    state = unwrap(state_dict).tensors
    return [name for name in list_methods("network") if _fits(name, state)]


def import_official(
    name: str | None, path: str | os.PathLike[str], *, track: str | None = None
) -> Weights:
    """Weights from a file of the method's authors, with the contract that it lacks.

    Nothing in the file is executed. Save the result with ``save_weights``.

    Args:
        name: of the method, such as ``awan``; None for the one that the tensors are those of.
        path: the authors' file; ``.pth`` and the like, or safetensors with the authors' keys.
        track: what the weights were trained on; may be left out where only one is known, or the
            checkpoint tells.

    Raises:
        ConfigError: unknown method, a track is needed or not one of the known ones, or the tensors
            fit several methods.
        FormatError: the file cannot be read safely, or its tensors are not those of the method.

    Warns:
        RespectraWarning: the weights stretch every image to its own range, so that exposure is
            lost.
    """
    file = Path(path)
    if not file.is_file():
        raise FormatError(f"there is no checkpoint {file}")
    if name is None:
        name = _recognise(file)
    method, layout = _official(name)
    if track is not None:
        _check_track(name, layout, track)
    checkpoint = unwrap(layout.read(file) if layout.read else read_checkpoint(file))
    if track is None:
        track = _known_track(name, layout, checkpoint)
    config, net = _load(name, method, layout, checkpoint.tensors, track)
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
        raise ConfigError(
            f"no layout of checkpoints of {name} is known; it is for {', '.join(_known())}"
        )
    return method, method.official


def _known() -> list[str]:
    return [name for name in list_methods("network") if get_network(name).official is not None]


def _recognise(file: Path) -> str:
    """The one method whose authors' layout a file has."""
    fits: list[str] = []
    with file.open("rb") as opened:
        hdf5 = opened.read(len(_HDF5)) == _HDF5
    state = {} if hdf5 else unwrap(read_checkpoint(file)).tensors
    for name in list_methods("network"):
        layout = get_network(name).official
        if hdf5 and layout is not None and layout.read is not None:
            with contextlib.suppress(FormatError):
                fits += [name] * _fits(name, layout.read(file))
        elif state and layout is not None and layout.read is None:
            fits += [name] * _fits(name, state)
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise ConfigError(
            f"the tensors of {file} are those of {_listed(fits)}; say which: "
            "respectra import-weights METHOD FILE"
        )
    raise FormatError(
        f"the {len(state)} tensors of {file} ({some(list(state))}) are those of no method that is "
        f"known; layouts are known of {', '.join(_known())}"
    )


def _told_track(layout: OfficialLayout[Any], checkpoint: Checkpoint) -> str | None:
    if layout.tell_track is None:
        return None
    try:
        return layout.tell_track(checkpoint.tensors, checkpoint.beside)
    except (KeyError, ValueError, IndexError):  # not a checkpoint of this method
        return None


def _known_track(name: str, layout: OfficialLayout[Any], checkpoint: Checkpoint) -> str:
    """The only track, or the one that the checkpoint tells."""
    if len(layout.contract) == 1:
        return next(iter(layout.contract))
    track = _told_track(layout, checkpoint)
    if track is None:
        raise ConfigError(
            f"a checkpoint does not say on which track it was trained, and for {name} it "
            f"could be {_listed(layout.contract)}; name it with --track (track=)"
        )
    return track


def _check_track(name: str, layout: OfficialLayout[Any], track: str) -> None:
    if track not in layout.contract:
        raise ConfigError(
            f"weights of {name} are known for the track {_listed(layout.contract)}; got {track!r}"
        )


def _listed(names: Iterable[str]) -> str:
    return " or ".join(map(repr, names))


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
        raise FormatError(f"the checkpoint holds values that are not finite, in {some(broken)}")
    net = method.network(config)
    net.load_state_dict(tensors)
    for names in _shared(net):
        if any(not torch.equal(tensors[n], tensors[names[0]]) for n in names):
            keys = [layout.key(n, config) for n in names]
            raise FormatError(
                f"these tensors of the checkpoint are one in {name}, but their values differ: "
                f"{some(keys)}"
            )
    return config, net.eval()


def _shared(net: nn.Module) -> list[list[str]]:
    """Names under which one and the same parameter stands, for each that has several."""
    names: dict[int, list[str]] = {}
    for name, parameter in net.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return [several for several in names.values() if len(several) > 1]


def _match(
    method: NetworkMethod[Any],
    layout: OfficialLayout[Any],
    state: State,
    options: Mapping[str, object],
) -> tuple[NetworkConfig, str]:
    """The configuration that the shapes tell, and what speaks against it; empty when they fit.

    When they tell none, the published configuration is what they are compared with.
    """
    try:
        config = _told_config(method, layout, state, options)
    except (KeyError, ValueError, IndexError):
        config = method.config()
        return config, _compare(method, layout, state, config) or "its shapes fit no configuration"
    return config, _compare(method, layout, state, config)


def _told_config(
    method: NetworkMethod[Any],
    layout: OfficialLayout[Any],
    state: State,
    options: Mapping[str, object],
) -> NetworkConfig:
    """The configuration that the shapes tell. Raises KeyError, ValueError or IndexError."""
    config: NetworkConfig = method.config(**{**layout.configure(state).model_dump(), **options})
    return config


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
        if key in state and _adapted_shape(layout, key, state[key]) not in _equivalent(shape)
    ]
    parts = [
        f"{len(keys)} {what} ({some(keys)})"
        for keys, what in (
            (missing, "of its tensors are missing"),
            (extra, "are unknown to it"),
            (misshapen, "have another shape"),
        )
        if keys
    ]
    return ", ".join(parts)


def _equivalent(shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Some writers store a scalar as one value on an axis; PyTorch takes it as a scalar too."""
    return (shape,) if shape else ((), (1,))


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
    if layout is None:
        return False
    try:
        config = _told_config(method, layout, state, {})
    except (KeyError, ValueError, IndexError):
        return False
    return not _compare(method, layout, state, config)
