"""Synthetic scenes as files: a folder that says how it was made, continued where it stopped."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from respectra.cubes import save_cube
from respectra.cubes.formats import FORMATS
from respectra.datasets.synthesize import SceneLayers, SynthesisOptions, synthesize_layers
from respectra.errors import ConfigError, OutputError
from respectra.files import atomic_path, file_lock, make_folder
from respectra.progress import Progress, as_progress, tracked

if TYPE_CHECKING:
    from respectra.cluster import Cluster

_RECIPE = "synthesis.json"
_LAYERS = ("reflectance", "illumination", "highlights")


def save_scenes(
    folder: str | os.PathLike[str],
    count: int,
    *,
    seed: int,
    options: SynthesisOptions | None = None,
    suffix: str = ".npz",
    layers: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    cluster: Cluster | None = None,
) -> list[Path]:
    """Make the first scenes of a series. Those that are there already are kept.

    Args:
        folder: where the cubes go, ``synthetic_00000`` and so on, and ``synthesis.json``.
        count: how many.
        seed: which series.
        options: what the scenes are like.
        suffix: the format of the cubes, as in :func:`respectra.save_cube`.
        layers: a folder of its own for each scene's reflectance, illumination and highlights.
        progress: told how many scenes are done.
        cluster: whose workers see the same folder and make the scenes.

    Returns:
        the files of all the scenes.

    Raises:
        OutputError: the folder holds another series, another process writes it, it vanished
            meanwhile, or it cannot be written.
        ConfigError, DataError: as :func:`~respectra.datasets.synthesize.synthesize_scene`.

    Example:
        >>> from respectra.datasets import SynthesisOptions
        >>> small = SynthesisOptions(height=16, width=16)
        >>> [path.name for path in save_scenes("scenes", 1, seed=0, options=small)]
        ['synthetic_00000.npz']
    """
    if count < 1:
        raise ConfigError(f"make at least one scene; got {count}")
    o = SynthesisOptions() if options is None else options
    root = Path(folder)
    make_folder(root)
    with file_lock(root, inside=True):
        return _save_scenes(root, count, seed, o, suffix, layers, as_progress(progress), cluster)


def _save_scenes(
    root: Path,
    count: int,
    seed: int,
    o: SynthesisOptions,
    suffix: str,
    layers: str | os.PathLike[str] | None,
    progress: Progress,
    cluster: Cluster | None,
) -> list[Path]:
    _recognise(root, {"seed": seed, "suffix": suffix, "options": o.model_dump(mode="json")})
    files = [root / f"synthetic_{index:05d}{suffix}" for index in range(count)]
    places = {} if layers is None else {kind: Path(layers) for kind in _LAYERS}

    def lacking() -> list[int]:
        return [
            index
            for index, file in enumerate(files)
            if not all(part.exists() for part in _all_files(file, places))
        ]

    def job(index: int) -> tuple[Any, ...]:
        return root, seed, index, o, files[index], places

    if cluster is None:
        for index in tracked(lacking(), progress, "making"):
            _make_scene(*job(index))
    else:
        wanted = lacking()
        made = cluster.run(_make_scene, ((index, job(index)) for index in wanted))
        for _, error in tracked(made, progress, "making", len(wanted)):
            if error is not None:
                raise error
    _require_recipe(root)
    lost = lacking()
    if lost:
        raise OutputError(
            f"{root} holds {count - len(lost)} of {count} scenes: files vanished meanwhile; see to "
            "the folder and run the same command again"
        )
    return files


def _make_scene(
    root: Path, seed: int, index: int, o: SynthesisOptions, file: Path, places: dict[str, Path]
) -> None:
    """Make a scene and save it, here or on a worker."""
    _require_recipe(root)
    scene = synthesize_layers(seed, index, o)
    for kind, target in zip(places, _layer_files(file, places), strict=True):
        save_cube(_layer(scene, kind), target, overwrite=True)
    save_cube(scene.radiance, file, overwrite=True)


def _require_recipe(root: Path) -> None:
    """See that the folder is still the one that the series was begun in."""
    if not (root / _RECIPE).is_file():
        raise OutputError(f"{root} has vanished; see to the folder and run the same command again")


def _all_files(file: Path, places: dict[str, Path]) -> list[Path]:
    """All files of a scene: of its cube, which may have several, and of its layers."""
    cubes = (file, *_layer_files(file, places))
    return [part for cube in cubes for part in FORMATS.for_writing(cube).files(cube)]


def _layer_files(file: Path, places: dict[str, Path]) -> list[Path]:
    return [place / f"{file.stem}_{kind}{file.suffix}" for kind, place in places.items()]


def _layer(scene: SceneLayers, kind: str) -> Any:
    return getattr(scene, kind)


def _recognise(root: Path, recipe: dict[str, Any]) -> None:
    """Write how the series is made, or see that the one that is there is made alike."""
    path = root / _RECIPE
    text = json.dumps(recipe, indent=2) + "\n"
    if path.is_file():
        if path.read_text("utf-8") != text:
            raise OutputError(
                f"{root} holds a series made with another seed or other options ({_RECIPE}); "
                "choose another folder"
            )
        return
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
