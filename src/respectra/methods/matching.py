"""Which network, in which configuration, has the tensors of a checkpoint: by names and shapes."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from respectra.errors import FormatError
from respectra.methods.checkpoints import some
from respectra.methods.registry import get_network, list_methods

if TYPE_CHECKING:
    from torch import Tensor, nn

    from respectra.methods.network import NetworkConfig, NetworkMethod, OfficialLayout, State

#: What reading a configuration off tensors raises when they are not those of the method.
_NOT_THOSE = (KeyError, ValueError, IndexError)
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Match:
    """A network whose tensors are exactly those of a checkpoint."""

    config: NetworkConfig
    keys: Mapping[str, str]
    """Our name of each tensor -> its name in the checkpoint."""
    own: bool
    """Whether the names are ours, not the authors'."""


def find_match(
    method: NetworkMethod[Any], state: State, options: Mapping[str, object]
) -> Match | None:
    """The authors' layout or else our own, with the configuration that the shapes tell.

    Args:
        method: that the tensors may be of.
        state: tensors by name.
        options: that no shape tells; they replace what they name.
    """
    return _theirs(method, state, options) or _ours(method, state, options)


def matching_methods(state: State) -> list[str]:
    """Names of the networks whose tensors these are, under the authors' names or else under ours.

    Several where networks differ in what has no shape.
    """
    networks = {name: get_network(name) for name in list_methods("network")}
    theirs = [name for name, method in networks.items() if _theirs(method, state, {})]
    return theirs or [name for name, method in networks.items() if _ours(method, state, {})]


def _theirs(
    method: NetworkMethod[Any], state: State, options: Mapping[str, object]
) -> Match | None:
    layout = method.official
    config = _told_config(method, layout, state, options) if layout else None
    if layout is None or config is None or _compare(method, layout, state, config):
        return None
    keys = {ours: layout.key(ours, config) for ours in _held(method, layout, config)}
    return Match(config, keys, own=False)


def _ours(method: NetworkMethod[Any], state: State, options: Mapping[str, object]) -> Match | None:
    given = {key: tuple(tensor.shape) for key, tensor in state.items()}
    for config in _own_configs(method, state, options):
        if _shapes(method, config) == given:
            return Match(config, {key: key for key in given}, own=True)
    return None


def what_differs(method: NetworkMethod[Any], state: State) -> str:
    """What speaks against tensors being those of a method in its authors' layout, in words.

    When the shapes tell no configuration, the published one is what they are compared with.
    """
    assert method.official is not None
    config = _told_config(method, method.official, state, {}) or method.config()
    differs = _compare(method, method.official, state, config)
    return differs or "its shapes fit no configuration"


def load_matched(name: str, match: Match, state: State) -> nn.Module:
    """The network with the tensors of a checkpoint, in evaluation mode.

    Raises:
        FormatError: values are not finite, or differ where the network has one and the same.
    """
    import torch

    method = get_network(name)
    tensors = {ours: state[key] for ours, key in match.keys.items()}
    if not match.own and method.official is not None and method.official.adapt is not None:
        adapt = method.official.adapt
        tensors = {ours: adapt(match.keys[ours], tensor) for ours, tensor in tensors.items()}
    broken = [match.keys[n] for n, t in tensors.items() if not bool(torch.isfinite(t).all())]
    if broken:
        raise FormatError(f"the checkpoint holds values that are not finite, in {some(broken)}")
    net = method.network(match.config)
    # What the authors' files do not hold keeps its initial values.
    net.load_state_dict({**net.state_dict(), **tensors})
    for names in _shared(net):
        if any(not torch.equal(tensors[n], tensors[names[0]]) for n in names):
            raise FormatError(
                f"these tensors of the checkpoint are one in {name}, but their values differ: "
                f"{some([match.keys[n] for n in names])}"
            )
    return net.eval()


def _shared(net: nn.Module) -> list[list[str]]:
    """Names under which one and the same parameter stands, for each that has several."""
    names: dict[int, list[str]] = {}
    for name, parameter in net.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return [several for several in names.values() if len(several) > 1]


def _told_config(
    method: NetworkMethod[Any],
    layout: OfficialLayout[Any],
    state: State,
    options: Mapping[str, object],
) -> NetworkConfig | None:
    try:
        config: NetworkConfig = method.config(**{**layout.configure(state).model_dump(), **options})
    except _NOT_THOSE:
        return None
    return config


def _own_configs(
    method: NetworkMethod[Any], state: State, options: Mapping[str, object]
) -> Iterator[NetworkConfig]:
    """Configurations that tensors under our names may have: the presets, and what shapes tell."""
    # Whose layers have other names need not be built any larger.
    smallest = _shapes(method, method.config(**method.presets.get("tiny", {})))
    if not 2 * len(_layers(smallest) & _layers(state)) > len(_layers(state)):
        return
    known = [method.config(**{**preset, **options}) for preset in ({}, *method.presets.values())]
    yield from known
    if method.official is None:
        return
    for config in known:
        # The authors' names of some layers depend on the number of blocks: try each preset's.
        try:
            theirs = {method.official.key(ours, config): t for ours, t in state.items()}
        except _NOT_THOSE:
            continue
        told = _told_config(method, method.official, theirs, options)
        if told is not None:
            yield told


def _layers(names: Iterable[str]) -> set[str]:
    """The parts of tensor names that are no numbers: what kinds of layers there are."""
    return {part for name in names for part in name.split(".") if not part.isdigit()}


def _shapes(method: NetworkMethod[Any], config: NetworkConfig) -> Shapes:
    """Shapes of the tensors of our network by name; nothing is allocated."""
    return _shapes_of(method.network, config)


def _held(method: NetworkMethod[Any], layout: OfficialLayout[Any], config: NetworkConfig) -> Shapes:
    """Those of the tensors that the authors' checkpoints hold."""
    shapes = _shapes(method, config)
    return {name: shape for name, shape in shapes.items() if name not in layout.absent}


@functools.lru_cache(maxsize=64)
def _shapes_of(network: Callable[[Any], nn.Module], config: NetworkConfig) -> Shapes:
    import torch

    with torch.device("meta"):
        net = network(config)
    return {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}


def _compare(
    method: NetworkMethod[Any], layout: OfficialLayout[Any], state: State, config: NetworkConfig
) -> str:
    """What differs between a checkpoint and the layout, in words; empty when nothing does."""
    held = _held(method, layout, config)
    shapes = {layout.key(ours, config): shape for ours, shape in held.items()}
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
