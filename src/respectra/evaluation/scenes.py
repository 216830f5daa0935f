"""The scenes of an evaluation, opened one at a time as cases."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cameras import Track, get_track, list_tracks, open_image, track_of_file
from respectra.cameras.tracks import file_suffix
from respectra.cubes import fit_bands
from respectra.cubes.parts import cube_hash
from respectra.datasets.collections import open_collection
from respectra.datasets.scenes import AS_THE_FILES_SAY, Collection, Opening, Scene
from respectra.errors import DataError
from respectra.evaluation.auxiliary import Case
from respectra.evaluation.protocol import BORDER_2022, EvaluationOptions, SceneRecord
from respectra.identity import content_hash
from respectra.storage import local_folder

Role = Literal["main", "out-of-scope"]

_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
#: Share of the pixels from which on an exact spectrum counts as a filling.
_SHARED = 0.01


@dataclass(frozen=True)
class EvaluationScene:
    """A scene to be scored: a cube, images of it, or both.

    Attributes:
        name: of the scene.
        cube: its file; None where only images are known.
        images: track -> file.
        role: ``main``, or ``out-of-scope`` for the second collection.
        wavelengths_nm: the bands, for files that do not say.
        scale: value = number in the file times this.
        opening: how its cube is opened.

    Example:
        >>> from pathlib import Path
        >>> EvaluationScene("a", Path("cubes/a.npz")).role
        'main'
    """

    name: str
    cube: Path | None
    images: Mapping[str, Path] = field(default_factory=dict)
    role: Role = "main"
    wavelengths_nm: tuple[float, ...] | None = None
    scale: float = 1.0
    opening: Opening = AS_THE_FILES_SAY

    def record(self) -> SceneRecord:
        """What the protocol keeps of it."""
        return SceneRecord(
            name=self.name,
            role=self.role,
            truth=None if self.cube is None else cube_hash(self.cube),
            images={track: content_hash(path) for track, path in sorted(self.images.items())},
            opened=self.opening.to_dict(),
        )

    def open(
        self, track_name: str, seed: int, options: EvaluationOptions, cache: Path | None
    ) -> Case:
        """The case of one track.

        Raises:
            DataError: the image does not fit the cube, or the track refuses the cube.
        """
        track = get_track(track_name, seed=seed)
        truth = None if self.cube is None else even(self.scene(self.cube).open_cube())
        if truth is not None and options.wavelengths_nm is not None:
            truth = fit_bands(truth, options.wavelengths_nm)
        image = self._image(track, truth, seed)
        valid = None if truth is None else _valid(truth, options)
        return Case(self.name, truth, image, track, seed, options, valid, cache)

    def scene(self, cube: Path) -> Scene:
        """The scene of its cube alone."""
        return Scene(
            self.name,
            cube,
            wavelengths_nm=self.wavelengths_nm,
            scale=self.scale,
            opening=self.opening,
        )

    def files(self) -> tuple[Path, ...]:
        """Its cube and its images."""
        return tuple(path for path in (self.cube, *self.images.values()) if path is not None)

    def moved(self, roots: Mapping[Path, Path]) -> EvaluationScene:
        """The scene of the same files where folders lie elsewhere: folder then -> folder now."""

        def there(path: Path) -> Path:
            root = next((root for root in roots if path.is_relative_to(root)), None)
            return path if root is None else roots[root] / path.relative_to(root)

        cube = None if self.cube is None else there(self.cube)
        images = {track: there(path) for track, path in self.images.items()}
        return dataclasses.replace(self, cube=cube, images=images)

    def _image(self, track: Track, truth: xr.DataArray | None, seed: int) -> xr.DataArray:
        if track.name not in self.images:
            if truth is None:
                raise DataError(f"{self.name} has neither a cube nor an image of {track.name}")
            return track.render(truth, seed=seed, key=self.name)
        image = even(open_image(self.images[track.name], encoding="linear"))
        if truth is not None and image.shape[:2] != truth.shape[:2]:
            raise DataError(
                f"{self.images[track.name].name} has {image.shape[0]} x {image.shape[1]} pixels, "
                f"its cube {truth.shape[0]} x {truth.shape[1]}; one of them is not of this scene"
            )
        return image


#: Scenes as one names them: a folder of cubes, a collection, or scenes to be scored.
Scenes = str | os.PathLike[str] | Collection | Sequence[EvaluationScene]


def scenes_of(data: Scenes) -> tuple[tuple[EvaluationScene, ...], dict[str, str]]:
    """The scenes that are meant, and role -> name of the collection that they came from.

    Raises:
        DataError: a folder is missing or holds no scene.
    """
    if isinstance(data, str | os.PathLike):
        data = open_collection(data)
    if isinstance(data, Collection):
        return evaluation_scenes_of(data), {"main": data.name}
    return tuple(data), {}


def evaluation_scenes_of(
    collection: Collection, role: Role = "main"
) -> tuple[EvaluationScene, ...]:
    """The scenes of a collection.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> from pathlib import Path
        >>> from respectra.datasets.collections import open_collection
        >>> Path("cubes").mkdir()
        >>> cube = rs.make_cube(np.full((32, 32, 31), 0.5), range(400, 701, 10))
        >>> rs.save_cube(cube, "cubes/a.npz")
        >>> [scene.name for scene in evaluation_scenes_of(open_collection("cubes"))]
        ['a']
    """
    return tuple(
        EvaluationScene(s.name, s.cube, s.images, role, s.wavelengths_nm, s.scale, s.opening)
        for s in collection
    )


def scenes_without_truth(
    folder: str | os.PathLike[str], names: Sequence[str] | None = None
) -> tuple[EvaluationScene, ...]:
    """Images whose truth nobody has: those of the challenge's names by track, others for any.

    Args:
        folder: of the images; or its URL.
        names: of the scenes that are wanted, in this order; all by default.

    Raises:
        DataError: the folder is missing or holds no image, two files are of one scene, or a scene
            of ``names`` is not there.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> from pathlib import Path
        >>> Path("photos").mkdir()
        >>> rs.save_image(rs.make_image(np.full((8, 8, 3), 0.3)), "photos/a.png")
        >>> [scene.name for scene in scenes_without_truth("photos")]
        ['a']
    """
    root = local_folder(folder)
    if not root.is_dir():
        raise DataError(f"there is no folder {root}; give the folder that holds the images")
    named: dict[str, dict[str, Path]] = {}
    others: dict[str, dict[str, Path]] = {}
    for path in sorted(root.iterdir()):
        if path.suffix.lower() not in _PICTURES or path.name.startswith("."):
            continue
        track = track_of_file(path.name)
        if track is None:
            _note(others, path.stem, list_tracks(), path)
        else:
            _note(named, path.name.removesuffix(file_suffix(track)), (track,), path)
    # What is called by its track is that track's image; a picture of any name is that of the rest.
    found = {
        name: {**others.get(name, {}), **named.get(name, {})}
        for name in dict.fromkeys((*named, *others))
    }
    if not found:
        raise DataError(f"{root} holds no image; known suffixes: {', '.join(_PICTURES)}")
    missing = [name for name in names or () if name not in found]
    if missing:
        raise DataError(f"no scene {', '.join(missing)} in {root.name}; it has {', '.join(found)}")
    wanted: Iterable[str] = found if names is None else names
    return tuple(EvaluationScene(name, None, found[name]) for name in wanted)


def _note(found: dict[str, dict[str, Path]], name: str, tracks: Iterable[str], path: Path) -> None:
    for track in tracks:
        before = found.setdefault(name, {}).setdefault(track, path)
        if before != path:
            raise DataError(
                f"{before.name} and {path.name} are both an image of {name}; rename one, or take "
                "it out of the folder"
            )


def no_data(cube: xr.DataArray) -> npt.NDArray[np.bool_]:
    """Pixels that are a filling and no measurement, shape (y, x).

    A spectrum that at least 1 % of the pixels share exactly and that is zero in some band: no
    measurement of so many pixels comes out so, not even of a dark scene in 8 bits.
    """
    spectra = np.ascontiguousarray(cube.values).reshape(-1, cube.sizes["wavelength"])
    shape = cube.shape[:2]
    candidates = (spectra == 0).any(axis=1)
    if candidates.sum() < _SHARED * len(spectra):
        return np.zeros(shape, bool)
    rows = spectra[candidates]
    _, inverse, counts = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
    filling = counts >= _SHARED * len(spectra)
    result = np.zeros(len(spectra), bool)
    result[candidates] = filling[inverse.reshape(-1)]
    return result.reshape(shape)


def _valid(truth: xr.DataArray, options: EvaluationOptions) -> npt.NDArray[np.bool_] | None:
    """Pixels that count; None for all."""
    valid = np.ones(truth.shape[:2], bool)
    if options.mask == "no-data":
        valid &= ~no_data(truth)
    if options.crop == "ntire-2022":
        b = BORDER_2022
        if min(truth.shape[:2]) <= 2 * b:
            raise DataError(
                f"the crop of 2022 leaves out {b} pixels on each side; the scene has "
                f"{truth.shape[0]} x {truth.shape[1]}: evaluate it without crop"
            )
        inside = np.zeros_like(valid)
        inside[b:-b, b:-b] = True
        valid &= inside
    if not valid.any():
        raise DataError("no pixel of the scene holds data")
    return None if valid.all() else valid


def even(picture: xr.DataArray) -> xr.DataArray:
    """A cube or an image without a last odd row or column."""
    rows, columns = (max(1, picture.sizes[d] // 2 * 2) for d in ("y", "x"))
    return picture.isel(y=slice(rows), x=slice(columns))
