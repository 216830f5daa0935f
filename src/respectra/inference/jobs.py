"""Pictures and the cubes that they become: here, or at any URL that fsspec reaches.

Work is done on files here, as everywhere: whoever does a job fetches its picture, makes the cube in
a folder of its own, and puts it where it belongs.
"""

from __future__ import annotations

import contextlib
import glob
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, Literal, TypeVar

from respectra import storage, uploads
from respectra.cameras import PICTURE_SUFFIXES, InputKind
from respectra.cubes.formats import FORMATS
from respectra.errors import ConfigError, FormatError
from respectra.inference.video_reader import CLIP_SUFFIXES
from respectra.urls import Place, Url, parse_place

__all__ = ["Job", "Outcome", "cube_files", "find_inputs", "is_clip"]

T = TypeVar("T")
_SUFFIXES = (*PICTURE_SUFFIXES, *CLIP_SUFFIXES)


@dataclass(frozen=True)
class Job:
    """A picture or clip, and the cube that it becomes."""

    source: Place
    target: Place
    kind: InputKind

    @property
    def name(self) -> str:
        """The picture, as it is named in messages and manifests."""
        return str(self.source)

    @property
    def place(self) -> str:
        """The cube, as it is named in messages."""
        return str(self.target)

    def told_to(self, function: Callable[[Path, InputKind], T]) -> T:
        """What a function makes of the picture, which may have to be fetched for that."""
        with storage.local_copy(self.source) as picture:
            return function(picture, self.kind)

    @contextlib.contextmanager
    def here(self) -> Iterator[tuple[Path, Path]]:
        """The picture, and where to write the cube; which is put where it belongs afterwards.

        Raises:
            FormatError: the picture cannot be fetched.
            OutputError: the cube cannot be put.
        """
        with contextlib.ExitStack() as stack:
            source = stack.enter_context(storage.local_copy(self.source))
            if isinstance(self.target, Path):
                yield source, self.target
                return
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="respectra-")))
            target = folder / self.target.name
            with storage.named(target, self.target):
                yield source, target
            uploads.put_outputs(folder, self.target, first=cube_files(target)[0])


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> rs.save_image(rs.make_image(np.full((8, 8, 3), 0.5), encoding="srgb"), "photo.png")
        >>> [outcome.status for outcome in rs.reconstruct_files("photo.png", "cube.npz")]
        ['done']
    """

    job: Job
    status: Literal["done", "skipped", "failed"]
    """``skipped``: a run before this one had done it."""
    seconds: float
    error: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the work says of its result, such as the flicker of a clip."""
    failure: BaseException | None = None
    """What was raised."""


def find_inputs(arguments: Sequence[str | os.PathLike[str]]) -> list[tuple[Place, PurePath]]:
    """Pictures and clips that arguments name, each with its place in an output folder.

    Args:
        arguments: files; folders, of which all pictures and clips are taken, not those of folders
            within; patterns such as ``shots/**/*.png``, whose folders are kept below the first
            part that is no pattern. Here, or by URL.

    Returns:
        Pairs of the file and its path relative to the folder or pattern, in the order of the
        arguments, sorted within each.

    Raises:
        FormatError: a folder or pattern holds no picture, or cannot be reached.
    """
    found: dict[Place, PurePath] = {}
    for argument in arguments:
        where = parse_place(argument)
        inputs = _by_url(where) if isinstance(where, Url) else _here(where)
        if not inputs:
            raise FormatError(f"{where} holds no picture and no clip ({', '.join(_SUFFIXES)})")
        for file, relative in inputs:
            found.setdefault(file, relative)
    return list(found.items())


def _here(path: Path) -> Sequence[tuple[Place, PurePath]]:
    if path.is_dir():
        root, files = path, list(path.iterdir())
    elif glob.has_magic(str(path)) and not path.exists():
        parts = path.parts
        plain = next(i for i, part in enumerate(parts) if glob.has_magic(part))
        root = Path(*parts[:plain])
        files = list(root.glob("/".join(parts[plain:])))
    else:
        return [(path, PurePath(path.name))]
    inputs = sorted(file for file in files if _is_input(file) and file.is_file())
    return [(file, file.relative_to(root)) for file in inputs]


def _by_url(url: Url) -> Sequence[tuple[Place, PurePath]]:
    if not url.is_pattern and url.suffix.lower() in _SUFFIXES:
        return [(url, PurePath(url.name))]
    return [(file, relative) for file, relative in storage.find(url) if _is_input(file)]


def _is_input(file: Place) -> bool:
    return not file.name.startswith(".") and file.suffix.lower() in _SUFFIXES


def is_clip(place: Place) -> bool:
    """Whether a file is a video, by its name."""
    return place.suffix.lower() in CLIP_SUFFIXES


def cube_files(target: Path) -> tuple[Path, ...]:
    """The files of a cube of this name, that which is opened first: for ENVI header and data."""
    try:
        return FORMATS.for_writing(target).files(target)
    except ConfigError:
        return (target,)
