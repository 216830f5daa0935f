"""A store: scenes ready to be cut into patches, memory-mapped, one file a split.

``index.json`` says what lies where: for each scene the offset of its cube, (y, x, band) in
float16 or float32, of its images, (y, x, channel) in the codes of the camera, and of the mask of
measured pixels. Offsets are multiples of 64 bytes; numbers are little-endian.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, NonNegativeInt

from respectra.config import Config
from respectra.cubes import make_cube
from respectra.errors import ConfigError, DataError, FormatError, unknown_name
from respectra.files import recover
from respectra.guards.text import read_object
from respectra.storage import local_folder
from respectra.typing import FloatArray

INDEX = "index.json"
#: Folder within a store in which it grows until it is complete.
PART = ".part"
FORMAT = "respectra-store"
VERSION = 1
ALIGNMENT = 64

CubeType = Literal["float16", "float32"]


class ImageEntry(Config):
    """An image of a scene within its split's file."""

    offset: NonNegativeInt
    dtype: Literal["uint8", "uint16"]
    full_scale: float = Field(gt=0)
    """Value = code / full_scale."""
    origin: str
    """The name of the file it was read from, or ``rendered``."""


class SceneEntry(Config):
    """A scene within its split's file."""

    name: str
    group: str
    source: str
    source_sha256: str
    quantity: Literal["radiance", "reflectance"]
    shape: tuple[NonNegativeInt, NonNegativeInt]
    """Rows and columns."""
    cube: NonNegativeInt
    """Offset of the cube."""
    images: dict[str, ImageEntry]
    valid: NonNegativeInt
    """Offset of the mask, one byte a pixel."""
    valid_share: float
    start: NonNegativeInt
    stop: NonNegativeInt
    """The bytes that belong to the scene."""
    sha256: str
    """Of these bytes."""


class SplitEntry(Config):
    """A split: one file of scenes one after another."""

    file: str
    size: NonNegativeInt
    scenes: tuple[SceneEntry, ...]


class Index(Config):
    """What a store holds."""

    format: Literal["respectra-store"] = "respectra-store"
    version: Literal[1] = 1
    collection: str
    layout: str
    dtype: CubeType
    wavelengths_nm: tuple[float, ...]
    tracks: dict[str, Any]
    """Recipe of each track that rendered images; the key of a scene is its name."""
    splits: dict[str, SplitEntry]


@dataclass(frozen=True)
class SceneArrays:
    """The arrays of one scene, without a copy where they come from a store."""

    name: str
    group: str
    cube: npt.NDArray[Any]
    """(y, x, band), float16 or float32."""
    images: Mapping[str, tuple[npt.NDArray[Any], float]]
    """Track -> codes (y, x, channel), and the code that is 1."""
    valid: npt.NDArray[np.bool_]
    """(y, x): which pixels were measured."""
    whole: bool
    """Whether all of them were."""


class StoreSplit:
    """The scenes of one split. It can be sent to other processes, which map the file anew."""

    def __init__(self, folder: Path, index: Index, name: str) -> None:
        self.name = name
        self.folder = folder
        self.index = index
        self.entries = index.splits[name].scenes
        self._bytes: npt.NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[SceneArrays]:
        return (self[k] for k in range(len(self)))

    def __getitem__(self, number: int) -> SceneArrays:
        entry = self.entries[number]
        rows, columns = entry.shape
        bands = len(self.index.wavelengths_nm)
        valid = self._view(entry.valid, (rows, columns), "bool")
        return SceneArrays(
            name=entry.name,
            group=entry.group,
            cube=self._view(entry.cube, (rows, columns, bands), self.index.dtype),
            images={
                track: (self._view(i.offset, (rows, columns, 3), i.dtype), i.full_scale)
                for track, i in entry.images.items()
            },
            valid=valid,
            whole=entry.valid_share == 1.0,
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_bytes": None}

    @property
    def wavelengths_nm(self) -> FloatArray:
        """Shape (band,)."""
        return np.asarray(self.index.wavelengths_nm, dtype=np.float64)

    def open_cube(self, number: int) -> Any:
        """A scene's cube, labelled, as float32 in memory."""
        entry = self.entries[number]
        cube = make_cube(self[number].cube, self.wavelengths_nm, source=entry.source)
        cube.attrs["quantity"] = entry.quantity
        return cube

    def verify(self) -> None:
        """Compare the data with their hashes.

        Raises:
            FormatError: the bytes of a scene are not those that were written.
        """
        data = self._map()
        for entry in self.entries:
            if hashlib.sha256(data[entry.start : entry.stop].data).hexdigest() != entry.sha256:
                raise FormatError(
                    f"{self.folder / self.index.splits[self.name].file}: the data of "
                    f"{entry.name} changed since the store was written; prepare it again"
                )

    def _map(self) -> npt.NDArray[np.uint8]:
        if self._bytes is None:
            split = self.index.splits[self.name]
            path = self.folder / split.file
            try:
                size = path.stat().st_size
                mapped = np.memmap(path, np.uint8, mode="r") if size else np.empty(0, np.uint8)
            except OSError as error:
                raise FormatError(f"cannot read {path}: {error.strerror or error}") from None
            if size != split.size:
                raise FormatError(
                    f"{path} has {size:,} bytes where its index says {split.size:,}; "
                    "copy the store anew or prepare it again"
                )
            self._bytes = np.asarray(mapped)
        return self._bytes

    def _view(self, offset: int, shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
        kind = np.dtype(dtype).newbyteorder("<")
        stop = offset + math.prod(shape) * kind.itemsize
        data = self._map()
        if stop > data.size:
            raise FormatError(f"{self.folder / INDEX} points beyond the end of its data")
        return data[offset:stop].view(kind).reshape(shape)


class Store:
    """A folder written by ``respectra data prepare``: its splits, by name."""

    def __init__(self, folder: Path, index: Index) -> None:
        self.folder = folder
        self.index = index

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        return tuple(self.index.splits)

    def __iter__(self) -> Iterator[str]:
        return iter(self.splits)

    def __len__(self) -> int:
        return len(self.splits)

    def __getitem__(self, split: str) -> StoreSplit:
        """A split by name; a ConfigError where there is none."""
        if split not in self.index.splits:
            raise unknown_name("split", split, self.index.splits)
        return StoreSplit(self.folder, self.index, split)

    def sha256(self) -> str:
        """One hash of everything in the store: that of its index, which holds all the others."""
        return hashlib.sha256((self.folder / INDEX).read_bytes()).hexdigest()


def is_store(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder is a finished store."""
    recover(Path(folder) / INDEX, others=["*.bin"])
    try:
        return read_object(Path(folder) / INDEX).get("format") == FORMAT
    except FormatError:
        return False


def open_store(folder: str | os.PathLike[str]) -> Store:
    """Open a store; its data are read only when they are looked at.

    Args:
        folder: the store, or its URL, of which a copy in the cache folder is opened.

    Raises:
        FormatError: no store, an unfinished one, or one whose index is damaged.

    Example:
        >>> import respectra as rs
        >>> from respectra.datasets.still_life import still_life
        >>> rs.save_cube(still_life(32, 32), "cubes/a.npz")
        >>> plan = rs.datasets.plan_store({"train": rs.open_collection("cubes")})
        >>> rs.datasets.prepare_store(plan, "store")
        >>> len(open_store("store")["train"])
        1
    """
    path = local_folder(folder)
    recover(path / INDEX, others=["*.bin"])
    if not (path / INDEX).is_file():
        unfinished = (path / PART).is_dir()
        raise FormatError(
            f"{path} is an unfinished store; run the same `respectra data prepare` again"
            if unfinished
            else f"{path} is no store; make one: respectra data prepare DIR -o {path}"
        )
    try:
        index = Index(**read_object(path / INDEX))
    except (OSError, ValueError, TypeError) as error:  # a ConfigError is a ValueError
        raise FormatError(
            f"{path / INDEX} is not an index of this version ({VERSION}): {str(error)[:200]}"
        ) from None
    for name, split in index.splits.items():
        if Path(split.file).name != split.file:
            raise FormatError(f"{path / INDEX}: the file of {name} lies outside the store")
    return Store(path, index)


def require_track(scene: SceneArrays, track: str) -> tuple[npt.NDArray[Any], float]:
    """The codes of a scene's image and the code that is 1.

    Raises:
        DataError: the scene has no image of that track.
        ConfigError: no track is named.
    """
    if not track:
        raise ConfigError("name the track whose images are wanted")
    if track not in scene.images:
        raise DataError(
            f"{scene.name} has no {track} image, only {', '.join(scene.images) or 'none'}; "
            f"prepare the store with --track {track}"
        )
    return scene.images[track]
