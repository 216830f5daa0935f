"""The ``reconstruct`` command."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from respectra.cli.app import app, print_json, say, track_progress
from respectra.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from respectra.inference import Reconstructor


class InputKind(StrEnum):
    """What the values of a picture are."""

    AUTO = "auto"
    SRGB = "srgb"
    CLEAN = "clean"
    REAL_WORLD = "real-world"
    LINEAR = "linear"


@app.command()
def reconstruct(
    images: Annotated[list[Path], typer.Argument(help="Pictures: PNG, JPEG or TIFF.")],
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
            "challenge's tracks. linear: raw camera values. auto: by the challenge's file names, "
            "else srgb.",
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
    preview: Annotated[bool, typer.Option(help="Also write NAME.preview.png.")] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace existing outputs.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Recover the cube behind each picture."""
    from respectra.files import ensure_absent

    if method and weights:
        raise ConfigError("--method and --weights exclude each other; give one")
    targets = _targets(images, output, suffix)
    for target in targets:
        ensure_absent(target, overwrite=overwrite)
    source = str(weights or method or "default")
    reconstructors: dict[str, Reconstructor] = {}
    done = []
    pairs = list(zip(images, targets, strict=True))
    for image, target in track_progress(pairs, "reconstructing"):
        actual = _kind_of(image) if kind is InputKind.AUTO else kind
        track = "real-world" if actual is InputKind.REAL_WORLD else "clean"
        if track not in reconstructors:
            reconstructors[track] = _load(
                source, track, tile, max_memory, guarantee or [], self_ensemble
            )
        start = time.perf_counter()
        _reconstruct_one(reconstructors[track], image, actual, target, preview, overwrite)
        seconds = time.perf_counter() - start
        done.append({"image": image, "input": actual, "cube": target, "seconds": seconds})
        if not json:
            say(f"{image} ({actual}) -> {target}  {seconds:.2f} s")
    if json:
        print_json({"method": source, "results": done})


def _load(
    source: str,
    track: str,
    tile: int | None,
    max_memory: str,
    guarantees: list[str],
    self_ensemble: str,
) -> Reconstructor:
    from respectra.inference import load

    return load(
        source,
        track=track,
        tile=tile or "auto",
        max_memory=max_memory,
        guarantees=guarantees,
        self_ensemble=self_ensemble,
    )


def _reconstruct_one(
    reconstructor: Reconstructor,
    path: Path,
    kind: InputKind,
    target: Path,
    preview: bool,
    overwrite: bool,
) -> None:
    from respectra.cameras import input_encoding, open_image, to_track_values
    from respectra.cubes import save_cube, save_preview
    from respectra.inference import reconstruct_file, streams

    known: Any = kind.value
    if not preview and streams(reconstructor, path, target):
        reconstruct_file(reconstructor, path, target, kind=known, overwrite=overwrite)
        return
    picture = open_image(path, encoding=input_encoding(known))
    cube = reconstructor(to_track_values(picture, known))
    cube.attrs["source"] = f"{path.name}, reconstructed by {reconstructor.name}"
    save_cube(cube, target, overwrite=overwrite)
    if preview:
        # A display's white is D65; the challenge's cameras know no white but equal energy.
        white = "D65" if kind in (InputKind.SRGB, InputKind.LINEAR) else "E"
        picture_path = target.with_suffix(".preview.png")
        save_preview(cube, picture_path, illuminant=white, overwrite=overwrite)


def _kind_of(path: Path) -> InputKind:
    """The challenge's own file names say what they hold; anything else is a photo."""
    if path.name.endswith("_clean.png"):
        return InputKind.CLEAN
    if path.name.endswith("_RealWorld.jpg"):
        return InputKind.REAL_WORLD
    return InputKind.SRGB


def _targets(images: list[Path], output: Path, suffix: str) -> list[Path]:
    """Where each cube goes: the named file for a single picture, else a folder."""
    from respectra.cubes.formats import FORMATS

    known = {suffix for entry in FORMATS for suffix in entry.suffixes}
    ending = f".{suffix.lstrip('.')}"
    if ending not in known:
        raise ConfigError(f"unknown format {suffix!r}; known: {', '.join(sorted(known))}")
    if len(images) == 1 and output.suffix.lower() in known:
        return [output]
    if output.suffix.lower() in known:
        raise OutputError(
            f"{len(images)} pictures cannot go into the one cube {output}; name a folder"
        )
    targets = [output / f"{image.stem}{ending}" for image in images]
    twice = {t.name for t in targets if targets.count(t) > 1}
    if twice:
        raise OutputError(f"several pictures would be written to {', '.join(sorted(twice))}")
    return targets
