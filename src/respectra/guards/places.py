"""What lies at a path, before it is opened."""

from __future__ import annotations

import os
import stat

from respectra.errors import FormatError


def require_file(path: str | os.PathLike[str]) -> None:
    """Refuse a pipe or a device, which may keep whoever reads it waiting, or never end.

    Raises:
        FormatError: it is one. Of what is not there, whoever opens it says so.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - whatever the name is
    except (OSError, ValueError):
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise FormatError(f"{path} is a pipe or a device; save what it gives to a file")
