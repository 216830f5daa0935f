"""From pictures and clips on disk to cubes on disk: what ``respectra reconstruct`` does."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal

from respectra.cameras import (
    Capture,
    InputKind,
    PictureOptions,
    References,
    input_encoding,
    input_kind_of,
    open_image,
    options_for,
)
from respectra.cameras.images import INPUT_KINDS
from respectra.cubes import LowRankCube, Quantity, save_preview
from respectra.cubes.formats import FORMATS
from respectra.cubes.io import save_with
from respectra.datasets.scenes import AS_THE_FILES_SAY, Opening
from respectra.errors import ConfigError, OutputError, unknown_name
from respectra.files import ensure_all_absent
from respectra.inference.ensembles import ModelEnsemble, Recovers
from respectra.inference.folders import run_jobs
from respectra.inference.growing import growing_folder
from respectra.inference.jobs import Job, Outcome, cube_files, find_inputs, is_clip
from respectra.inference.known import Chosen, KnownFacts, Method, PathLike
from respectra.inference.loading import DEFAULT
from respectra.inference.reconstructor import Reconstructor
from respectra.inference.streaming import reconstruct_file, streams
from respectra.inference.video import reconstruct_video
from respectra.progress import Progress, as_progress
from respectra.storage import ensure_absent
from respectra.urls import Place, Url, parse_place

if TYPE_CHECKING:
    from respectra.cluster import Cluster

#: Kinds whose colours are those of a display, whose white is D65; the challenge's cameras know no
#: white but equal energy.
_DISPLAYED = ("srgb", "linear")


def reconstruct_files(
    pictures: PathLike | Sequence[PathLike],
    output: PathLike,
    method: Method = DEFAULT,
    *,
    kind: InputKind | Literal["auto"] = "auto",
    suffix: str = "zarr",
    capture: Capture | None = None,
    quantity: Quantity | None = None,
    references: References | None = None,
    references_from: PathLike | None = None,
    materials: PathLike | None = None,
    references_opening: Opening = AS_THE_FILES_SAY,
    picture_options: PictureOptions | None = None,
    preview: bool = False,
    low_rank: bool = False,
    skip_bad_frames: bool = False,
    overwrite: bool = False,
    fail_fast: bool = False,
    cluster: Cluster | None = None,
    progress: Progress | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
    **options: Any,
) -> list[Outcome]:
    """Recover the cube behind each picture of files, folders or patterns.

    Several pictures go into a folder with a manifest: a run that ended, however it ended, is taken
    up by the same call, and what is done is skipped. One file goes to ``output`` itself where
    that ends like a cube.

    Args:
        pictures: files, folders or patterns such as ``shots/**/*.png``, of pictures and clips;
            here, or by any URL that fsspec reaches.
        output: a cube to write, or a folder of cubes; here, or by URL.
        method: as for :func:`respectra.load`; several such, of which the mean is taken; a
            reconstructor or an ensemble; or a function that gives one for images of a track.
        kind: what the values are; ``auto``: by the challenge's file names and the camera of the
            capture, or of weights that are for one, else ``srgb``.
        suffix: format of the cubes in a folder; clips are always Zarr.
        capture: what is known of how the pictures were taken. Places are those of the first one.
        quantity: ``reflectance`` or ``radiance``, as for :func:`respectra.load`.
        references: known spectra of the first picture.
        references_from: a cube of the same place, whose spectra serve as references.
        materials: a table of spectra of what is in the scene, as a prior.
        references_opening: how the cube of ``references_from`` is opened, where its file does not
            say: ``respectra.datasets.collections.Opening(key="cube")``.
        picture_options: how the pictures are read.
        preview: also write ``NAME.preview.png``, for pictures.
        low_rank: store coefficients and their basis instead of spectra.
        skip_bad_frames: leave out frames of a clip that cannot be decoded.
        overwrite: replace what is there.
        fail_fast: raise the first error of several pictures instead of going on.
        cluster: workers of :func:`respectra.cluster.open_cluster` that share them.
        progress: told how many pictures are done; of a single clip, how many frames.
        on_outcome: gets each outcome as it comes.
        options: ``tile``, ``guarantees``, ``self_ensemble`` and others of :func:`respectra.load`.

    Returns:
        What became of each picture; of several, failures too.

    Raises:
        FormatError: there is no such picture, or a single one is damaged.
        ConfigError: a method, format or option that does not exist.
        OutputError: a cube exists, or cannot be written.

    Example:
        >>> import respectra as rs
        >>> rs.reconstruct_files("photos", "cubes", guarantees=["consistent"])  # doctest: +SKIP
    """
    known = KnownFacts(
        capture,
        quantity,
        references,
        None if references_from is None else Path(references_from),
        None if materials is None else Path(materials),
        references_opening,
    )
    if isinstance(method, Reconstructor | ModelEnsemble):
        if options:
            raise ConfigError(
                f"{', '.join(sorted(options))}: options of respectra.load do not go with a "
                "reconstructor that is made already; make it with them"
            )
        options = {"guarantees": sorted(method.guarantees.names)}
    several = [pictures] if isinstance(pictures, str | os.PathLike) else pictures
    arguments = [os.fspath(picture) for picture in several]
    inputs, target = find_inputs(arguments), parse_place(os.fspath(output))
    targets = _targets(inputs, target, suffix)
    reading = options_for(picture_options or PictureOptions(), capture)
    if kind not in (*INPUT_KINDS, "auto"):
        raise unknown_name("kind of input", kind, (*INPUT_KINDS, "auto"))
    writing = Writing(reading, preview, low_rank, skip_bad_frames, overwrite)
    choose = Chosen(method, known, reading, options)
    taken = capture or choose.own_capture()
    told, shown = on_outcome or (lambda outcome: None), as_progress(progress)
    jobs = [
        Job(path, place, kind if kind != "auto" else input_kind_of(path.name, taken))
        for (path, _), place in zip(inputs, targets, strict=True)
    ]
    # One picture by its name, or into a cube by its name; whatever else has a manifest.
    named = inputs[0][0] == parse_place(arguments[0])
    if len(inputs) == 1 and (named or targets == [target]):
        outcome = _single(jobs[0], choose, writing, shown)
        told(outcome)
        return [outcome]
    outcomes: list[Outcome] = []
    if known.has_places:
        jobs[0].told_to(choose)
    else:
        choose.check(jobs[0].kind)
    shown(0, len(jobs), "reconstructing")
    for outcome in run_jobs(
        jobs,
        target,
        choose,
        writing.work,
        options=_manifest_options(options, writing, known),
        outputs=writing.outputs,
        overwrite=overwrite,
        fail_fast=fail_fast,
        cluster=cluster,
    ):
        outcomes.append(outcome)
        told(outcome)
        shown(len(outcomes), len(jobs), "reconstructing")
    return outcomes


def _single(job: Job, choose: Chosen, writing: Writing, progress: Progress) -> Outcome:
    """A picture or clip by its name, without a manifest; errors are raised."""
    # What a killed run left is taken up.
    if isinstance(job.target, Url) or not growing_folder(job.target).exists():
        ensure_absent(job.target, overwrite=writing.overwrite)
    reconstructor = job.told_to(choose)
    start = time.perf_counter()
    with job.here() as (source, target):
        facts = writing.work(reconstructor, source, target, job.kind, progress)
    return Outcome(job, "done", time.perf_counter() - start, facts=facts)


@dataclass(frozen=True)
class Writing:
    """How pictures are read and cubes written."""

    reading: PictureOptions
    preview: bool
    low_rank: bool
    skip_bad_frames: bool
    overwrite: bool

    def outputs(self, target: Path, source: Place) -> tuple[Path, ...]:
        """All files of a cube, and of what is written beside it."""
        shown = (_preview_of(target),) if self.preview and not is_clip(source) else ()
        return cube_files(target) + shown

    def work(
        self,
        reconstructor: Recovers,
        source: Path,
        target: Path,
        kind: InputKind,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Write the cube of a picture or clip, whole or not at all; what is to be known of it."""
        if is_clip(source):
            return self._clip(reconstructor, source, target, kind, progress)
        by_rows = not (self.preview or self.low_rank)
        if by_rows and streams(reconstructor, source, target, kind, self.reading):
            reconstruct_file(
                reconstructor,
                source,
                target,
                kind=kind,
                overwrite=self.overwrite,
                picture_options=self.reading,
            )
        else:
            self._picture(reconstructor, source, target, kind)
        return {}

    def _picture(
        self, reconstructor: Recovers, source: Path, target: Path, kind: InputKind
    ) -> None:
        files = FORMATS.for_writing(target).files(target)
        shown = (_preview_of(target),) if self.preview else ()
        ensure_all_absent([*files, *shown], overwrite=self.overwrite)
        picture = open_image(source, encoding=input_encoding(kind), **self.reading.model_dump())
        values = reconstructor.values_of(picture, kind)
        cube = reconstructor.low_rank(values) if self.low_rank else reconstructor(values)
        cube.attrs["source"] = f"{source.name}, reconstructed by {reconstructor.name}"

        def show(place: Path) -> None:
            seen = cube.lazy() if isinstance(cube, LowRankCube) else cube
            save_preview(seen, place, illuminant="D65" if kind in _DISPLAYED else "E")

        save_with(cube, target, dict.fromkeys(shown, show), overwrite=self.overwrite)

    def _clip(
        self,
        reconstructor: Recovers,
        source: Path,
        target: Path,
        kind: InputKind,
        progress: Progress | None,
    ) -> dict[str, Any]:
        done = reconstruct_video(
            reconstructor,
            source,
            target,
            kind=kind,
            low_rank=self.low_rank,
            on_bad_frame="skip" if self.skip_bad_frames else "stop",
            overwrite=self.overwrite,
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
    return target.with_suffix(".preview.png")


def _manifest_options(
    options: Mapping[str, Any], writing: Writing, known: KnownFacts
) -> dict[str, Any]:
    """What finished cubes depend on besides picture and weights; defaults are left out."""
    usual = PictureOptions().model_dump()
    reading = writing.reading.model_dump()
    tile = options.get("tile", "auto")
    return {
        "guarantees": sorted(options.get("guarantees", ())),
        "tile": None if tile == "auto" else tile,
        "preview": writing.preview,
        "low_rank": writing.low_rank,
        **{key: value for key, value in reading.items() if value != usual[key]},
        **known.plain(),
        **({"force": True} if options.get("force") else {}),
    }


def _targets(inputs: Sequence[tuple[Place, PurePath]], output: Place, suffix: str) -> list[Place]:
    """Where each cube goes: the named file for a single picture, else a folder."""
    known = {suffix for entry in FORMATS for suffix in entry.suffixes}
    ending = f".{suffix.lstrip('.')}"
    if ending not in known:
        raise ConfigError(f"unknown format {suffix!r}; known: {', '.join(sorted(known))}")
    if len(inputs) == 1 and output.suffix.lower() in known:
        return [output]
    if len(inputs) == 1 and output.suffix and not output.is_dir():
        raise ConfigError(
            f"{output} does not end like a cube ({', '.join(sorted(known))}); choose one of these, "
            "or a folder without a dot in its name"
        )
    if output.suffix.lower() in known:
        raise OutputError(
            f"{len(inputs)} pictures cannot go into the one cube {output}; name a folder"
        )
    targets: list[Place] = []
    for path, place in inputs:
        name = place.with_name(place.stem + (".zarr" if is_clip(path) else ending))
        targets.append(output / name.as_posix())
    counts = Counter(targets)
    twice = sorted(target.name for target, count in counts.items() if count > 1)
    if twice:
        raise OutputError(f"several pictures would be written to {', '.join(twice)}")
    return targets
