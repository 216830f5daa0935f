"""The files that a cube consists of, and the hash of all that they say."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from respectra.cubes.formats import FORMATS
from respectra.cubes.formats.base import reading
from respectra.files import recover
from respectra.identity import content_hash


def cube_parts(path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """The files of a cube, whichever of them is named; a folder is one of them.

    Raises:
        FormatError: missing, empty, or not what its suffix says.
    """
    path = Path(path)
    recover(path)
    with reading(path, "cube"):
        entry = FORMATS.for_reading(path)
    with reading(path, entry.title):
        return entry.parts(path)


def cube_hash(path: str | os.PathLike[str]) -> str:
    """SHA-256 of all that a cube says, by whichever of its files it is named.

    Of a single file it is what ``sha256sum`` gives; of a folder (Zarr, a PNG a band) and of an
    ENVI header with its data it covers every file, and changes with any of them.

    Raises:
        FormatError: as :func:`cube_parts`, or a file cannot be read.
    """
    hashes = [content_hash(part) for part in cube_parts(path)]
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()
