"""The ``reconstruct`` command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from respectra.cli.app import app, echo, fail, print_json, show_progress, warn
from respectra.cli.help import MANY, OUTPUT, PICTURES, RUNNING
from respectra.cli.options import SceneOptions, WorkerOptions, argument, flag, option, output_option
from respectra.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from respectra.inference.jobs import Outcome


@app.command()
def reconstruct(
    images: Annotated[
        list[str],
        argument(
            "PICTURE",
            "Pictures (JPEG, PNG, TIFF, WebP, HEIC, AVIF, raw), video clips, folders or "
            "patterns of them; here, or by URL: s3://BUCKET/FLIGHT/*.tif.",
        ),
    ],
    output: Annotated[
        str, output_option("CUBE|FOLDER", "A cube to write, or a folder of cubes; here, or by URL.")
    ],
    *,
    method: Annotated[
        str | None,
        option(
            "NAME",
            "A method that needs no weights file: respectra, or a classical one.",
            unset="respectra",
        ),
    ] = None,
    weights: Annotated[
        list[Path] | None,
        option(
            "FILE",
            "A weights file. Given several times, the mean of all is taken.",
            unset="those that ship",
        ),
    ] = None,
    kind: Annotated[
        Literal["auto", "srgb", "clean", "real-world", "exposed", "linear", "camera"],
        option(
            None,
            "What the values are. srgb: an ordinary photo. clean, real-world, exposed (2022): "
            "pictures of the challenge's tracks. linear: linear light in sRGB's primaries. "
            "camera: codes of the camera that --camera names. auto: by the challenge's file names "
            "and --camera, else srgb.",
            names=("--kind", "--input"),
        ),
    ] = "auto",
    suffix: Annotated[
        str,
        option(
            "NAME",
            "Format of cubes in a folder: zarr, mat, hdr, nc, ...",
            OUTPUT,
            names=("--format",),
        ),
    ] = "zarr",
    tile: Annotated[
        int | None, option("PIXELS", "Side of a tile.", RUNNING, unset="by the memory", min=1)
    ] = None,
    guarantee: Annotated[
        list[str] | None,
        option(
            "NAME",
            "What the cubes are made to keep: consistent, consistent-exact, non-negative, "
            "exposure-invariant, smooth. May be repeated.",
            unset="what the method gives by itself",
        ),
    ] = None,
    self_ensemble: Annotated[
        str,
        option(
            "NAME",
            "Average over flips and turns of the picture: none, horizontal, vertical, flips "
            "or all eight.",
        ),
    ] = "none",
    max_memory: Annotated[
        str,
        option(
            "SIZE",
            "Memory to stay within, such as 2GB; auto: half of what is free. Zarr and ENVI "
            "cubes may be larger than it.",
            RUNNING,
        ),
    ] = "auto",
    engine: Annotated[
        str,
        option(
            "NAME", "What runs networks: auto, torch, plain, onnx or half (precision).", RUNNING
        ),
    ] = "auto",
    grey: Annotated[
        str,
        option(
            "refuse|repeat",
            "Pictures of one channel: refuse them, or repeat it three times.",
            PICTURES,
        ),
    ] = "refuse",
    alpha: Annotated[
        str,
        option(
            "refuse|white|black|drop",
            "Pictures that are transparent in places: refuse, show on white or black, or drop "
            "the opacity.",
            PICTURES,
        ),
    ] = "refuse",
    profile: Annotated[
        str,
        option(
            "NAME|FILE",
            "Colour profile: embedded, ignore (read as sRGB), or an ICC file.",
            PICTURES,
        ),
    ] = "embedded",
    tone: Annotated[
        str,
        option(
            "NAME|FILE",
            "Tone curve to undo: none, generic, a file, or auto: generic where EXIF names a "
            "camera.",
            PICTURES,
        ),
    ] = "auto",
    demosaic: Annotated[
        str,
        option("NAME", "Raw files: edge-aware, bilinear, or half (no interpolation).", PICTURES),
    ] = "edge-aware",
    mosaic: Annotated[
        str,
        option(
            "PATTERN",
            "Grey PNG or TIFF files that are a sensor's mosaic: rggb, bggr, grbg or gbrg.",
            PICTURES,
        ),
    ] = "none",
    black_level: Annotated[
        float, option("CODE", "Of a mosaic: the code that no light gives.", PICTURES)
    ] = 0.0,
    white_level: Annotated[
        float | None,
        option("CODE", "Of a mosaic: the code of full scale.", PICTURES, unset="the highest"),
    ] = None,
    preview: Annotated[
        bool, flag("--preview", "Also write NAME.preview.png, for pictures.", OUTPUT)
    ] = False,
    low_rank: Annotated[
        bool,
        flag(
            "--low-rank",
            "Store coefficients and their basis instead of spectra (Zarr, NetCDF, clips), "
            "for tables and methods that give them.",
            OUTPUT,
        ),
    ] = False,
    scene: SceneOptions,
    skip_bad_frames: Annotated[
        bool,
        flag(
            "--skip-bad-frames",
            "Leave out frames of a clip that cannot be decoded, and say so.",
            MANY,
        ),
    ] = False,
    fail_fast: Annotated[
        bool, flag("--fail-fast", "Stop at the first picture that fails.", MANY)
    ] = False,
    sharing: WorkerOptions,
    force: Annotated[
        bool,
        flag(
            "--force", "Use weights on pictures of another track than theirs; cubes say so.", OUTPUT
        ),
    ] = False,
    overwrite: Annotated[bool, flag("--overwrite", "Replace existing outputs.", OUTPUT)] = False,
    json: Annotated[bool, flag("--json", "Print what was done as JSON.", OUTPUT)] = False,
) -> None:
    """Recover the cube behind each picture, of files, folders or patterns."""
    from respectra.cameras import PictureOptions
    from respectra.inference.files import reconstruct_files

    if method and weights:
        raise ConfigError("--method and --weights exclude each other; give one")
    facts = scene.known()
    files = [str(file) for file in weights or ()]
    source = " + ".join(files) or method or "default"
    reading: dict[str, Any] = {"grey": grey, "alpha": alpha, "profile": profile}
    reading |= {"demosaic": demosaic, "mosaic": mosaic}
    reading |= {"black_level": black_level, "white_level": white_level}
    if mosaic != "none" and kind == "auto":
        kind = "camera"
    with sharing.open() as helpers, show_progress() as progress:
        outcomes = reconstruct_files(
            images,
            output,
            files if len(files) > 1 else source,
            kind=kind,
            suffix=suffix,
            **vars(facts),
            picture_options=PictureOptions(**reading, tone=tone),
            preview=preview,
            low_rank=low_rank,
            skip_bad_frames=skip_bad_frames,
            overwrite=overwrite,
            fail_fast=fail_fast,
            cluster=helpers,
            progress=progress,
            on_outcome=lambda outcome: _report(outcome, silent=json),
            tile=tile or "auto",
            max_memory=max_memory,
            engine=engine,
            guarantees=guarantee or [],
            self_ensemble=self_ensemble,
            force=force,
        )
    if json:
        print_json({"method": source, "results": [_plain(outcome) for outcome in outcomes]})
    failures = [outcome.error for outcome in outcomes if outcome.error is not None]
    if failures:
        echo(f"{len(failures)} of {len(outcomes)} failed; the same command tries them again:")
        for message in failures:
            fail(message)
        raise typer.Exit(1)


def _report(outcome: Outcome, *, silent: bool) -> None:
    """Say what became of a picture or clip."""
    job, facts = outcome.job, outcome.facts
    if outcome.status == "done" and "frames" in facts:
        _report_clip(job.name, facts)
    if not silent and outcome.status != "failed":
        done = "there already" if outcome.status == "skipped" else f"{outcome.seconds:.2f} s"
        echo(f"{job.name} ({job.kind}) -> {job.place}  {done}")


def _report_clip(path: str, facts: Mapping[str, Any]) -> None:
    if facts["resumed"]:
        before = f"{facts['resumed']} of {facts['frames']}"
        echo(f"{path}: {before} frames were there from an earlier run")
    if facts["skipped_s"]:
        times = ", ".join(f"{time:.3f}" for time in facts["skipped_s"])
        warn(f"{path}: no frame could be decoded at {times} s")
    if facts["flicker"] is not None:
        echo(
            f"{path}: {facts['frames']} frames; from frame to frame the spectra change by "
            f"{facts['change_of_spectra']:.2%}, the clip by {facts['change_of_image']:.2%}: "
            f"flicker {facts['flicker']:+.2%}"
        )


def _plain(outcome: Outcome) -> dict[str, Any]:
    """An outcome for JSON."""
    job = outcome.job
    place = {"image": job.name, "input": job.kind, "cube": job.place, "status": outcome.status}
    error = {} if outcome.error is None else {"error": outcome.error}
    return {**place, **outcome.facts, **error, "seconds": outcome.seconds}
