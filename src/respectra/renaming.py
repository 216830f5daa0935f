"""Names of an earlier version, kept for one more with a warning."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import ParamSpec, TypeVar

__all__ = ["former_name", "renamed_arguments"]

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


def former_name(module: str, name: str, names: Mapping[str, str]) -> str:
    """The present name of what a module called otherwise, with a warning; else the name itself.

    Args:
        module: its full name.
        name: what was asked for.
        names: former name -> present one.
    """
    if name not in names:
        return name
    message = f"{module}.{name} is now {names[name]}"
    warnings.warn(message, DeprecationWarning, stacklevel=3)
    return names[name]
