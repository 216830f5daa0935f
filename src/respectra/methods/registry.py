"""The registry: every method by name, found in the files that define them."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from respectra.errors import ConfigError, unknown_name
from respectra.methods.card import Card
from respectra.methods.classical.base import ClassicalMethod

if TYPE_CHECKING:
    from torch import nn

    from respectra.config import Config
    from respectra.methods.network import NetworkMethod

    Method = NetworkMethod[Any] | type[ClassicalMethod]

_FOLDERS = ("classical", "networks")
#: Modules of those folders that define no method.
_HELPERS = frozenset({"base", "blocks", "dictionary", "regression", "respectra_parts"})


def methods() -> Mapping[str, Method]:
    """Every method by name, classical ones first, in the order of their files and names."""
    return _methods()


@functools.cache
def _methods() -> Mapping[str, Method]:
    found: dict[str, Method] = {}
    for folder in _FOLDERS:
        package = importlib.import_module(f"respectra.methods.{folder}")
        for info in pkgutil.iter_modules(package.__path__):
            if info.name in _HELPERS:
                continue
            module = importlib.import_module(f"{package.__name__}.{info.name}")
            _add(found, module.METHODS)
    return MappingProxyType(found)


def _add(found: dict[str, Method], entries: Iterable[Method]) -> None:
    for entry in entries:
        if entry.card.name in found:
            raise ConfigError(f"two methods are called {entry.card.name!r}; rename one")
        found[entry.card.name] = entry


def list_methods(kind: str | None = None) -> list[str]:
    """Names of all methods, or of one kind: ``classical`` or ``network``."""
    return [name for name, m in methods().items() if kind is None or m.card.kind == kind]


def get_method(name: str) -> Method:
    """A method by name.

    Raises:
        ConfigError: there is none of that name; suggests near ones.
    """
    found = methods()
    if name not in found:
        raise unknown_name("method", name, found)
    return found[name]


def get_card(name: str) -> Card:
    """The card of a method by name. Raises ConfigError for an unknown name."""
    return get_method(name).card


def get_network(name: str) -> NetworkMethod[Any]:
    """A network's entry by name. Raises ConfigError for an unknown name or a classical method."""
    method = get_method(name)
    if isinstance(method, type):
        raise ConfigError(f"{name!r} is a classical method, not a network; see build_classical")
    return method


def configure(name: str, *, preset: str = "published", **options: object) -> Config:
    """The configuration of a method: a preset, changed by named options.

    Raises:
        ConfigError: unknown method, preset or option, or a value that is not allowed.
    """
    method = get_method(name)
    presets = {"published": {}, **method.presets}
    if preset not in presets:
        raise unknown_name(f"preset of {name}", preset, presets)
    return method.config(**{**presets[preset], **options})


def build_network(name: str, *, preset: str = "published", **options: object) -> nn.Module:
    """A network with fresh weights; without options, the published configuration.

    Example:
        >>> net = build_network("lwrdanet")

    Raises:
        ConfigError: unknown method, preset or option, or a value that is not allowed.
    """
    return get_network(name).network(configure(name, preset=preset, **options))


def build_classical(name: str, *, preset: str = "published", **options: object) -> ClassicalMethod:
    """A classical method, not fitted yet.

    Raises:
        ConfigError: unknown method, preset or option, or a value that is not allowed.
    """
    method = get_method(name)
    if not isinstance(method, type):
        raise ConfigError(f"{name!r} is a network, not a classical method; see build_network")
    return method(configure(name, preset=preset, **options))
