"""Which scenes train and which validate, and where their patches come from."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cameras import Track
from respectra.cubes import fit_bands
from respectra.cubes.parts import cube_hash
from respectra.datasets.collections import Collection, Scene, open_collection
from respectra.datasets.patches import SceneSource
from respectra.datasets.scenes import valid_pixels
from respectra.datasets.splits import list_official_splits, split_by_scene, split_officially
from respectra.datasets.store import SceneArrays, StoreSplit, is_store, open_store, require_track
from respectra.errors import ConfigError, DataError, naming
from respectra.guards.limits import free_memory
from respectra.identity import content_hash
from respectra.methods import Contract
from respectra.storage import local_folder
from respectra.training.recipe import DataRecipe
from respectra.typing import Float32Array

#: Scenes are read into memory when they take less than this share of what is free.
_SHARE = 0.7


@dataclass(frozen=True)
class TrainingScenes:
    """The scenes of a run."""

    train: SceneSource
    validation: SceneSource | None
    """None where too few scenes are there to keep some apart."""
    hashes: Mapping[str, str]
    """SHA-256 of each file by its name within its folder; of a store, of its index and of the files
    that it was prepared from."""
    files: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    """Scene -> the names under which ``hashes`` has its files."""
    skipped: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Scenes that take no part, and why."""

    def names(self) -> dict[str, list[str]]:
        """Names of the scenes of both parts, without those that take no part."""
        parts = {"train": self.train, "validation": self.validation}
        return {
            part: [] if source is None else [n for n in _names(source) if n not in self.skipped]
            for part, source in parts.items()
        }

    @property
    def validation_hashes(self) -> list[str]:
        """SHA-256 of the files of the scenes that validate, sorted."""
        files = (file for name in self.names()["validation"] for file in self.files.get(name, ()))
        return sorted(self.hashes[file] for file in files)

    def without(self, skipped: Mapping[str, str]) -> TrainingScenes:
        """The same with some scenes said to take no part; their hashes go with them.

        Args:
            skipped: scene -> why.
        """
        gone = {file for name in skipped for file in self.files.get(name, ())}
        kept = {name: digest for name, digest in self.hashes.items() if name not in gone}
        return dataclasses.replace(self, hashes=kept, skipped={**self.skipped, **skipped})


def _names(source: SceneSource) -> list[str]:
    return [source[k].name for k in range(len(source))]


class SceneList:
    """Scenes in memory, as a source of patches."""

    def __init__(self, scenes: Sequence[SceneArrays], wavelengths_nm: Sequence[float]) -> None:
        self._scenes = tuple(scenes)
        self._grid = np.asarray(wavelengths_nm, dtype=np.float64)

    def __len__(self) -> int:
        return len(self._scenes)

    def __getitem__(self, number: int) -> SceneArrays:
        return self._scenes[number]

    @property
    def wavelengths_nm(self) -> npt.NDArray[np.float64]:
        """Shape (band,)."""
        return self._grid


def open_scenes(
    folders: Sequence[str | os.PathLike[str]],
    recipe: DataRecipe,
    *,
    track: Track,
    contract: Contract,
    seed: int,
) -> TrainingScenes:
    """Open what to train on: one store, or folders of scenes, which are read into memory.

    Args:
        folders: a store made by ``respectra data prepare``, or folders of cubes; here or by URL.
        recipe: how the scenes are divided. A store brings its own division.
        track: renders the images that are not there as files.
        contract: its wavelengths are those of the cubes that come out.
        seed: decides a division by scene.

    Raises:
        DataError: there is nothing to train on, or a scene cannot be used.
        ConfigError: a store together with other folders, or with other wavelengths.
    """
    if not folders:
        raise ConfigError("there is nothing to train on; name a folder of cubes or a store")
    folders = [local_folder(folder) for folder in folders]
    stores = [is_store(folder) for folder in folders]
    if any(stores):
        if len(folders) > 1:
            raise ConfigError("train on one store, or on folders of cubes; not on several stores")
        if recipe.key or recipe.axes or recipe.quantity:
            raise ConfigError(
                "a store knows its cubes; say key, axes and quantity where it is prepared: "
                "respectra data prepare --key"
            )
        if recipe.train_scenes or recipe.validation_scenes:
            raise ConfigError(
                "a store is divided already; name the scenes where it is prepared: respectra data "
                "prepare --split"
            )
        return _from_store(folders[0], contract)
    parts: dict[str, list[Scene]] = {"train": [], "validation": []}
    hashes: dict[str, str] = {}
    files: dict[str, tuple[str, ...]] = {}
    known: set[str] = set()
    for folder in folders:
        collection = open_collection(
            folder, key=recipe.key, axes=recipe.axes, quantity=recipe.quantity
        )
        known.update(scene.name for scene in collection)
        divided = _divide(collection, recipe, seed)
        for part, scenes in zip(parts, divided, strict=True):
            for scene in scenes:
                parts[part].append(_renamed(scene, collection.name, files))
                files[parts[part][-1].name] = _add_hashes(scene, Path(folder), hashes)
    _require_names(recipe, known)
    train, validation = parts.values()
    if not train:
        raise DataError("every scene validates and none is left to train on; name fewer")
    _require_memory([*train, *validation])

    def load(scenes: list[Scene]) -> SceneList:
        return SceneList(
            [load_scene(scene, track, contract) for scene in scenes], contract.wavelengths_nm
        )

    return TrainingScenes(load(train), load(validation) if validation else None, hashes, files)


def _require_names(recipe: DataRecipe, known: Container[str]) -> None:
    """See that the scenes that a recipe names are there, and each on one side."""
    named = (*recipe.train_scenes, *recipe.validation_scenes)
    missing = [name for name in named if name not in known]
    if missing:
        raise DataError(f"no scene {', '.join(missing)} in the folders; the recipe names it")
    both = sorted({*recipe.train_scenes} & {*recipe.validation_scenes})
    if both:
        raise ConfigError(f"{', '.join(both)} cannot both train and validate; name it once")


def _renamed(scene: Scene, collection: str, taken: Container[str]) -> Scene:
    """The scene under a name that no scene of another folder has."""
    name, count = scene.name, 1
    while name in taken:
        count += 1
        name = f"{collection}/{scene.name}" + (f" ({count - 1})" if count > 2 else "")
    return scene if name == scene.name else dataclasses.replace(scene, name=name)


def _add_hashes(scene: Scene, folder: Path, hashes: dict[str, str]) -> tuple[str, ...]:
    """Add the hashes of a scene's files, by their places in the folder; gives these names."""
    labels = []
    for path in (scene.cube, *scene.images.values()):
        place = path.relative_to(folder).as_posix()
        label, count = place, 1
        while label in hashes:  # the same place in another folder
            count += 1
            label = f"{place} ({count})"
        hashes[label] = cube_hash(path) if path == scene.cube else content_hash(path)
        labels.append(label)
    return tuple(labels)


def load_scene(scene: Scene, track: Track, contract: Contract) -> SceneArrays:
    """Read a scene, on the wavelengths of the contract.

    Raises:
        DataError: image and cube differ in size, or nothing in it was measured.
    """
    with naming(scene.name):
        cube = scene.open_cube()
        valid = valid_pixels(cube)
        if not valid.any():
            raise DataError(f"{scene.name} holds no measured pixel; leave it out")
        cube = fit_bands(cube, contract.wavelengths_nm)
        image = scene.image(track, cube)
    if image.shape[:2] != cube.shape[:2]:
        raise DataError(
            f"the image of {scene.name} has {image.shape[0]} x {image.shape[1]} pixels, "
            f"its cube {cube.shape[0]} x {cube.shape[1]}; they must show the same"
        )
    return SceneArrays(
        name=scene.name,
        group=scene.group,
        cube=np.ascontiguousarray(cube.values, dtype=np.float32),
        images={track.name: _codes(image)},
        valid=valid,
        whole=bool(valid.all()),
    )


def _codes(image: xr.DataArray) -> tuple[npt.NDArray[Any], float]:
    """The codes of an image, and the one that is 1, as a store keeps them."""
    bits = int(image.attrs.get("bits", 8))
    if bits > 16:  # values that were never quantised
        return np.array(image.values, dtype=np.float32, order="C"), 1.0
    full_scale = float(2**bits - 1)
    kind = np.uint8 if bits <= 8 else np.uint16
    return np.rint(np.asarray(image.values) * full_scale).astype(kind), full_scale


def image_of(scene: SceneArrays, track: str) -> Float32Array:
    """Linear values in [0, 1] of a scene's image, (y, x, 3).

    Raises:
        DataError: the scene has no image of that track.
    """
    codes, full_scale = require_track(scene, track)
    return codes.astype(np.float32) / np.float32(full_scale)


def _require_memory(scenes: Sequence[Scene]) -> None:
    """Refuse scenes that do not fit into memory, before they are read.

    Raises:
        DataError: they take more than is free.
    """
    wanted = sum(4 * math.prod(scene.peek().shape) for scene in scenes)
    free = free_memory()
    if wanted > _SHARE * free:
        raise DataError(
            f"the {len(scenes)} scenes take {wanted / 1e9:.3g} GB of {free / 1e9:.3g} GB that are "
            "free; make a store, which is read as it is needed: respectra data prepare DIR -o STORE"
        )


def _from_store(folder: str | os.PathLike[str], contract: Contract) -> TrainingScenes:
    store = open_store(folder)
    if not np.allclose(store.index.wavelengths_nm, contract.wavelengths_nm):
        raise ConfigError(
            f"the store {folder} has {len(store.index.wavelengths_nm)} bands that are not those "
            "of the recipe; prepare it with the recipe's wavelengths"
        )
    validation: StoreSplit | None = store["validation"] if "validation" in store.splits else None
    hashes = {"index.json": store.sha256()}
    files: dict[str, tuple[str, ...]] = {}
    for part in ("train", "validation"):
        for entry in store[part].entries if part in store.splits else ():
            hashes[f"{part}/{entry.name}"] = entry.source_sha256
            files[entry.name] = (f"{part}/{entry.name}",)
    return TrainingScenes(store["train"], validation, hashes, files)


def _divide(
    collection: Collection, recipe: DataRecipe, seed: int
) -> tuple[list[Scene], list[Scene]]:
    """Scenes that train and scenes that validate; no physical scene is on both sides."""
    if recipe.validation_scenes or recipe.train_scenes:
        there = {scene.name for scene in collection}
        chosen = [
            list(collection.select(tuple(n for n in names if n in there)))
            for names in (recipe.train_scenes, recipe.validation_scenes)
        ]
        train, validation = chosen
        if not recipe.train_scenes:
            apart = {scene.group for scene in validation}
            train = [s for s in collection if s.group not in apart and not s.bad]
        return train, validation
    official = recipe.split == "official" or (
        recipe.split == "auto" and collection.layout in list_official_splits()
    )
    if official:
        parts: Mapping[str, Collection] = split_officially(collection)
    else:
        share = recipe.validation_share
        parts = split_by_scene(collection, {"train": 1 - share, "validation": share}, seed=seed)
    return list(parts.get("train", ())), list(parts.get("validation", ()))
