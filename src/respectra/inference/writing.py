"""The work on one picture or clip: its cube, and what is written beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from respectra.cameras import PictureOptions, input_encoding, open_image
from respectra.cubes import LowRankCube, save_preview
from respectra.cubes.formats import FORMATS
from respectra.cubes.io import save_with
from respectra.files import ensure_all_absent
from respectra.inference.ensembles import Recovers
from respectra.inference.folders import Job, cube_files
from respectra.inference.streaming import reconstruct_file, streams
from respectra.inference.video import reconstruct_video
from respectra.inference.video_reader import CLIP_SUFFIXES
from respectra.progress import Progress

__all__ = ["Writing", "outputs", "work"]

#: Kinds whose colours are those of a display, whose white is D65; the challenge's cameras know no
#: white but equal energy.
_DISPLAYED = ("srgb", "linear")


@dataclass(frozen=True)
class Writing:
    """How pictures are read and cubes written."""

    reading: PictureOptions
    preview: bool
    low_rank: bool
    skip_bad_frames: bool
    overwrite: bool


def work(
    reconstructor: Recovers, job: Job, *, writing: Writing, progress: Progress | None = None
) -> dict[str, Any]:
    """Write the cube of a job, whole or not at all."""
    if job.source.suffix.lower() in CLIP_SUFFIXES:
        return _reconstruct_clip(reconstructor, job, writing, progress)
    _reconstruct_picture(reconstructor, job, writing)
    return {}


def _reconstruct_picture(reconstructor: Recovers, job: Job, writing: Writing) -> None:
    path, target, kind, reading = job.source, job.target, job.kind, writing.reading
    overwrite, by_rows = writing.overwrite, not (writing.preview or writing.low_rank)
    if by_rows and streams(reconstructor, path, target, kind, reading):
        reconstruct_file(
            reconstructor, path, target, kind=kind, overwrite=overwrite, picture_options=reading
        )
        return
    files = FORMATS.for_writing(target).files(target)
    shown = (_preview_of(target),) if writing.preview else ()
    ensure_all_absent([*files, *shown], overwrite=overwrite)
    picture = open_image(path, encoding=input_encoding(kind), **reading.model_dump())
    values = reconstructor.values_of(picture, kind)
    cube = reconstructor.low_rank(values) if writing.low_rank else reconstructor(values)
    cube.attrs["source"] = f"{path.name}, reconstructed by {reconstructor.name}"

    def show(place: Path) -> None:
        seen = cube.lazy() if isinstance(cube, LowRankCube) else cube
        save_preview(seen, place, illuminant="D65" if kind in _DISPLAYED else "E")

    save_with(cube, target, dict.fromkeys(shown, show), overwrite=overwrite)


def _reconstruct_clip(
    reconstructor: Recovers, job: Job, writing: Writing, progress: Progress | None
) -> dict[str, Any]:
    """Reconstruct a clip, and give what is to be known of it."""
    done = reconstruct_video(
        reconstructor,
        job.source,
        job.target,
        kind=job.kind,
        low_rank=writing.low_rank,
        on_bad_frame="skip" if writing.skip_bad_frames else "stop",
        overwrite=writing.overwrite,
        progress=progress,
    )
    facts: dict[str, Any] = {
        "frames": done.frames,
        "resumed": done.resumed,
        "skipped_s": done.skipped_s,
        "flicker": None,
    }
    if done.flicker is not None:
        facts["flicker"] = done.flicker.excess
        facts["change_of_spectra"] = done.flicker.spectra
        facts["change_of_image"] = done.flicker.image
    return facts


def _preview_of(target: Path) -> Path:
    """Where the preview of a cube goes."""
    return target.with_suffix(".preview.png")


def outputs(job: Job, *, preview: bool) -> tuple[Path, ...]:
    """All files of a job."""
    clip = job.source.suffix.lower() in CLIP_SUFFIXES
    return cube_files(job.target) + ((_preview_of(job.target),) if preview and not clip else ())
