"""The viewer: a page that shows the spectrum under the pointer, and the service behind it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from respectra.errors import MissingExtraError
from respectra.renaming import lazy_names

if TYPE_CHECKING:
    from respectra.viewer.app import create_app
    from respectra.viewer.notebook import View, show
    from respectra.viewer.settings import Limits, Settings

__all__ = ["Limits", "Settings", "View", "create_app", "show"]

#: Loaded when first used: the web framework is an optional extra.
_HOMES = {
    "settings": ("Limits", "Settings"),
    "notebook": ("View", "show"),
    "app": ("create_app",),
}

#: What the extra ``serve`` brings.
_EXTRA = ("fastapi", "uvicorn", "sse_starlette", "starlette", "h11")

_load = lazy_names(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    missing = [library for library in _EXTRA if name in __all__ and find_spec(library) is None]
    if missing:
        raise MissingExtraError(missing[0].replace("_", "-"), "serve", "the viewer")
    return _load(name)
