"""The registry: every method by name, found in the files that define them.

A method lies in the file of its name: ``mst-plus-plus`` in ``networks/mst_plus_plus.py``. So names
are listed without importing a file, and asking for one method imports its file alone. Other
packages add methods through the entry points ``respectra.methods``.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from respectra.errors import ConfigError, unknown_name
from respectra.methods.card import Card
from respectra.methods.classical.base import ClassicalEntry, ClassicalMethod
from respectra.registry import Registry

if TYPE_CHECKING:
    from torch import nn

    from respectra.config import Config
    from respectra.methods.network import NetworkMethod

    Method = NetworkMethod[Any] | ClassicalEntry

#: Group of the entry points of other packages.
GROUP = "respectra.methods"
_FOLDERS = {"classical": "classical", "networks": "network"}
#: Modules of those folders that define no method.
_HELPERS = frozenset({"base", "blocks", "dictionary", "regression"}) | {
    f"respectra_{part}" for part in ("config", "network", "parts", "pixels")
}


@functools.cache
def methods() -> Registry[Method]:
    """Every method by name: classical ones first, in the order of their files, plug-ins last."""
    registry: Registry[Method] = Registry("method", group=GROUP, accept=_accept)
    for folder in _FOLDERS:
        for name in _names(folder):
            registry.add(name, functools.partial(_load, folder, name))
    return registry


def _names(folder: str) -> Iterator[str]:
    """Names of the methods of a folder, from the names of its files."""
    place = str(Path(__file__).with_name(folder))
    for info in pkgutil.iter_modules([place]):
        if info.name not in _HELPERS:
            yield info.name.replace("_", "-")


def _load(folder: str, name: str) -> Method:
    module = importlib.import_module(f"respectra.methods.{folder}.{name.replace('-', '_')}")
    return _accept(name, module.METHOD)


def _accept(name: str, entry: Any) -> Method:
    """A method, from what a file or an entry point names: a network's entry or a class."""
    if isinstance(entry, type) and issubclass(entry, ClassicalMethod):
        entry = ClassicalEntry(entry)
    if isinstance(entry, ClassicalEntry):
        method: Method = entry
    else:
        from respectra.methods.network import NetworkMethod

        if not isinstance(entry, NetworkMethod):
            raise TypeError(f"expected a NetworkMethod or a ClassicalMethod class, got {entry!r}")
        method = entry
    if method.card.name != name:
        raise ValueError(f"its card says {method.card.name!r}; both names must be the same")
    return method


def list_methods(kind: str | None = None) -> list[str]:
    """Names of all methods, or of one kind: ``classical`` or ``network``.

    Example:
        >>> import respectra as rs
        >>> rs.list_methods("classical")[:3], "awan" in rs.list_methods("network")
        (['a-plus', 'nearest-neighbour', 'pca'], True)
    """
    registry = methods()
    if kind is None:
        return list(registry)
    own = [name for folder, is_of in _FOLDERS.items() if is_of == kind for name in _names(folder)]
    others = registry.usable(registry.others())
    return own + [name for name, method in others if method.card.kind == kind]


def get_method(name: str) -> Method:
    """A method by name.

    Raises:
        ConfigError: there is none of that name; suggests near ones.

    Example:
        >>> get_method("awan").card.team
        'IPIC_SSR'
    """
    return methods().find(name)


def get_card(name: str) -> Card:
    """The card of a method by name. Raises ConfigError for an unknown name.

    Example:
        >>> import respectra as rs
        >>> rs.get_card("awan").rank
        {'clean': 1, 'real-world': 3}
    """
    return get_method(name).card


def get_network(name: str) -> NetworkMethod[Any]:
    """A network's entry by name. Raises ConfigError for an unknown name or a classical method.

    Example:
        >>> sorted(get_network("awan").presets)
        ['10x180', '20x128', '8x96', 'tiny']
    """
    method = get_method(name)
    if isinstance(method, ClassicalEntry):
        raise ConfigError(f"{name!r} is a classical method, not a network; see build_classical")
    return method


def is_classical(name: str) -> bool:
    """Whether a method is a classical one. Raises ConfigError for an unknown name.

    Example:
        >>> is_classical("wiener"), is_classical("awan")
        (True, False)
    """
    return isinstance(get_method(name), ClassicalEntry)


def get_classical(name: str) -> ClassicalEntry:
    """A classical method's entry by name. Raises ConfigError for an unknown name or a network.

    Example:
        >>> get_classical("wiener").card.kind
        'classical'
    """
    method = get_method(name)
    if not isinstance(method, ClassicalEntry):
        raise ConfigError(f"{name!r} is a network, not a classical method; see build_network")
    return method


def configure(name: str, *, preset: str = "published", **options: object) -> Config:
    """The configuration of a method: a preset, changed by named options.

    Raises:
        ConfigError: unknown method, preset or option, or a value that is not allowed.

    Example:
        >>> configure("awan", preset="tiny").__class__.__name__
        'AWANConfig'
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


def build_classical(
    name: str, *, preset: str = "published", **options: object
) -> ClassicalMethod[Any]:
    """A classical method, not fitted yet.

    Raises:
        ConfigError: unknown method, preset or option, or a value that is not allowed.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> colours, spectra = rng.random((50, 3)), rng.random((50, 31))
        >>> method = build_classical("pseudo-inverse").fit(colours, spectra)
        >>> method.predict(colours[:2]).shape
        (2, 31)
    """
    return get_classical(name).build(configure(name, preset=preset, **options))
