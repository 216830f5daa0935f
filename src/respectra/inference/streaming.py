"""From a picture on disk to a cube on disk, of which only a piece is in memory at a time.

The cube grows in a hidden folder beside its place (``.NAME.part``), together with a journal of
the pieces that are complete (``respectra.journal``). A run that was killed is taken up there, at
whatever step: before the first piece, between two, while the cube is completed, while it is moved
to where it was asked for, or after that.
"""

from __future__ import annotations

import copy
import functools
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from respectra.cameras import References
from respectra.cameras.images import InputKind
from respectra.cameras.pictures import Picture, PictureOptions, open_picture
from respectra.cubes.formats import FORMATS
from respectra.cubes.writers import CubeType, GrowingCube, writer_for
from respectra.errors import ConfigError, OutputError
from respectra.files import ensure_absent, file_lock, recover, remove
from respectra.identity import content_hash
from respectra.inference.binding import for_opened
from respectra.inference.ensembles import Recovers
from respectra.inference.growing import (
    PiecesDone,
    facts_of_file,
    growing_folder,
    identity_of,
    keeping_complete,
)
from respectra.inference.guarantees import Report
from respectra.inference.pieces import SeenPicture, kept_pieces
from respectra.inference.reconstructor import Reconstructor
from respectra.inference.tiling import Layout, Region
from respectra.progress import Progress, as_progress
from respectra.threads import one_behind
from respectra.typing import Float32Array

if TYPE_CHECKING:
    pass

PathLike = str | os.PathLike[str]
#: Cubes above this many bytes are written piece by piece where they can be.
LARGE_CUBE = 256e6
#: Of the journal; a half-done cube with another version is begun anew.
_VERSION = 3


@dataclass(frozen=True)
class Streamed:
    """What a run did.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> rs.save_image(rs.make_image(np.full((8, 8, 3), 0.3), encoding="srgb"), "photo.png")
        >>> reconstruct_file(rs.load("wiener"), "photo.png", "photo.zarr").path.name
        'photo.zarr'
    """

    path: Path
    pieces: int
    """PiecesDone of the cube."""
    resumed: int
    """Those that a run before this one had completed."""
    layout: Layout


def reconstruct_file(
    reconstructor: Recovers,
    image_path: PathLike,
    out_path: PathLike,
    *,
    kind: InputKind = "srgb",
    dtype: CubeType = "float32",
    overwrite: bool = False,
    progress: Progress | None = None,
    references: References | None = None,
    picture_options: PictureOptions | None = None,
) -> Streamed:
    """Reconstruct a picture of any size within the reconstructor's memory limit.

    Args:
        reconstructor: method, weights, memory limit; or an ensemble of several.
        image_path: TIFF or .npy, of which only a row of tiles is read at a time; PNG or JPEG,
            which are decoded as a whole, and count.
        out_path: a Zarr store (.zarr) or an ENVI file (.hdr, .img, .bip, .bil, .bsq).
        kind: what the picture's values are; see ``respectra.cameras.to_track_values``.
        dtype: of the values; ``float16`` for Zarr alone.
        overwrite: replace what is there.
        progress: told how many pieces are complete, by the thread that writes them.
        references: spectra that are known in this picture; see
            :meth:`Reconstructor.with_references`.
        picture_options: how to read the picture.

    Raises:
        FormatError: the picture is missing or damaged.
        DataError: its values are not those of a picture.
        ConfigError: the memory limit is too small for one tile, or the format of the cube cannot
            be written in pieces.
        OutputError: the cube exists or cannot be written; complete pieces are kept, and the same
            call takes up the work.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> rs.save_image(rs.make_image(np.full((8, 8, 3), 0.3), encoding="srgb"), "photo.png")
        >>> done = reconstruct_file(rs.load("wiener"), "photo.png", "photo.zarr")
        >>> rs.open_cube(done.path).shape
        (8, 8, 31)
    """
    target = Path(out_path)
    if writer_for(target) is None:
        raise ConfigError(
            f"{target} cannot be written piece by piece; choose .zarr, .hdr, .bip, .bil or .bsq"
        )
    files = FORMATS.for_writing(target).files(target)
    folder = growing_folder(target)
    if not folder.exists():  # else the cube may be that of a run which was killed at its very end
        for file in files:
            ensure_absent(file, overwrite=overwrite)
    chosen = picture_options or PictureOptions()
    picture = open_picture(image_path, kind, **chosen.model_dump())
    reconstructor = _told(reconstructor, picture, references)
    reason = reconstructor.whole_image_reason(picture.height, picture.width)
    if reason is not None:
        raise ConfigError(
            f"{reason}, which does not work piece by piece; leave it out, or reconstruct in memory"
        )
    with file_lock(files[0]):
        recover(files[0])
        pieces = PiecesDone.resume(folder, _facts(reconstructor, picture, dtype))
        with keeping_complete(target, folder, lambda: bool(pieces.done)):
            layout = _layout(reconstructor, picture, pieces)
            grid = np.array(reconstructor.contract.wavelengths_nm)
            shape = (layout.height, layout.width, grid.size)
            cube = GrowingCube(folder, target, shape, grid, dtype, layout.sides)
            in_place = pieces.is_in_place(cube, layout)
            resumed = len(pieces.done)
            if not in_place:
                for file in files:
                    ensure_absent(file, overwrite=overwrite)
                _grow(reconstructor, picture, cube, layout, pieces, as_progress(progress))
                kept: frozenset[str] = frozenset()
                if isinstance(reconstructor, Reconstructor):
                    bits = _seen_by(reconstructor, picture).value_bits
                    kept = reconstructor.backend.kept_guarantees(bits)
                facts = facts_of_file(reconstructor, layout, picture.path)
                facts |= reconstructor.guarantees.facts(pieces.unreachable, kept=kept)
                cube.finish(facts, overwrite=overwrite)
        remove(folder)
    return Streamed(target, layout.count, resumed, layout)


def _told(reconstructor: Recovers, picture: Picture, references: References | None) -> Recovers:
    """What recovers a picture, told what its file says and what references teach."""

    def told(member: Reconstructor) -> Reconstructor:
        member = for_opened(member, picture)
        if references is None:
            return member
        from respectra.inference.references import correct_picture

        seen = _seen_by(member, picture)
        return member.with_correction(correct_picture(member, seen, references))

    return reconstructor.mapped(told)


def _seen_by(member: Reconstructor, picture: Picture) -> Picture:
    """The picture, as linear values of a reconstructor's capture."""
    other = copy.copy(picture)
    other.convert = functools.partial(member.values_of, kind=picture.kind)
    return other


def _grow(
    reconstructor: Recovers,
    picture: Picture,
    cube: GrowingCube,
    layout: Layout,
    pieces: PiecesDone,
    progress: Progress,
) -> None:
    """Write the pieces that are not there yet, each while the next one is computed."""
    if pieces.layout is None:
        _require_room(cube)
        cube.writer.create()
        pieces.begin(cube, layout)

    def write(region: Region, spectra: Any, unreachable: int) -> None:
        cube.writer.write(region, spectra)
        pieces.complete(region, unreachable)
        progress(len(pieces.done), layout.count, "piece")

    with one_behind(write) as write_behind:
        for region, spectra, unreachable in _pieces(reconstructor, picture, layout, pieces):
            write_behind(region, spectra, unreachable)
            del spectra


def streams(
    reconstructor: Recovers,
    image_path: PathLike,
    out_path: PathLike,
    kind: InputKind = "srgb",
    picture_options: PictureOptions | None = None,
) -> bool:
    """Whether a cube is better written piece by piece: it can be, and it is large or must be.

    A picture that only a reader of whole files understands counts as small here; it is in memory
    anyway.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> rs.save_image(rs.make_image(np.full((8, 8, 3), 0.3), encoding="srgb"), "photo.png")
        >>> streams(rs.load("wiener"), "photo.png", "photo.zarr")  # it is small
        False
    """
    path, target = Path(image_path), Path(out_path)
    if writer_for(target) is None:
        return False
    if path.suffix.lower() not in (".tif", ".tiff", ".npy"):
        return False
    picture = open_picture(path, kind, **(picture_options or PictureOptions()).model_dump())
    if reconstructor.whole_image_reason(picture.height, picture.width) is not None:
        return False
    size = 4 * picture.height * picture.width * reconstructor.contract.bands
    return size > LARGE_CUBE or reconstructor.max_memory != "auto"


def _facts(reconstructor: Recovers, picture: Picture, dtype: CubeType) -> dict[str, Any]:
    """What a half-done cube must agree on to be taken up."""
    return {
        "version": _VERSION,
        **identity_of(reconstructor),
        "image": content_hash(picture.path),
        "kind": picture.kind,
        "dtype": dtype,
    }


def _layout(reconstructor: Recovers, picture: Picture, pieces: PiecesDone) -> Layout:
    """As the journal has it, where that still fits; else the largest tiles that fit."""
    held, bands = float(picture.held_bytes), reconstructor.contract.bands
    # What a tile takes before and after the method itself: its values in double precision on the
    # way to the track's units, and the spectra as the file wants them, compressed or not, twice:
    # those of the tile before are written meanwhile.
    per_pixel = 8 * 3 * 8 + 4 * 4 * bands + reconstructor.answer_bytes
    size = (picture.height, picture.width)
    layout = reconstructor.layout(*size, held=held, per_pixel=per_pixel)
    # Once more, now that it is known how much is held besides a tile.
    held += picture.row_bytes * (layout.sides[0] + 2 * layout.halo + layout.overlap)
    held += 2 * 4 * layout.overlap * picture.width * bands
    layout = reconstructor.layout(*size, held=held, per_pixel=per_pixel)
    before = pieces.layout
    if before is None:
        return layout
    if before.largest_read <= layout.largest_read:
        return before
    pieces.forget()
    return layout


def _pieces(
    reconstructor: Recovers, picture: Picture, layout: Layout, written: PiecesDone
) -> Iterator[tuple[Region, Any, int]]:
    """Rows and columns, spectra, and the number of unreachable pixels of pieces."""
    if isinstance(reconstructor, Reconstructor):
        yield from _pieces_of(reconstructor, picture, layout, written, 0)
        return
    every = [
        _pieces_of(member, picture, reconstructor.layout_of(member, layout), written, number)
        for number, member in enumerate(reconstructor.members)
    ]
    for answers in zip(*every, strict=True):
        spectra = reconstructor.combined(answer[1] for answer in answers)
        yield answers[0][0], spectra, max(answer[2] for answer in answers)


def _pieces_of(
    reconstructor: Reconstructor, picture: Picture, layout: Layout, written: PiecesDone, number: int
) -> Iterator[tuple[Region, Any, int]]:
    """The pieces of one of several methods."""
    picture = _seen_by(reconstructor, picture)
    seen = SeenPicture.on_disk(reconstructor, picture)
    means: list[Float32Array] | None = None
    if reconstructor.tiled.needs_means(layout) and len(written.done) < layout.count:
        means = written.means(number)
        if means is None:
            means = reconstructor.compute_global_means(
                seen.read, layout, bounds=seen.bounds, bits=seen.bits
            )
            written.keep_means(means, number)
    reports: list[Report] = []
    pieces = kept_pieces(
        reconstructor,
        seen,
        layout,
        kept=reconstructor.backend.kept_guarantees(picture.value_bits),
        tell=reports.append,
        means=means,
        done=frozenset(written.done),
    )
    for region, spectra in pieces:
        yield region, spectra, int(reports.pop().unreachable.sum()) if reports else 0
        del spectra


def _require_room(cube: GrowingCube) -> None:
    """Refuse a disk that cannot hold the cube, before hours of work."""
    height, width, bands = cube.writer.shape
    needed = height * width * bands * cube.writer.dtype.itemsize
    free = shutil.disk_usage(cube.folder).free
    if cube.writer.needs_full_room and needed > free:
        raise OutputError(
            f"{cube.target} takes {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free there; "
            "choose another disk, or a Zarr store, which is compressed"
        )
