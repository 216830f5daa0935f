"""From pictures and clips on disk to cubes on disk: what ``respectra reconstruct`` does."""

from __future__ import annotations

import functools
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal

from respectra.cameras import (
    Capture,
    InputKind,
    PictureOptions,
    References,
    input_kind_of,
    options_for,
)
from respectra.cameras.images import INPUT_KINDS
from respectra.cubes import Quantity
from respectra.cubes.formats import FORMATS
from respectra.datasets.scenes import AS_THE_FILES_SAY, Opening
from respectra.errors import ConfigError, OutputError, unknown_name
from respectra.inference.ensembles import ModelEnsemble
from respectra.inference.folders import Job, Outcome
from respectra.inference.growing import growing_folder
from respectra.inference.known import Chosen, KnownFacts, Method, PathLike
from respectra.inference.loading import DEFAULT
from respectra.inference.reconstructor import Reconstructor
from respectra.inference.remote import Mirror, RemoteWork, find_places, mirrored
from respectra.inference.video_reader import CLIP_SUFFIXES
from respectra.inference.writing import Writing, outputs, work
from respectra.progress import Progress, as_progress
from respectra.urls import Place, parse_place

if TYPE_CHECKING:
    from respectra.cluster import Cluster


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
    inputs, target = find_places(arguments), parse_place(os.fspath(output))
    targets = _targets(inputs, target, suffix)
    reading = picture_options or PictureOptions()
    reading = options_for(reading, capture)
    if kind not in (*INPUT_KINDS, "auto"):
        raise unknown_name("kind of input", kind, (*INPUT_KINDS, "auto"))
    writing = Writing(reading, preview, low_rank, skip_bad_frames, overwrite)
    choose = Chosen(method, known, reading, options)
    taken = capture or choose.own_capture()
    told, shown = on_outcome or (lambda outcome: None), as_progress(progress)
    with mirrored(target) as mirror:
        jobs = [
            mirror.job(
                path, below, place, kind if kind != "auto" else input_kind_of(path.name, taken)
            )
            for (path, below), place in zip(inputs, targets, strict=True)
        ]
        # One picture by its name, or into a cube by its name; whatever else has a manifest.
        named = inputs[0][0] == parse_place(arguments[0])
        if len(inputs) == 1 and (named or targets == [target]):
            outcome = _single(jobs[0], mirror, choose, writing, shown, overwrite=overwrite)
            told(outcome)
            return [outcome]
        outcomes: list[Outcome] = []
        if known.has_places:
            mirror.choose(choose)(jobs[0])
        else:
            choose.check(jobs[0].kind)
        shown(0, len(jobs), "reconstructing")
        for outcome in mirror.run(
            jobs,
            choose,
            functools.partial(work, writing=writing),
            options=_manifest_options(options, writing, known),
            outputs=functools.partial(outputs, preview=preview),
            overwrite=overwrite,
            fail_fast=fail_fast,
            cluster=cluster,
        ):
            outcomes.append(outcome)
            told(outcome)
            shown(len(outcomes), len(jobs), "reconstructing")
        return outcomes


def _single(
    job: Job,
    mirror: Mirror,
    choose: Chosen,
    writing: Writing,
    progress: Progress,
    *,
    overwrite: bool,
) -> Outcome:
    """A picture or clip by its name, without a manifest; errors are raised."""
    if not growing_folder(job.target).exists():  # else a killed run is taken up
        mirror.ensure_absent(job, overwrite=overwrite)
    reconstructor = mirror.choose(choose)(job)
    start = time.perf_counter()
    told = functools.partial(work, writing=writing, progress=progress)
    facts = dict(RemoteWork(told)(reconstructor, job))
    return Outcome(job, "done", time.perf_counter() - start, facts=facts)


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


def _targets(inputs: list[tuple[Place, PurePath]], output: Place, suffix: str) -> list[Place]:
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
        clip = path.suffix.lower() in CLIP_SUFFIXES
        name = place.with_name(place.stem + (".zarr" if clip else ending))
        targets.append(output / name.as_posix())
    counts = Counter(targets)
    twice = sorted(target.name for target, count in counts.items() if count > 1)
    if twice:
        raise OutputError(f"several pictures would be written to {', '.join(twice)}")
    return targets
