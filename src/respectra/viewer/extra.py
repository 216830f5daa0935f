"""Whether what the viewer is built on is installed."""

from __future__ import annotations

from importlib.util import find_spec

from respectra.errors import MissingExtraError

#: Modules of the extra ``serve``.
_MODULES = ("fastapi", "uvicorn", "sse_starlette", "starlette", "h11")


def require_extra() -> None:
    """Ask for the extra before anything of it is imported.

    Raises:
        MissingExtraError: the extra ``serve`` is not installed.
    """
    for name in _MODULES:
        if find_spec(name) is None:
            raise MissingExtraError(name.replace("_", "-"), "serve", "the viewer")
