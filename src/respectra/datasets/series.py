"""Synthetic scenes as files: a folder that says how it was made, continued where it stopped."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from respectra import storage, uploads
from respectra.cubes import save_cube
from respectra.cubes.formats import FORMATS
from respectra.datasets.synthesize import SynthesisOptions, synthesize_layers
from respectra.errors import ConfigError, OutputError
from respectra.files import atomic_path, file_lock, make_folder
from respectra.progress import Progress, as_progress, tracked
from respectra.urls import Place, Url, parse_place

if TYPE_CHECKING:
    from respectra.cluster import Cluster

_RECIPE = "synthesis.json"
_LAYERS = ("reflectance", "illumination", "highlights")


def save_scenes(
    folder: str | os.PathLike[str] | Url,
    count: int,
    *,
    seed: int,
    options: SynthesisOptions | None = None,
    suffix: str = ".npz",
    layers: str | os.PathLike[str] | Url | None = None,
    progress: Progress | None = None,
    cluster: Cluster | None = None,
) -> list[Place]:
    """Make the first scenes of a series. Those that are there already are kept.

    Args:
        folder: where the cubes go, ``synthetic_00000`` and so on, and ``synthesis.json``; or its
            URL, where each file appears when it is whole.
        count: how many.
        seed: which series.
        options: what the scenes are like.
        suffix: the format of the cubes, as in :func:`respectra.save_cube`.
        layers: a folder of its own, or its URL, for each scene's reflectance, illumination and
            highlights.
        progress: told how many scenes are done.
        cluster: whose workers see the same folders and make the scenes.

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
    root = parse_place(folder)
    place = None if layers is None else parse_place(layers)
    series = _Series(root, place, seed, o, suffix)
    if isinstance(root, Url):  # a bucket knows no locks
        return series.save(count, as_progress(progress), cluster)
    make_folder(root)
    with file_lock(root, inside=True):
        return series.save(count, as_progress(progress), cluster)


@dataclass(frozen=True)
class _Series:
    """A series of scenes, and where they go."""

    root: Place
    layers: Place | None
    seed: int
    options: SynthesisOptions
    suffix: str

    def save(self, count: int, progress: Progress, cluster: Cluster | None) -> list[Place]:
        """Make the scenes that are lacking, here or on workers."""
        self._recognise()
        wanted = self._lacking(count)
        if cluster is None:
            for index in tracked(wanted, progress, "making"):
                _make_scene(self, index)
        else:
            made = cluster.run(_make_scene, ((index, (self, index)) for index in wanted))
            for _, error in tracked(made, progress, "making", len(wanted)):
                if error is not None:
                    raise error
        self.require_recipe()
        lost = self._lacking(count)
        if lost:
            raise OutputError(
                f"{self.root} holds {count - len(lost)} of {count} scenes: files vanished "
                "meanwhile; see to the folder and run the same command again"
            )
        return [self.root / self._name(index) for index in range(count)]

    def cubes(self, index: int) -> list[tuple[Place, str]]:
        """Where the layers of a scene go and which they are, and last its cube."""
        places: list[tuple[Place, str]] = []
        if self.layers is not None:
            stem = Path(self._name(index)).stem
            places = [(self.layers / f"{stem}_{kind}{self.suffix}", kind) for kind in _LAYERS]
        return [*places, (self.root / self._name(index), "radiance")]

    def require_recipe(self) -> None:
        """See that the folder is still the one that the series was begun in."""
        path = self.root / _RECIPE
        if not (storage.exists(path) if isinstance(path, Url) else path.is_file()):
            raise OutputError(
                f"{self.root} has vanished; see to the folder and run the same command again"
            )

    def _name(self, index: int) -> str:
        return f"synthetic_{index:05d}{self.suffix}"

    def _lacking(self, count: int) -> list[int]:
        """The scenes of which a file is not there: a cube may have several."""
        there = storage.names_in(self.root)
        others = set() if self.layers is None else storage.names_in(self.layers)

        def is_there(cube: Place) -> bool:
            files = FORMATS.for_writing(Path(cube.name)).files(Path(cube.name))
            within = there if cube == self.root / cube.name else others
            return all(file.name in within for file in files)

        return [k for k in range(count) if not all(is_there(cube) for cube, _ in self.cubes(k))]

    def _recognise(self) -> None:
        """Write how the series is made, or see that the one that is there is made alike."""
        recipe = {
            "seed": self.seed,
            "suffix": self.suffix,
            "options": self.options.model_dump(mode="json"),
        }
        text = json.dumps(recipe, indent=2) + "\n"
        path = self.root / _RECIPE
        if isinstance(path, Url) and not storage.exists(path):
            uploads.write_once(path, text.encode())
        elif isinstance(path, Path) and not path.is_file():
            with atomic_path(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        else:
            with storage.local_copy(path) as here:
                same = here.read_text("utf-8") == text
            if not same:
                raise OutputError(
                    f"{self.root} holds a series made with another seed or other options "
                    f"({_RECIPE}); choose another folder"
                )


def _make_scene(series: _Series, index: int) -> None:
    """Make a scene and save it, here or on a worker."""
    series.require_recipe()
    scene = synthesize_layers(series.seed, index, series.options)
    for target, kind in series.cubes(index):
        save_cube(getattr(scene, kind), target, overwrite=True)
