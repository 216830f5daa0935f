"""The viewer: a page that shows the spectrum under the pointer, and the service behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from respectra.renaming import lazy_names
from respectra.viewer.extra import require_extra

if TYPE_CHECKING:
    from respectra.viewer.app import create_app
    from respectra.viewer.limits import Limits
    from respectra.viewer.notebook import View, show
    from respectra.viewer.service import Settings

__all__ = ["Limits", "Settings", "View", "create_app", "show"]

#: Loaded when first used: the web framework is an optional extra.
_HOMES = {
    "limits": ("Limits",),
    "service": ("Settings",),
    "notebook": ("View", "show"),
    "app": ("create_app",),
}

_load = lazy_names(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    if name in __all__:
        require_extra()
    return _load(name)
