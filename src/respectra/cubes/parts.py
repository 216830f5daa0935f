"""The files that a cube consists of, the hash of all that they say, and the cubes of many files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from respectra import storage
from respectra.cubes.formats import FORMATS
from respectra.cubes.formats.base import reading
from respectra.errors import FormatError
from respectra.files import recover
from respectra.identity import content_hash
from respectra.urls import Place, Url, parse_place


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


def find_cubes(arguments: Sequence[str]) -> list[Place]:
    """The cubes that arguments name, in their order, each once.

    Args:
        arguments: files and folders of this machine, each one cube; URLs of cubes, of folders, of
            which all cubes are taken, and patterns such as ``s3://bucket/scenes/*.mat``.

    Raises:
        FormatError: a folder or pattern by URL holds no cube or cannot be reached.

    Example:
        >>> [path.name for path in find_cubes(["scenes/a.mat", "scenes/b.zarr"])]
        ['a.mat', 'b.zarr']
    """
    found: list[Place] = []
    for argument in arguments:
        where = parse_place(argument)
        found += [where] if isinstance(where, Path) else _cubes_at(where)
    return list(dict.fromkeys(found))


def _cubes_at(url: Url) -> list[Url]:
    known = {suffix for entry in FORMATS for suffix in entry.suffixes if suffix}
    if not url.is_pattern and url.suffix.lower() in known:
        return [url]
    there = [other for other, _ in storage.find(url, stores=True)]
    cubes = [u for u in there if u.suffix.lower() in known and not u.name.startswith(".")]
    # What holds the values of a header beside it is no other cube.
    headers = {str(u.with_name(u.stem)) for u in cubes if u.suffix.lower() == ".hdr"}
    data = set(FORMATS.get("envi").suffixes) - {".hdr"}
    cubes = [
        u for u in cubes if u.suffix.lower() not in data or str(u.with_name(u.stem)) not in headers
    ]
    if not cubes:
        raise FormatError(f"{url} holds no cube ({', '.join(sorted(known))})")
    return cubes
