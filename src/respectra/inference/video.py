"""From a video clip to a cube that has time as its first dimension.

Frames are decoded in one thread, reconstructed in a second and written in a third, with short
queues between them: the slowest of the three sets the pace, and memory stays bounded whatever the
length of the clip. The store grows in a hidden folder beside its place together with a journal of
the frames that are complete; a run that was killed goes on at the next frame.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from respectra.cameras import input_encoding, make_image, to_track_values
from respectra.cameras.colour import InputKind, decode_srgb
from respectra.cubes.formats.base import encode_attrs
from respectra.errors import ConfigError, OutputError
from respectra.files import atomic_path, ensure_absent, remove
from respectra.inference.clips import BadFrame, Clip, Frame
from respectra.inference.predictors import FloatArray
from respectra.inference.reconstructor import Reconstructor
from respectra.inference.sinks import CubeType
from respectra.inference.streaming import keeping_complete
from respectra.inference.tiling import Layout, Reader, Region

T = TypeVar("T")
#: Dimensions of a reconstructed clip.
VIDEO_DIMS = ("time", "y", "x", "wavelength")
#: Change from frame to frame is taken on a grid of at most this many pixels.
FLICKER_PIXELS = 65_536
#: Decoded frames, and reconstructed pieces, that wait for their turn.
_FRAMES_AHEAD, _PIECES_AHEAD = 2, 1
#: Side of a chunk of the store, pixels.
_CHUNK = 192
#: Of the journal; a half-done clip with another version is begun anew.
_VERSION = 1


@dataclass(frozen=True)
class Flicker:
    """Change from frame to frame, beyond what moves in the clip itself.

    The relative change of two successive frames a and b is sum |b - a| / (sum (|a| + |b|) / 2),
    over bands and a regular grid of at most 65 536 pixels; here are the means over all pairs.
    """

    spectra: float
    """Of the recovered spectra, as they are stored."""
    image: float
    """Of the linear values from which they were recovered."""

    @property
    def excess(self) -> float:
        """What the method adds; near 0 for a method that is steady."""
        return self.spectra - self.image


@dataclass(frozen=True)
class ReconstructedVideo:
    """What a run did."""

    path: Path
    frames: int
    resumed: int
    """Frames that a run before this one had completed."""
    skipped_s: tuple[float, ...]
    """Times of frames that could not be decoded."""
    flicker: Flicker | None
    """None for a clip of one frame."""


def reconstruct_video(
    reconstructor: Reconstructor,
    clip_path: str | os.PathLike[str],
    out_path: str | os.PathLike[str],
    *,
    kind: InputKind = "srgb",
    dtype: CubeType = "float32",
    on_bad_frame: BadFrame = "stop",
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ReconstructedVideo:
    """Reconstruct every frame of a clip into a Zarr store.

    The store holds ``cube`` (time, y, x, wavelength), with ``time`` in seconds as the clip says it
    and ``wavelength`` in nm; ``xarray.open_zarr(path).cube`` opens it without reading it, and
    ``.isel(time=0)`` of that is an ordinary cube.

    Args:
        reconstructor: method, weights, memory limit, guarantees.
        clip_path: anything that FFmpeg reads.
        out_path: a Zarr store (.zarr).
        kind: what the frames' values are; see ``respectra.cameras.to_track_values``.
        dtype: of the spectra.
        on_bad_frame: ``stop`` at a frame that cannot be decoded, or ``skip`` it and report it.
        overwrite: replace what is there.
        progress: called with the number of complete frames, and of all as far as it is known.

    Raises:
        MissingExtraError: PyAV is not installed.
        FormatError: no such clip, or a frame cannot be decoded; complete frames are kept.
        DataError: the frames' values do not fit their kind, or they are too small for the method.
        ConfigError: the memory limit is too small, or the output is not a Zarr store.
        OutputError: the store exists or cannot be written; complete frames are kept, and the same
            call goes on after them.
    """
    target = Path(out_path)
    if target.suffix.lower() != ".zarr":
        raise ConfigError(f"a clip is written to a Zarr store; got {target}, name it NAME.zarr")
    ensure_absent(target, overwrite=overwrite)
    clip = Clip(clip_path)
    folder = target.with_name(f".{target.name}.part")
    layout = _layout(reconstructor, clip)
    skipped: list[float] = []
    with keeping_complete(target, folder), contextlib.ExitStack() as stack:
        store = _Store.take_up(folder, _facts(reconstructor, clip, kind, dtype))
        if not store.times_s:
            store.create(clip, layout, reconstructor, dtype)
        resumed = len(store.times_s)
        frames = clip.frames(first=max(0, resumed - 1), on_bad_frame=on_bad_frame, skipped=skipped)
        pieces = _reconstructed(reconstructor, _ahead(frames, _FRAMES_AHEAD), layout, kind, resumed)
        arriving = stack.enter_context(contextlib.closing(_ahead(pieces, _PIECES_AHEAD)))
        for piece in arriving:
            if isinstance(piece, _Written):
                store.complete(piece)
                if progress is not None:
                    done = len(store.times_s)
                    progress(done, max(done, clip.expected))
            else:
                store.write(*piece)
        attrs = {"units": "relative", **reconstructor.cube_facts(layout)}
        attrs["source"] = f"{clip.path.name}, {attrs['source']}"
        if reconstructor.guarantees:
            attrs["guarantees"] = ", ".join(sorted(reconstructor.guarantees.names))
        if skipped:
            attrs["skipped_s"] = skipped
        flicker = store.flicker()
        if flicker is not None:
            attrs["flicker"] = flicker.excess
            attrs["change_of_spectra"], attrs["change_of_image"] = flicker.spectra, flicker.image
        store.finish(target, attrs, overwrite=overwrite)
    remove(folder)
    return ReconstructedVideo(target, len(store.times_s), resumed, tuple(skipped), flicker)


@dataclass(frozen=True)
class _Written:
    """All pieces of a frame are on their way before this; what is still to be noted of it."""

    index: int
    time_s: float
    image: FloatArray
    """Linear values on the grid of pixels on which change is taken."""


def _ahead(items: Iterator[T], size: int) -> Generator[T, None, None]:
    """Yield items that another thread makes meanwhile; at most ``size`` of them wait.

    An error there is raised here. When this generator is closed, the thread ends after the item
    that it is at, and closes ``items``.
    """
    waiting: queue.Queue[tuple[T | None, BaseException | None, bool]] = queue.Queue(size)
    stop = threading.Event()

    def work() -> None:
        failure: BaseException | None = None
        try:
            for item in items:
                waiting.put((item, None, False))
                del item
                if stop.is_set():
                    break
        except BaseException as error:  # raised again where the items are used
            failure = error
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()
        if not stop.is_set():
            waiting.put((None, failure, True))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            item, failure, last = waiting.get()
            if failure is not None:
                raise failure
            if last:
                return
            yield item  # type: ignore[misc]
            del item
    finally:
        stop.set()
        with contextlib.suppress(queue.Empty):  # the thread may be waiting for room
            while True:
                waiting.get_nowait()
        thread.join()


def _reconstructed(
    reconstructor: Reconstructor,
    frames: Generator[Frame, None, None],
    layout: Layout,
    kind: InputKind,
    resumed: int,
) -> Iterator[tuple[int, Region, FloatArray] | _Written]:
    """Number of the frame, region and spectra of every piece; after a frame's pieces its end."""
    step = _grid_step(layout.height, layout.width)
    with contextlib.closing(frames):
        for frame in frames:
            read = _reader(frame.codes, kind)
            grid = read(slice(None, None, step), slice(None, None, step))
            if frame.index >= resumed:
                for region, spectra in _pieces(reconstructor, frame, read, layout, kind):
                    yield frame.index, region, spectra
                    del spectra
            yield _Written(frame.index, frame.time_s, grid)


def _pieces(
    reconstructor: Reconstructor, frame: Frame, read: Reader, layout: Layout, kind: InputKind
) -> Iterator[tuple[Region, FloatArray]]:
    everything = (slice(0, layout.height), slice(0, layout.width))
    if reconstructor.needs_whole:
        codes = frame.codes / np.float32(np.iinfo(frame.codes.dtype).max)
        bits = 8 * frame.codes.dtype.itemsize
        image = to_track_values(make_image(codes, encoding=input_encoding(kind), bits=bits), kind)
        yield everything, np.asarray(reconstructor(image).values)
        return
    bounds = (0.0, 1.0)
    if not reconstructor.contract.keeps_exposure:
        values = read(*everything)
        bounds = (float(values.min()), float(values.max()))
        del values
    yield from reconstructor.pieces(read, layout, bounds=bounds)


def _reader(codes: npt.NDArray[Any], kind: InputKind) -> Reader:
    """Linear values in the units of the track, of rows and columns of a frame."""
    levels = np.arange(np.iinfo(codes.dtype).max + 1, dtype=np.float32)
    levels /= levels[-1]
    # A table of all codes spares a power for every value.
    light = decode_srgb(levels) if kind == "srgb" else levels
    units: InputKind = "linear" if kind == "srgb" else kind

    def read(rows: slice, columns: slice) -> FloatArray:
        image = make_image(light[codes[rows, columns]], encoding="linear")
        return np.asarray(to_track_values(image, units).values, np.float32)

    return read


def _layout(reconstructor: Reconstructor, clip: Clip) -> Layout:
    """How every frame is cut, the whole pipeline within the memory limit."""
    pixels = clip.height * clip.width
    # Frames in the queue, one being decoded and one in use; and what a decoder keeps to itself.
    held = pixels * (6 * (_FRAMES_AHEAD + 2) + 24)
    if reconstructor.needs_whole:
        held += 2 * 4 * pixels * reconstructor.contract.bands
    # Values in double precision on the way to the track's units; pieces in the queue, one that
    # waits to enter it, one being written and its compressed chunks.
    per_pixel = 8 * 3 * 8 + 4 * reconstructor.contract.bands * (_PIECES_AHEAD + 3)
    return reconstructor.layout(clip.height, clip.width, held=held, per_pixel=per_pixel)


def _grid_step(height: int, width: int) -> int:
    """Distance of the pixels on which change is taken."""
    return max(1, int(np.ceil((height * width / FLICKER_PIXELS) ** 0.5)))


def _facts(
    reconstructor: Reconstructor, clip: Clip, kind: InputKind, dtype: CubeType
) -> dict[str, Any]:
    """What a half-done clip must agree on to be taken up."""
    file = clip.path.stat()
    return {
        "version": _VERSION,
        "method": reconstructor.signature(),
        "guarantees": sorted(reconstructor.guarantees.names),
        "clip": [clip.path.name, file.st_size, file.st_mtime_ns],
        "kind": kind,
        "dtype": dtype,
    }


class _Store:
    """A Zarr store that grows by frames, and its journal: one line a complete frame."""

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        self.folder, self.facts = folder, facts
        self.times_s: list[float] = []
        self._changes: list[tuple[float, float]] = []
        self._array: Any = None
        self._before: tuple[FloatArray, FloatArray] | None = None
        self._grid: FloatArray | None = None

    @classmethod
    def take_up(cls, folder: Path, facts: dict[str, Any]) -> _Store:
        """What an earlier run with the same facts left, or an empty one."""
        import zarr

        store = cls(folder, json.loads(json.dumps(facts)))
        try:
            first, *lines = store._journal.read_text().splitlines()
            if json.loads(first) != store.facts:
                return store
            for line in lines:
                with contextlib.suppress(ValueError):  # the last line of a killed run
                    time_s, change = json.loads(line)
                    store.times_s.append(time_s)
                    if change is not None:
                        store._changes.append(tuple(change))
            store._array = zarr.open_array(store._path, path="cube", mode="r+")
        except (OSError, ValueError):
            return cls(folder, store.facts)
        store._rewrite_journal()
        return store

    @property
    def _journal(self) -> Path:
        return self.folder / "journal"

    @property
    def _path(self) -> Path:
        return self.folder / "cube.zarr"

    def create(
        self, clip: Clip, layout: Layout, reconstructor: Reconstructor, dtype: CubeType
    ) -> None:
        """Begin an empty store."""
        import zarr

        remove(self.folder)
        self.folder.mkdir(parents=True)
        grid = np.array(reconstructor.contract.wavelengths_nm)
        group = zarr.create_group(self._path, zarr_format=3)
        self._array = group.create_array(
            "cube",
            shape=(max(1, clip.expected), clip.height, clip.width, grid.size),
            chunks=(1, *(min(_CHUNK, side) for side in layout.sides), grid.size),
            dtype=dtype,
            dimension_names=VIDEO_DIMS,
        )
        _add_coordinate(group, "wavelength", grid, "nm")
        self._rewrite_journal()

    def write(self, index: int, region: Region, spectra: FloatArray) -> None:
        """Write one piece of a frame."""
        array = self._array
        if index >= array.shape[0]:  # the clip did not say how long it is
            array.resize((2 * array.shape[0], *array.shape[1:]))
        stored = spectra.astype(array.dtype, copy=False)
        array[(index, *region)] = stored
        _, height, width, bands = array.shape
        step = _grid_step(height, width)
        if self._grid is None:
            self._grid = np.empty((-(-height // step), -(-width // step), bands), np.float32)
        rows, columns = (slice(-(-s.start // step), -(-s.stop // step)) for s in region)
        top, left = (-s.start % step for s in region)
        self._grid[rows, columns] = stored[top::step, left::step]

    def complete(self, frame: _Written) -> None:
        """Note that all pieces of a frame are written, and how much has changed since the last."""
        if self._grid is None:  # of an earlier run; the next frame is compared with it
            step = _grid_step(*self._array.shape[1:3])
            stored = self._array[frame.index, ::step, ::step].astype(np.float32)
            self._before = (stored, frame.image)
            return
        before, self._before = self._before, (self._grid, frame.image)
        self._grid = None
        now = self._before
        change = None
        if before is not None:
            change = (_relative_change(before[0], now[0]), _relative_change(before[1], now[1]))
            self._changes.append(change)
        # Not opened for appending, which would make a journal where the folder has vanished.
        with self._journal.open("r+") as file:
            file.seek(0, os.SEEK_END)
            file.write(json.dumps([frame.time_s, change]) + "\n")
        self.times_s.append(frame.time_s)

    def flicker(self) -> Flicker | None:
        """Means over all pairs of frames."""
        if not self._changes:
            return None
        spectra, image = np.mean(self._changes, axis=0)
        return Flicker(float(spectra), float(image))

    def finish(self, target: Path, attrs: dict[str, Any], *, overwrite: bool) -> None:
        """Complete the store and move it into its place."""
        import zarr

        if not self.times_s:
            raise OutputError(f"no frame was reconstructed; {target} is not written")
        array = self._array
        if array.shape[0] != len(self.times_s):
            array.resize((len(self.times_s), *array.shape[1:]))
        plain = {k: v for k, v in attrs.items() if k in ("quantity", "units", "source")}
        array.update_attributes({**plain, "attributes": encode_attrs(attrs)})
        group = zarr.open_group(self._path, mode="r+")
        _add_coordinate(group, "time", np.array(self.times_s), "s")
        with atomic_path(target, overwrite=overwrite) as temporary:
            self._path.rename(temporary)

    def _rewrite_journal(self) -> None:
        changes = [None, *self._changes]
        lines = [self.facts, *zip(self.times_s, changes, strict=False)]
        temporary = self._journal.with_suffix(".tmp")
        temporary.write_text("".join(json.dumps(line) + "\n" for line in lines))
        temporary.replace(self._journal)


def _add_coordinate(group: Any, name: str, values: npt.NDArray[np.float64], units: str) -> None:
    array = group.create_array(
        name,
        shape=values.shape,
        dtype="float64",
        dimension_names=(name,),
        attributes={"units": units},
        overwrite=True,
    )
    array[:] = values


def _relative_change(before: FloatArray, after: FloatArray) -> float:
    """Sum of absolute differences over the mean of both sums of magnitudes; 0 for black frames."""
    whole = (np.abs(before).sum(dtype=np.float64) + np.abs(after).sum(dtype=np.float64)) / 2
    change = np.abs(after - before).sum(dtype=np.float64)
    return float(change / whole) if whole > 0 else 0.0
