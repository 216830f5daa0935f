"""The ``reconstruct`` command."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from respectra.cli.app import app, echo, fail, print_json, show_progress, track_progress, warn
from respectra.cli.capture_options import (
    CameraOption,
    CaptureOption,
    LightOption,
    MaterialsOption,
    QuantityOption,
    ReferencesFromOption,
    ReferencesOption,
    Told,
    WhiteOption,
    read_told,
)
from respectra.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from respectra.cameras import PictureOptions
    from respectra.inference import Reconstructor
    from respectra.inference.cluster import Cluster
    from respectra.inference.folders import Job

#: How pictures are read unless something else is asked for; other ways are part of a manifest.
_READING = {
    "grey": "refuse",
    "alpha": "refuse",
    "profile": "embedded",
    "tone": "auto",
    "demosaic": "edge-aware",
}
#: Reconstructors for other cameras, whites or colour spaces that are kept ready.
_KEPT_READY = 8


class InputKind(StrEnum):
    """What the values of a picture are."""

    AUTO = "auto"
    SRGB = "srgb"
    CLEAN = "clean"
    REAL_WORLD = "real-world"
    LINEAR = "linear"
    CAMERA = "camera"


@app.command()
def reconstruct(
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Pictures (JPEG, PNG, TIFF, WebP, HEIC, AVIF, raw), video clips, folders or "
            "patterns of them."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="A cube to write, or a folder of cubes.")
    ],
    method: Annotated[str | None, typer.Option(help="A method that needs no weights file.")] = None,
    weights: Annotated[Path | None, typer.Option(help="A weights file.")] = None,
    kind: Annotated[
        InputKind,
        typer.Option(
            "--input",
            help="What the values are. srgb: an ordinary photo. clean, real-world: pictures of the "
            "challenge's tracks. linear: linear light in sRGB's primaries. camera: codes of the "
            "camera that --camera names. auto: by the challenge's file names and --camera, else "
            "srgb.",
        ),
    ] = InputKind.AUTO,
    suffix: Annotated[
        str, typer.Option("--format", help="Format of cubes in a folder: zarr, mat, hdr, nc, ...")
    ] = "zarr",
    tile: Annotated[int | None, typer.Option(help="Side of a tile in pixels.", min=1)] = None,
    guarantee: Annotated[
        list[str] | None,
        typer.Option(
            help="What the cubes are made to keep: consistent, consistent-exact, non-negative, "
            "exposure-invariant, smooth. May be given several times."
        ),
    ] = None,
    self_ensemble: Annotated[
        str,
        typer.Option(
            "--self-ensemble",
            help="Average over flips and turns of the picture: none, horizontal, vertical, flips "
            "or all eight.",
        ),
    ] = "none",
    max_memory: Annotated[
        str,
        typer.Option(
            "--max-memory",
            help="Memory to stay within, such as 2GB; auto: half of what is free. Zarr and ENVI "
            "cubes may be larger than it.",
        ),
    ] = "auto",
    engine: Annotated[
        str, typer.Option(help="What runs networks: auto, torch, plain or onnx.")
    ] = "auto",
    grey: Annotated[
        str, typer.Option(help="Pictures of one channel: refuse them, or repeat it three times.")
    ] = "refuse",
    alpha: Annotated[
        str,
        typer.Option(
            help="Pictures that are transparent in places: refuse, show on white or black, or drop "
            "the opacity."
        ),
    ] = "refuse",
    profile: Annotated[
        str,
        typer.Option(help="Colour profile: embedded, ignore (read as sRGB), or an ICC file."),
    ] = "embedded",
    tone: Annotated[
        str,
        typer.Option(
            help="Tone curve to undo: none, generic, a file, or auto: generic where EXIF names a "
            "camera."
        ),
    ] = "auto",
    demosaic: Annotated[
        str, typer.Option(help="Raw files: edge-aware, bilinear, or half (no interpolation).")
    ] = "edge-aware",
    preview: Annotated[
        bool, typer.Option(help="Also write NAME.preview.png, for pictures.")
    ] = False,
    low_rank: Annotated[
        bool,
        typer.Option(
            "--low-rank",
            help="Store coefficients and their basis instead of spectra (Zarr, NetCDF, clips), "
            "for tables and methods that give them.",
        ),
    ] = False,
    camera: CameraOption = None,
    light: LightOption = None,
    white: WhiteOption = None,
    references: ReferencesOption = None,
    references_from: ReferencesFromOption = None,
    materials: MaterialsOption = None,
    capture: CaptureOption = None,
    quantity: QuantityOption = None,
    skip_bad_frames: Annotated[
        bool, typer.Option(help="Leave out frames of a clip that cannot be decoded, and say so.")
    ] = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop at the first picture that fails.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that share the pictures of a folder.")
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(help="Scheduler of a dask cluster that shares them: tcp://HOST:8786."),
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace existing outputs.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Recover the cube behind each picture, of files, folders or patterns."""
    from respectra.cameras import PictureOptions, options_for
    from respectra.files import ensure_absent
    from respectra.inference.folders import Job, cube_files, find_inputs, run_jobs
    from respectra.inference.streaming import growing_folder
    from respectra.inference.video_reader import CLIP_SUFFIXES

    if workers is not None and cluster is not None:
        raise ConfigError("--workers and --cluster exclude each other; give one")
    if method and weights:
        raise ConfigError("--method and --weights exclude each other; give one")
    told = read_told(
        camera=camera,
        light=light,
        white=white,
        capture=capture,
        quantity=quantity,
        references=references,
        references_from=references_from,
        materials=materials,
    )
    inputs = find_inputs(images)
    targets = _targets(inputs, output, suffix)
    source = str(weights or method or "default")
    reading: dict[str, Any] = {"grey": grey, "alpha": alpha, "profile": profile}
    reading |= {"tone": tone, "demosaic": demosaic}
    picture_options = options_for(PictureOptions(**reading), told.capture)
    reading["tone"] = picture_options.tone
    plain: dict[str, Reconstructor] = {}
    reconstructors: dict[tuple[str, Any], Reconstructor] = {}
    # One picture by its name, or into a cube by its name; whatever else has a manifest.
    single = len(inputs) == 1 and (inputs[0][0] == images[0] or targets == [output])

    def choose(job: Job) -> Reconstructor:
        said = _said_of(job, picture_options)
        if (job.kind, said) not in reconstructors:
            track = "real-world" if job.kind == "real-world" else "clean"
            if track not in plain:
                plain[track] = _load(
                    source, track, tile, max_memory, engine, guarantee or [], self_ensemble
                )
            while len(reconstructors) >= _KEPT_READY:
                reconstructors.pop(next(iter(reconstructors)))
            # The first picture of a kind is the one in which places are stated.
            reconstructors[job.kind, said] = told.bind(
                plain[track], job.source, job.kind, picture_options
            )
        return reconstructors[job.kind, said]

    def work(reconstructor: Reconstructor, job: Job) -> dict[str, Any]:
        if job.source.suffix.lower() in CLIP_SUFFIXES:
            return _reconstruct_clip(
                reconstructor, job, low_rank, skip_bad_frames, overwrite, single
            )
        _reconstruct_one(reconstructor, job, preview, low_rank, overwrite, picture_options)
        return {}

    def outputs(job: Job) -> tuple[Path, ...]:
        clip = job.source.suffix.lower() in CLIP_SUFFIXES
        return cube_files(job.target) + ((_preview_of(job.target),) if preview and not clip else ())

    jobs = []
    for (path, _), target in zip(inputs, targets, strict=True):
        actual: Any = (_kind_of(path, told) if kind is InputKind.AUTO else kind).value
        jobs.append(Job(path, target, actual))
    results: list[dict[str, Any]] = []

    def report(job: Job, seconds: float, status: str = "done", **facts: Any) -> None:
        place = {"image": job.source, "input": job.kind, "cube": job.target, "status": status}
        results.append({**place, **facts, "seconds": seconds})
        if not json and status != "failed":
            done = "there already" if status == "skipped" else f"{seconds:.2f} s"
            echo(f"{job.source} ({job.kind}) -> {job.target}  {done}")

    failures = []
    if single:
        (job,) = jobs
        if not growing_folder(job.target).exists():  # else a killed run is taken up
            ensure_absent(job.target, overwrite=overwrite)
        reconstructor = choose(job)
        start = time.perf_counter()
        facts = work(reconstructor, job)
        report(job, time.perf_counter() - start, **facts)
    else:
        options = {
            "guarantees": sorted(guarantee or []),
            "tile": tile,
            "preview": preview,
            "low_rank": low_rank,
            **{key: value for key, value in reading.items() if value != _READING[key]},
            **told.facts(),
        }
        with _helpers(workers, cluster) as helpers:
            outcomes = run_jobs(
                jobs,
                output,
                choose,
                work,
                options=options,
                outputs=outputs,
                overwrite=overwrite,
                fail_fast=fail_fast,
                cluster=helpers,
            )
            for outcome in track_progress(outcomes, "reconstructing", len(jobs)):
                if outcome.error is not None:
                    failures.append(outcome.error)
                    report(outcome.job, outcome.seconds, "failed", error=outcome.error)
                else:
                    report(outcome.job, outcome.seconds, outcome.status, **outcome.facts)
    if json:
        print_json({"method": source, "results": results})
    if failures:
        echo(f"{len(failures)} of {len(jobs)} failed; the same command tries them again:")
        for message in failures:
            fail(message)
        raise typer.Exit(1)


@contextlib.contextmanager
def _helpers(workers: int | None, address: str | None) -> Iterator[Cluster | None]:
    """The workers that were asked for, with where they can be watched."""
    if workers is None and address is None:
        yield None
        return
    from respectra.inference.cluster import open_cluster

    with open_cluster(workers=workers, address=address) as cluster:
        if cluster.dashboard:
            echo(f"the workers show what they do at {cluster.dashboard}")
        yield cluster


def _load(
    source: str,
    track: str,
    tile: int | None,
    max_memory: str,
    engine: Any,
    guarantees: list[str],
    self_ensemble: str,
) -> Reconstructor:
    from respectra.inference import load

    return load(
        source,
        track=track,
        tile=tile or "auto",
        max_memory=max_memory,
        engine=engine,
        guarantees=guarantees,
        self_ensemble=self_ensemble,
    )


def _reconstruct_one(
    reconstructor: Reconstructor,
    job: Job,
    preview: bool,
    low_rank: bool,
    overwrite: bool,
    options: PictureOptions,
) -> None:
    from respectra.cameras import input_encoding, open_image
    from respectra.cubes import save_cube, save_preview
    from respectra.inference import reconstruct_file, streams

    path, target, kind = job.source, job.target, job.kind
    if not (preview or low_rank) and streams(reconstructor, path, target, kind, options):
        reconstruct_file(
            reconstructor, path, target, kind=kind, overwrite=overwrite, picture_options=options
        )
        return
    picture = open_image(path, encoding=input_encoding(kind), **options.model_dump())
    values = reconstructor.values_of(picture, kind)
    source = f"{path.name}, reconstructed by {reconstructor.name}"
    if low_rank:
        factors = reconstructor.low_rank(values)
        factors.attrs["source"] = source
        save_cube(factors, target, overwrite=overwrite)
        cube = factors.lazy()
    else:
        cube = reconstructor(values)
        cube.attrs["source"] = source
        save_cube(cube, target, overwrite=overwrite)
    if preview:
        # A display's white is D65; the challenge's cameras know no white but equal energy.
        white = "D65" if kind in ("srgb", "linear") else "E"
        save_preview(cube, _preview_of(target), illuminant=white, overwrite=overwrite)


def _preview_of(target: Path) -> Path:
    return target.with_suffix(".preview.png")


def _reconstruct_clip(
    reconstructor: Reconstructor,
    job: Job,
    low_rank: bool,
    skip_bad_frames: bool,
    overwrite: bool,
    alone: bool,
) -> dict[str, Any]:
    """Reconstruct a clip, say what is to be known of it, and give that for JSON."""
    from respectra.inference import reconstruct_video

    path = job.source
    # Among others, the files are what is counted; a terminal shows one bar at a time.
    shown = show_progress("frame") if alone else contextlib.nullcontext()
    with shown as progress:
        done = reconstruct_video(
            reconstructor,
            path,
            job.target,
            kind=job.kind,
            low_rank=low_rank,
            on_bad_frame="skip" if skip_bad_frames else "stop",
            overwrite=overwrite,
            progress=progress,
        )
    if done.resumed:
        echo(f"{path}: {done.resumed} of {done.frames} frames were there from an earlier run")
    if done.skipped_s:
        times = ", ".join(f"{time:.3f}" for time in done.skipped_s)
        warn(f"{path}: no frame could be decoded at {times} s")
    facts: dict[str, Any] = {"frames": done.frames, "skipped_s": done.skipped_s, "flicker": None}
    if done.flicker is not None:
        flicker = done.flicker
        facts["flicker"] = flicker.excess
        facts["change_of_spectra"], facts["change_of_image"] = flicker.spectra, flicker.image
        echo(
            f"{path}: {done.frames} frames; from frame to frame the spectra change by "
            f"{flicker.spectra:.2%}, the clip by {flicker.image:.2%}: flicker {flicker.excess:+.2%}"
        )
    return facts


def _said_of(job: Job, options: PictureOptions) -> Any:
    """What the file says of its camera or colour space: pictures that differ in it are apart."""
    from respectra.cameras import described_capture, open_picture
    from respectra.inference.video_reader import CLIP_SUFFIXES

    if job.kind not in ("srgb", "camera") or job.source.suffix.lower() in CLIP_SUFFIXES:
        return None
    return described_capture(open_picture(job.source, job.kind, **options.model_dump()).attrs)


def _kind_of(path: Path, told: Told) -> InputKind:
    """By the challenge's own file names, or a camera that is named; anything else is a photo."""
    from respectra.cameras import input_kind_of

    return InputKind(input_kind_of(path, told.capture))


def _targets(inputs: list[tuple[Path, Path]], output: Path, suffix: str) -> list[Path]:
    """Where each cube goes: the named file for a single picture, else a folder."""
    from respectra.cubes.formats import FORMATS
    from respectra.inference.video_reader import CLIP_SUFFIXES

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
    targets = []
    for path, place in inputs:
        clip = path.suffix.lower() in CLIP_SUFFIXES
        targets.append(output / place.with_name(place.stem + (".zarr" if clip else ending)))
    counts = Counter(targets)
    twice = sorted(target.name for target, count in counts.items() if count > 1)
    if twice:
        raise OutputError(f"several pictures would be written to {', '.join(twice)}")
    return targets
