"""Messages for people who do not know the machine of the service, and need not."""

from __future__ import annotations

import re
from pathlib import Path

#: Folders and the name that ends them.
_ABSOLUTE = re.compile(r"(?<![\w.:/])/(?:[^\s/:;,'\"]+/)+[^\s/:;,'\"]*")


def without_paths(text: str, root: Path) -> str:
    """A message in which files have their names alone.

    Args:
        text: may name files by their paths.
        root: the folder that all files of the service lie in, whose own path may hold anything.
    """
    text = text.replace(f"{root}/", "/x/x/")
    return _ABSOLUTE.sub(lambda path: path[0].rsplit("/", 1)[-1], text)
