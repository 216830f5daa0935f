"""From a video clip to a cube that has time as its first dimension.

Frames are decoded in one thread, reconstructed in a second and written in a third, with short
queues between them: the slowest of the three sets the pace, and memory stays bounded whatever the
length of the clip. The store grows in a hidden folder beside its place together with a journal of
the frames that are complete; a run that was killed goes on at the next frame.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from respectra.cameras import input_encoding, make_image, save_image
from respectra.cameras.images import InputKind
from respectra.colour import decode_srgb
from respectra.cubes.writers import CubeType
from respectra.errors import ConfigError
from respectra.files import ensure_absent, file_lock, recover, remove
from respectra.identity import content_hash
from respectra.inference.backends.base import Factors, bits_of
from respectra.inference.ensembles import Recovers
from respectra.inference.growing import (
    facts_of_file,
    growing_folder,
    identity_of,
    keeping_complete,
)
from respectra.inference.low_rank import factorise
from respectra.inference.reconstructor import Reconstructor
from respectra.inference.tiling import Layout, Reader, Region
from respectra.inference.video_reader import BadFrame, Clip, Frame
from respectra.inference.video_store import Flicker, VideoStore, Written, grid_step
from respectra.progress import Progress, as_progress
from respectra.typing import Float32Array

T = TypeVar("T")
#: Decoded frames, and reconstructed pieces, that wait for their turn.
_FRAMES_AHEAD, _PIECES_AHEAD = 2, 1
#: Of the journal; a half-done clip with another version is begun anew.
_VERSION = 2


@dataclass(frozen=True)
class ReconstructedVideo:
    """What a run did.

    Example:
        >>> import dataclasses
        >>> [field.name for field in dataclasses.fields(ReconstructedVideo)]
        ['path', 'frames', 'resumed', 'skipped_s', 'flicker']
    """

    path: Path
    frames: int
    resumed: int
    """Frames that a run before this one had completed."""
    skipped_s: tuple[float, ...]
    """Times of frames that could not be decoded."""
    flicker: Flicker | None
    """None for a clip of one frame."""


def reconstruct_video(
    reconstructor: Recovers,
    clip_path: str | os.PathLike[str],
    out_path: str | os.PathLike[str],
    *,
    kind: InputKind = "srgb",
    dtype: CubeType = "float32",
    low_rank: bool = False,
    on_bad_frame: BadFrame = "stop",
    overwrite: bool = False,
    progress: Progress | None = None,
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
        dtype: of the spectra, or coefficients.
        low_rank: store ``coefficients`` (time, y, x, component) with ``basis`` (component,
            wavelength) and ``mean_spectrum`` (wavelength) instead of ``cube``; for methods that
            give them, see :func:`respectra.inference.low_rank.factorise`.
        on_bad_frame: ``stop`` at a frame that cannot be decoded, or ``skip`` it and report it.
        overwrite: replace what is there.
        progress: told how many frames are complete, of all as far as it is known.

    Raises:
        MissingExtraError: PyAV is not installed.
        FormatError: no such clip, or a frame cannot be decoded; complete frames are kept.
        DataError: the frames' values do not fit their kind, or they are too small for the method.
        ConfigError: the memory limit is too small, the output is not a Zarr store, or the method
            gives no coefficients where they are asked for.
        OutputError: the store exists or cannot be written; complete frames are kept, and the same
            call goes on after them.

    Example:
        >>> import av
        >>> import numpy as np
        >>> import respectra as rs
        >>> with av.open("clip.mkv", "w") as file:
        ...     stream = file.add_stream("ffv1", rate=25)
        ...     stream.width, stream.height, stream.pix_fmt = 16, 16, "bgr0"
        ...     grey = np.full((16, 16, 3), 90, np.uint8)
        ...     for packet in [*stream.encode(av.VideoFrame.from_ndarray(grey)), *stream.encode()]:
        ...         file.mux(packet)
        >>> reconstruct_video(rs.load("wiener"), "clip.mkv", "clip.zarr").frames
        1
    """
    shown = as_progress(progress)
    target = Path(out_path)
    if target.suffix.lower() != ".zarr":
        raise ConfigError(f"a clip is written to a Zarr store; got {target}, name it NAME.zarr")
    folder = growing_folder(target)
    if not folder.exists():
        ensure_absent(target, overwrite=overwrite)
    reconstructor = reconstructor.for_kind(kind)
    factors = _factors(reconstructor) if low_rank else None
    clip = Clip(clip_path)
    layout = _layout(reconstructor, clip)
    skipped: list[float] = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(file_lock(target))
        recover(target)
        facts = _facts(reconstructor, clip, kind, dtype, factors)
        store = VideoStore.resume(folder, facts, factors)
        stack.enter_context(keeping_complete(target, folder, lambda: bool(store.times_s)))
        if store.is_in_place(target):
            remove(folder)
            count, gone = len(store.times_s), tuple(store.skipped_s)
            return ReconstructedVideo(target, count, count, gone, store.flicker())
        ensure_absent(target, overwrite=overwrite)
        if not store.is_begun:
            grid_nm = np.array(reconstructor.contract.wavelengths_nm)
            store.create(clip, layout, grid_nm, dtype)
        resumed = len(store.times_s)
        frames = clip.frames(first=max(0, resumed - 1), on_bad_frame=on_bad_frame, skipped=skipped)
        waiting = _ahead(frames, _FRAMES_AHEAD)
        pieces = _reconstructed(reconstructor, waiting, layout, kind, resumed, factors)
        arriving = stack.enter_context(contextlib.closing(_ahead(pieces, _PIECES_AHEAD)))
        for piece in arriving:
            if isinstance(piece, Written):
                store.complete(piece)
                done = len(store.times_s)
                shown(done, max(done, clip.expected), "frame")
            else:
                store.write(*piece)
        attrs = facts_of_file(reconstructor, layout, clip.path) | reconstructor.guarantees.facts()
        if skipped:
            attrs["skipped_s"] = skipped
        flicker = store.flicker()
        if flicker is not None:
            attrs["flicker"] = flicker.excess
            attrs["change_of_spectra"], attrs["change_of_image"] = flicker.spectra, flicker.image
        store.finish(target, attrs, overwrite=overwrite)
        remove(folder)
    return ReconstructedVideo(target, len(store.times_s), resumed, tuple(skipped), flicker)


def _ahead(items: Generator[T, None, None], size: int) -> Generator[T, None, None]:
    """Yield items that another thread makes meanwhile; at most ``size`` of them wait.

    An error there is raised here. When this generator is closed, the thread ends after the item
    that it is at, and closes ``items``.
    """
    with ThreadPoolExecutor(1) as thread:
        waiting = deque(thread.submit(next, items, None) for _ in range(size + 1))
        try:
            while (item := waiting.popleft().result()) is not None:
                waiting.append(thread.submit(next, items, None))
                yield item
                del item
        finally:
            for future in waiting:
                future.cancel()
            thread.submit(items.close).result()


def _reconstructed(
    reconstructor: Recovers,
    frames: Generator[Frame, None, None],
    layout: Layout,
    kind: InputKind,
    resumed: int,
    factors: Factors | None,
) -> Generator[tuple[int, Region, Float32Array] | Written, None, None]:
    """Number of the frame, region and spectra of every piece; after a frame's pieces its end.

    Where there are factors, coefficients are given instead of spectra.
    """
    step = grid_step(layout.height, layout.width)
    with contextlib.closing(frames):
        for frame in frames:
            read = _reader(reconstructor, frame.codes, kind)
            grid = read(slice(None, None, step), slice(None, None, step))
            if frame.index >= resumed:
                pieces = _pieces(reconstructor, frame, read, layout, kind, factors)
                for region, spectra in pieces:
                    yield frame.index, region, spectra
                    del spectra
            yield Written(frame.index, frame.time_s, grid)


def _pieces(
    reconstructor: Recovers,
    frame: Frame,
    read: Reader,
    layout: Layout,
    kind: InputKind,
    factors: Factors | None,
) -> Iterator[tuple[Region, Float32Array]]:
    everything = (slice(0, layout.height), slice(0, layout.width))
    if reconstructor.needs_whole or not isinstance(reconstructor, Reconstructor):
        codes = frame.codes / np.float32(np.iinfo(frame.codes.dtype).max)
        bits = 8 * frame.codes.dtype.itemsize
        image = make_image(codes, encoding=input_encoding(kind), bits=bits)
        yield everything, np.asarray(reconstructor(reconstructor.values_of(image, kind)).values)
        return
    bounds = (0.0, 1.0)
    if not reconstructor.contract.keeps_exposure:
        bounds = reconstructor.tiled.bounds_of(read(*everything))
    # Frames of a track are its codes; those of displays are computed from codes.
    depth = 8 * frame.codes.dtype.itemsize
    black = make_image(np.zeros((1, 1, 3)), encoding=input_encoding(kind), bits=depth)
    bits = bits_of(reconstructor.values_of(black, kind))
    output = None if factors is None else factors.output
    yield from reconstructor.pieces(read, layout, bounds=bounds, bits=bits, output=output)


@contextlib.contextmanager
def first_frame(clip: Path, kind: InputKind) -> Iterator[Path]:
    """The first frame of a clip as a picture, in a file that goes again afterwards."""
    with tempfile.TemporaryDirectory(prefix="respectra-") as folder:
        codes = next(Clip(clip).frames(on_bad_frame="skip")).codes
        values = codes / np.float32(np.iinfo(codes.dtype).max)
        bits = 8 * codes.dtype.itemsize
        picture = Path(folder) / f"{clip.name}.png"
        save_image(make_image(values, encoding=input_encoding(kind), bits=bits), picture)
        yield picture


def _factors(reconstructor: Recovers) -> Factors:
    if not isinstance(reconstructor, Reconstructor):
        raise ConfigError(f"the members {reconstructor.name} share no basis; leave out low rank")
    return factorise(reconstructor)


def _reader(reconstructor: Recovers, codes: npt.NDArray[Any], kind: InputKind) -> Reader:
    """Linear values in the units of the track, of rows and columns of a frame."""
    levels = np.arange(np.iinfo(codes.dtype).max + 1, dtype=np.float32)
    levels /= levels[-1]
    # A table of all codes spares a power for every value.
    light = decode_srgb(levels) if kind == "srgb" else levels
    units: InputKind = "linear" if kind == "srgb" else kind

    def read(rows: slice, columns: slice) -> Float32Array:
        bits = 8 * codes.dtype.itemsize
        image = make_image(light[codes[rows, columns]], encoding="linear", bits=bits)
        return np.asarray(reconstructor.values_of(image, units).values, np.float32)

    return read


def _layout(reconstructor: Recovers, clip: Clip) -> Layout:
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


def _facts(
    reconstructor: Recovers,
    clip: Clip,
    kind: InputKind,
    dtype: CubeType,
    factors: Factors | None,
) -> dict[str, Any]:
    """What a half-done clip must agree on to be taken up."""
    return {
        "version": _VERSION,
        **identity_of(reconstructor),
        "clip": content_hash(clip.path),
        "kind": kind,
        "dtype": dtype,
        "basis": None if factors is None else factors.basis.astype(float).round(6).tolist(),
    }
