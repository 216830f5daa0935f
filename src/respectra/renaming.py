"""Names of rooms: loaded when they are used, and kept for a version under what they were called."""

from __future__ import annotations

import functools
import importlib
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

__all__ = ["lazy_names", "renamed_arguments"]

P = ParamSpec("P")
R = TypeVar("R")


def renamed_arguments(**names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function take arguments by the names that they had: ``former="present"``."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def taking_former_names(*args: P.args, **kwargs: P.kwargs) -> R:
            for former in names.keys() & kwargs.keys():
                message = f"{function.__name__}({former}=...) is now {names[former]}="
                warnings.warn(message, DeprecationWarning, stacklevel=2)
                kwargs[names[former]] = kwargs.pop(former)
            return function(*args, **kwargs)

        return taking_former_names

    return decorate


def lazy_names(
    room: str,
    homes: Mapping[str, Sequence[str]] | None = None,
    former: Mapping[str, str] | None = None,
    *,
    within: Collection[str] = (),
) -> Callable[[str], Any]:
    """The ``__getattr__`` of a room whose names are loaded when they are first used.

    Args:
        room: its full name.
        homes: module, within the room or by its full name -> the public names that it has.
        former: name of the version before -> present one, which warns.
        within: rooms of its own that are imported when they are first asked for.
    """
    places = {name: module for module, names in (homes or {}).items() for name in names}
    old = dict(former or {})

    def load(name: str) -> Any:
        present = old.get(name, name)
        if present != name:
            warnings.warn(f"{room}.{name} is now {present}", DeprecationWarning, stacklevel=2)
        module, _, attribute = present.rpartition(".")
        if module:
            return getattr(importlib.import_module(module), attribute)
        if present in places:
            place = places[present]
            full = place if place.startswith("respectra.") else f"{room}.{place}"
            return getattr(importlib.import_module(full), present)
        if present != name:
            return getattr(importlib.import_module(room), present)
        if name in within:
            return importlib.import_module(f"{room}.{name}")
        raise AttributeError(f"module {room!r} has no attribute {name!r}")

    return load
