"""The viewer: a page that shows the spectrum under the pointer, and the service behind it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from respectra.viewer.app import create_app
    from respectra.viewer.limits import Limits
    from respectra.viewer.service import Settings
    from respectra.viewer.showing import View, show

__all__ = ["Limits", "Settings", "View", "create_app", "show"]

#: Loaded when first used: the web framework is an optional extra.
_HOMES = {
    "Limits": "limits",
    "Settings": "service",
    "View": "showing",
    "create_app": "app",
    "show": "showing",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"respectra.viewer.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'respectra.viewer' has no attribute {name!r}")
