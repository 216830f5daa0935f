"""Commands about data sets: data check, data prepare, data synthesize."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from respectra.cli.app import app, echo, out, parse_settings, print_json, show_progress
from respectra.cli.help import App, Group
from respectra.cli.options import CubeOptions, WorkerOptions, argument, flag, option, output_option
from respectra.errors import ConfigError

if TYPE_CHECKING:
    from respectra.datasets.collections import Collection

_SCENES = "What scenes are made of"

data = App(
    name="data",
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Check folders of scenes, prepare them for training, and make synthetic ones.",
)
app.add_typer(data)

Folder = Annotated[str, argument("FOLDER|URL", "The folder that holds the cubes.")]
Layout = Annotated[
    str | None,
    option(
        "NAME",
        "arad-2020, arad-1k, bgu, icvl, cave, archives or cubes.",
        names=("--layout",),
        unset="recognised",
    ),
]
Tracks = Annotated[
    list[str] | None,
    option(
        "NAME",
        "clean, real-world or exposed; may be repeated.",
        names=("--track",),
        unset="all to check, clean to prepare",
    ),
]
Settings = Annotated[
    list[str] | None,
    option(
        "NAME=VALUE",
        "Change an option of the tracks. May be repeated.",
        names=("--set",),
        unset="as the challenge",
    ),
]
Seed = Annotated[int, option("SEED", "Where random numbers come from.", names=("--seed",))]


@data.command()
def check(
    folder: Folder,
    *,
    layout: Layout = None,
    reading: CubeOptions,
    tracks: Tracks = None,
    settings: Settings = None,
    seed: Seed = 0,
    as_json: Annotated[bool, flag("--json", "Print JSON for a program.")] = False,
) -> None:
    """Look for what breaks training: bad cubes, images that do not fit, duplicates.

    Images are compared with what their track makes of the cube (all tracks by default). Exit code
    1 when something was found that breaks training.
    """
    from respectra.cameras import get_track, list_tracks
    from respectra.datasets.checking import check_collection
    from respectra.datasets.collections import open_collection

    collection = open_collection(folder, layout=layout, **reading.opening())
    wanted = tuple(tracks or list_tracks())
    changes = _track_options(settings or [], wanted)
    cameras = [get_track(name, seed=seed, **changes.get(name, {})) for name in wanted]
    echo(f"{folder}: {len(collection)} scenes, layout {collection.layout}")
    with show_progress() as progress:
        report = check_collection(collection, cameras, progress=progress)
    if as_json:
        print_json(report.to_dict())
    else:
        for scene in report.scenes:
            size = " x ".join(map(str, scene.shape)) or "unreadable"
            rest = "" if scene.valid_share == 1 else f", {100 * scene.valid_share:.4g} % measured"
            out.print(f"{scene.name}: {size}{rest}", markup=False)
            for finding in scene.findings:
                out.print(f"  {finding.severity}: {finding.message}", markup=False)
    if not report.ok:
        raise typer.Exit(1)


@data.command()
def prepare(
    folder: Folder,
    output: Annotated[str, output_option("FOLDER|URL", "The store, a folder.")],
    *,
    layout: Layout = None,
    reading: CubeOptions,
    tracks: Tracks = None,
    settings: Settings = None,
    seed: Seed = 0,
    dtype: Annotated[
        str, option("NAME", "float32 is exact, float16 takes half the space.")
    ] = "float32",
    split: Annotated[
        str | None,
        option(
            "official|NAME=SHARE,...",
            "official; or shares by physical scene: train=0.8,validation=0.1,test=0.1.",
            unset="official where there is one, else these shares",
        ),
    ] = None,
    wavelengths: Annotated[
        str | None,
        option(
            "NM",
            "Resample to these bands in nm: 400:700:10, or a list.",
            names=("--resample", "--wavelengths"),
            unset="bands as they are",
        ),
    ] = None,
    estimate: Annotated[
        bool, flag("--estimate", "Only say how large it becomes and how long it takes.")
    ] = False,
    sharing: WorkerOptions,
    overwrite: Annotated[bool, flag("--overwrite", "Replace a store.")] = False,
) -> None:
    """Write a memory-mapped store, from which patches come without decoding.

    A run that is stopped goes on when it is started again.
    """
    from respectra.cubes import parse_wavelengths
    from respectra.datasets import (
        PrepareOptions,
        estimate_seconds,
        plan_store,
        prepare_store,
    )
    from respectra.datasets.collections import open_collection

    collection = open_collection(folder, layout=layout, **reading.opening())
    echo(f"{folder}: {len(collection)} scenes, layout {collection.layout}")
    for scene in collection:
        if scene.bad:
            echo(f"{scene.name} is left out: {scene.bad}")
    parts = _split(collection, split, seed)
    wanted = tuple(tracks or ("clean",))
    grid = None if wavelengths is None else tuple(parse_wavelengths(wavelengths).tolist())
    options: dict[str, Any] = {
        "tracks": wanted,
        "seed": seed,
        "dtype": dtype,
        "wavelengths_nm": grid,
        "track_options": _track_options(settings or [], wanted),
    }
    plan = plan_store(parts, PrepareOptions(**options))
    for name, part in parts.items():
        echo(f"{name}: {len(part)} scenes")
    seconds = estimate_seconds(plan)
    echo(f"{plan.size / 2**30:.3g} GiB in all, about {_duration(seconds)}")
    if estimate:
        return
    with sharing.open() as helpers, show_progress() as progress:
        prepare_store(plan, output, overwrite=overwrite, progress=progress, cluster=helpers)
    echo(f"saved {output}")


@data.command()
def synthesize(
    output: Annotated[str, output_option("FOLDER|URL", "Folder for the cubes.")],
    *,
    count: Annotated[int, option("N", "How many scenes.", names=("-n", "--count"), min=1)] = 10,
    seed: Seed = 0,
    size: Annotated[str, option("PIXELS", "Rows x columns.")] = "256x256",
    photos: Annotated[
        str | None,
        option(
            "FOLDER|URL",
            "Photographs that lend their structure.",
            _SCENES,
            unset="shapes that are drawn",
        ),
    ] = None,
    illuminants: Annotated[
        list[str] | None,
        option(
            "NAME",
            "Draw from this light, such as D65; may be repeated.",
            _SCENES,
            names=("--illuminant",),
            unset="all that are known",
        ),
    ] = None,
    materials: Annotated[
        list[str] | None,
        option(
            "NAME",
            "A collection of reflectances; may be repeated.",
            _SCENES,
            unset="those that every installation has",
        ),
    ] = None,
    wavelengths: Annotated[
        str | None, option("NM", "The bands in nm, or a list.", unset="400:700:10")
    ] = None,
    settings: Annotated[
        list[str] | None,
        option(
            "NAME=VALUE",
            "Another option: things=[30,600], metamers=0.12, exposure=[0.35,1], "
            "lens_blur_px=[0.5,1], shadows, highlights, interreflections, response. "
            "May be repeated.",
            _SCENES,
            names=("--set",),
            unset="as in SynthesisOptions",
        ),
    ] = None,
    form: Annotated[
        str, option(".NAME", "Format of the cubes: .npz, .mat, .nc, ...", names=("--suffix",))
    ] = ".npz",
    layers: Annotated[
        str | None,
        option(
            "FOLDER|URL", "Also save reflectance, light and highlights, there.", unset="cubes only"
        ),
    ] = None,
    sharing: WorkerOptions,
) -> None:
    """Make synthetic scenes of measured materials under measured lights.

    The same seed and options give the same scenes; those that are there already are kept.
    """
    from respectra.cubes import parse_wavelengths
    from respectra.datasets.series import save_scenes
    from respectra.datasets.synthesize import SynthesisOptions

    rows, columns = _size(size)
    chosen: dict[str, Any] = {**parse_settings(settings or []), "height": rows, "width": columns}
    if photos is not None:
        chosen["photos"] = photos
    if illuminants:
        chosen["illuminants"] = tuple(illuminants)
    if materials:
        chosen["materials"] = tuple(materials)
    if wavelengths is not None:
        chosen["wavelengths_nm"] = tuple(parse_wavelengths(wavelengths).tolist())
    with sharing.open() as helpers, show_progress() as progress:
        files = save_scenes(
            output,
            count,
            seed=seed,
            options=SynthesisOptions(**chosen),
            suffix=form,
            layers=layers,
            progress=progress,
            cluster=helpers,
        )
    echo(f"{len(files)} scenes in {output}")


def _track_options(settings: list[str], tracks: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Each setting for those of the tracks that have an option of its name."""
    from respectra.cameras import track_options
    from respectra.errors import unknown_name

    known = {name: set(track_options(name).model_fields) for name in tracks}
    values = parse_settings(settings)
    for name in values:
        if not any(name in names for names in known.values()):
            raise unknown_name("track option", name, set().union(*known.values()))
    found = {
        track: {option: value for option, value in values.items() if option in names}
        for track, names in known.items()
    }
    return {track: changes for track, changes in found.items() if changes}


def _split(collection: Collection, text: str | None, seed: int) -> Mapping[str, Collection]:
    from respectra.datasets.splits import list_official_splits, split_by_scene, split_officially

    if text == "official" or (text is None and collection.layout in list_official_splits()):
        return split_officially(collection)
    if text is None:
        return split_by_scene(collection, seed=seed)
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, equals, share = part.partition("=")
        try:
            shares[name.strip()] = float(share)
        except ValueError:
            equals = ""
        if not equals or not name.strip().replace("-", "").isalnum():
            raise ConfigError(f"--split is official or NAME=SHARE,NAME=SHARE,...; got {text!r}")
    return split_by_scene(collection, shares, seed=seed)


def _size(text: str) -> tuple[int, int]:
    rows, _, columns = text.lower().partition("x")
    try:
        return int(rows), int(columns)
    except ValueError:
        raise ConfigError(f"--size is ROWSxCOLUMNS, such as 256x256; got {text!r}") from None


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
