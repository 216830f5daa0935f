"""Synthetic scenes as files: a folder that says how it was made, continued where it stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from respectra.cubes import save_cube
from respectra.datasets.synthesize import SceneLayers, SynthesisOptions, synthesize_layers
from respectra.errors import ConfigError, OutputError
from respectra.files import atomic_path

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
    progress: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> list[Path]:
    """Make the first scenes of a series. Those that are there already are kept.

    Args:
        folder: where the cubes go, ``synthetic_00000`` and so on, and ``synthesis.json``.
        count: how many.
        seed: which series.
        options: what the scenes are like.
        suffix: the format of the cubes, as in :func:`respectra.save_cube`.
        layers: a folder of its own for each scene's reflectance, illumination and highlights.
        progress: passes the indices of the scenes that are still to be made on, one by one.

    Returns:
        the files of all the scenes.

    Raises:
        OutputError: the folder holds another series, or cannot be written.
        ConfigError, DataError: as :func:`~respectra.datasets.synthesize.synthesize_scene`.
    """
    if count < 1:
        raise ConfigError(f"make at least one scene; got {count}")
    o = SynthesisOptions() if options is None else options
    root = Path(folder)
    _recognise(root, {"seed": seed, "suffix": suffix, "options": o.model_dump(mode="json")})
    files = [root / f"synthetic_{index:05d}{suffix}" for index in range(count)]
    places = {} if layers is None else {kind: Path(layers) for kind in _LAYERS}
    missing = [
        index
        for index, file in enumerate(files)
        if not all(f.exists() for f in (file, *_layer_files(file, places)))
    ]
    for index in progress(missing):
        scene = synthesize_layers(seed, index, o)
        for kind, target in zip(places, _layer_files(files[index], places), strict=True):
            save_cube(_layer(scene, kind), target, overwrite=True)
        save_cube(scene.radiance, files[index], overwrite=True)
    return files


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
