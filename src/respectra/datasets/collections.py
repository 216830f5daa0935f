"""From a folder of files to a collection of scenes: how known data sets lie on disk."""

from __future__ import annotations

import dataclasses
import os
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from respectra.cameras import list_tracks
from respectra.cameras.tracks import file_suffix
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM, Quantity
from respectra.cubes.formats import FORMATS
from respectra.cubes.formats._axes import parse_axes
from respectra.cubes.io import peek_cube
from respectra.datasets.scenes import AS_THE_FILES_SAY, Collection, Opening, Scene
from respectra.datasets.splits import list_official_splits, official_split
from respectra.errors import DataError, RespectraError, RespectraWarning, unknown_name
from respectra.storage import local_folder

__all__ = ["Collection", "Opening", "Scene", "list_layouts", "open_collection"]


def open_collection(
    folder: str | os.PathLike[str],
    *,
    layout: str | None = None,
    key: str | None = None,
    axes: str | None = None,
    quantity: Quantity | None = None,
) -> Collection:
    """Find the scenes of a folder and of those below it.

    The layout is recognised by the names of the files: the challenges' (``ARAD_HS_####.mat``,
    ``ARAD_1K_####.mat``, ``BGU_HS_#####.mat``, with their images), ICVL's, CAVE's folders, and
    otherwise any files that hold cubes. Images called NAME plus a track's ending belong to NAME.

    Args:
        folder: where the cubes are; of a URL, a copy is kept in the cache folder.
        layout: one of :func:`list_layouts`, where it should not be recognised.
        key: name of the variable that is the cube, where files hold several.
        axes: the axes of the files' arrays, such as ``"band,y,x"``, where they do not say.
        quantity: what the values are, where the files do not say or are wrong.

    Raises:
        DataError: the folder is missing or holds no cube.
        ConfigError: unknown layout, quantity or axes.
        FormatError: a URL cannot be reached.

    Example:
        >>> import respectra as rs
        >>> from respectra.datasets.still_life import still_life
        >>> rs.save_cube(still_life(32, 32), "cubes/a.npz")
        >>> [scene.name for scene in open_collection("cubes")]
        ['a']
    """
    root = local_folder(folder)
    if not root.is_dir():
        raise DataError(f"there is no folder {root}; give the folder that holds the cubes")
    by_name = {entry.name: entry for entry in LAYOUTS}
    if layout is not None and layout not in by_name:
        raise unknown_name("layout", layout, by_name)
    if axes is not None:
        parse_axes(axes)
    if quantity is not None and quantity not in get_args(Quantity):
        raise unknown_name("quantity", quantity, get_args(Quantity))
    opening = Opening(key, axes, quantity)
    files = walk(root, opening)
    for entry in LAYOUTS if layout is None else (by_name[layout],):
        scenes = entry.find(files)
        if scenes:
            known = official_split(entry.name).bad if entry.name in list_official_splits() else {}
            scenes = [
                dataclasses.replace(s, bad=known.get(s.name, ""), opening=opening) for s in scenes
            ]
            scenes.sort(key=lambda scene: scene.name)
            _say_what_is_left(files, scenes, entry)
            return Collection(root.name, tuple(scenes), entry.name)
    suffixes = sorted({suffix for entry in FORMATS for suffix in entry.suffixes})
    wanted = "cube" if layout is None else f"cube laid out as {layout} ({by_name[layout].title})"
    raise DataError(f"{root} holds no {wanted}; known suffixes: {', '.join(suffixes)}")


def _say_what_is_left(files: Files, scenes: list[Scene], entry: FolderLayout) -> None:
    """Warn of cubes that a layout does not take: others than its own, or two of one name."""
    taken = {scene.cube for scene in scenes}
    left = [path for path in cube_files(files) if path not in taken]
    if left:
        shown = ", ".join(path.relative_to(files.root).as_posix() for path in left[:5])
        more = f" and {len(left) - 5} more" if len(left) > 5 else ""
        warnings.warn(
            f"{len(left)} left out of {files.root}: {shown}{more}; the folder is read as "
            f"{entry.name} ({entry.title}), and they are not laid out so, or share their names "
            "with others: put them into a folder of their own",
            RespectraWarning,
            stacklevel=3,
        )


def list_layouts() -> list[str]:
    """Names of the layouts that are recognised, in the order in which they are tried.

    Example:
        >>> list_layouts()
        ['arad-2020', 'arad-1k', 'bgu', 'icvl', 'cave', 'archives', 'cubes']
    """
    return [entry.name for entry in LAYOUTS]


_GRID = tuple(CHALLENGE_WAVELENGTHS_NM.tolist())
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
_TWELVE_BITS = 1.0 / 4095.0

#: Which physical scene a file of the measured scenes in NPZ archives shows, where the file's name
#: does not say so. kbr_d1 lies within the CAVE scene feathers, kbr_d2 within chart and stuffed toy;
#: kbr_d3 and cave101_balloons show the balloons. The MUUFL pieces come from one flight.
_SAME_SCENE = {
    "kbr_d1": "cave/feathers",
    "cave_u8_feathers": "cave/feathers",
    "kbr_d2": "cave/chart_and_stuffed_toy",
    "cave256_chart_and_stuffed_toy": "cave/chart_and_stuffed_toy",
    "kbr_d3": "cave/balloons",
    "cave101_balloons": "cave/balloons",
    "cave_u8_paints": "cave/real_and_fake_paints",
    "cave_u8_sponges": "cave/sponges",
    "cave_u8_sushi": "cave/fake_and_real_sushi",
    "muufl_demo_51x88": "muufl-gulfport",
    "muufl_class_demo": "muufl-gulfport",
    "muufl_tgt_det_demo": "muufl-gulfport",
}


@dataclass(frozen=True)
class Files:
    """The files of a folder and those below it, and the folders that are themselves cubes."""

    root: Path
    files: tuple[Path, ...]
    folders: tuple[Path, ...]
    opening: Opening = AS_THE_FILES_SAY
    """How cubes are opened."""

    def by_name(self) -> dict[str, Path]:
        """Every file by its name; the first in the order of paths where several share one."""
        found: dict[str, Path] = {}
        for path in self.files:
            found.setdefault(path.name, path)
        return found


@dataclass(frozen=True)
class FolderLayout:
    """A way that scenes lie in a folder."""

    name: str
    title: str
    find: Callable[[Files], list[Scene]]
    """The scenes of a folder; none where it is laid out otherwise."""


def walk(root: Path, opening: Opening = AS_THE_FILES_SAY) -> Files:
    """Everything below a folder, in the order of paths; hidden files are passed over.

    Links to folders are followed, each folder once.
    """
    files: list[Path] = []
    folders: list[Path] = []
    seen: set[str] = set()
    for place, below, names in os.walk(root, followlinks=True):
        here = Path(place)
        real = os.path.realpath(place)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        if here != root and _is_cube_folder(here, names):
            folders.append(here)
            below.clear()
            continue
        below[:] = sorted(name for name in below if not name.startswith("."))
        files += [here / name for name in sorted(names) if not name.startswith(".")]
    return Files(root, tuple(sorted(files)), tuple(sorted(folders)), opening)


def _is_cube_folder(folder: Path, names: list[str]) -> bool:
    """Whether a folder is a Zarr store or one grey PNG a band."""
    if folder.suffix == ".zarr" or "zarr.json" in names:
        return True
    if sum(name.lower().endswith(".png") for name in names) < 3:
        return False
    try:
        _, stored = peek_cube(folder)
    except RespectraError:
        return False
    return stored.wavelengths_nm is not None


def _numbered(
    pattern: str, images: dict[str, str], *, scale: float = 1.0
) -> Callable[[Files], list[Scene]]:
    """Scenes whose cubes are called by a pattern; images are NAME plus an ending, by track."""
    expression = re.compile(pattern)

    def find(files: Files) -> list[Scene]:
        by_name = files.by_name()
        return [
            Scene(
                path.stem,
                path,
                {
                    t: by_name[path.stem + end]
                    for t, end in images.items()
                    if path.stem + end in by_name
                },
                wavelengths_nm=_GRID,
                scale=scale,
            )
            for name, path in by_name.items()
            if expression.fullmatch(name)
        ]

    return find


def _icvl(files: Files) -> list[Scene]:
    """MATLAB files whose variable is ``rad``; looked at, for their names follow no pattern.

    Those of the data set hold 12-bit codes, which ``Scene.scale`` tells from values up to 1.
    """
    found = []
    for path in files.files:
        if path.suffix.lower() != ".mat":
            continue
        try:
            _, stored = peek_cube(path, files.opening.key, files.opening.axes)
        except RespectraError:
            continue  # another layout reports it
        if stored.details.get("variable") == "rad":
            found.append(
                Scene(
                    path.stem,
                    path,
                    wavelengths_nm=_GRID if stored.shape[2] == 31 else None,
                    scale=_TWELVE_BITS,
                )
            )
    return found


def _cave(files: Files) -> list[Scene]:
    """Folders of one PNG a band."""
    names = [folder.name.removesuffix("_ms") for folder in files.folders]
    return [
        Scene(name, folder, group=f"cave/{name}")
        for name, folder in zip(names, files.folders, strict=True)
        if folder.suffix != ".zarr" and names.count(name) == 1
    ]


def _archives(files: Files) -> list[Scene]:
    """The NPZ archives of measured scenes, by the names they are known under."""
    known = [path for path in files.files if path.suffix == ".npz" and path.stem in _SAME_SCENE]
    return list(_any(files)) if known else []


def _any(files: Files) -> list[Scene]:
    """Every file and folder that holds a cube, with the images that stand beside it."""
    endings = {track: file_suffix(track) for track in list_tracks()}
    by_name = files.by_name()
    cubes = list(cube_files(files))
    stems = [path.stem for path in cubes]
    scenes = []
    for path in cubes:
        stem = path.stem
        alone, place = stems.count(stem) == 1, path.relative_to(files.root)
        name = stem if alone else place.as_posix()
        # Two formats of one name in one folder show one scene.
        group = stem if alone else place.with_suffix("").as_posix()
        beside = {
            track: found
            for track, ending in endings.items()
            if (found := by_name.get(stem + ending)) is not None and alone
        }
        scenes.append(Scene(name, path, beside, group=_SAME_SCENE.get(stem, group)))
    return scenes


def cube_files(files: Files) -> Iterator[Path]:
    """Every file and folder that may hold a cube, by its name."""
    endings = tuple(file_suffix(track) for track in list_tracks())
    suffixes = {suffix for entry in FORMATS for suffix in entry.suffixes}
    envi = FORMATS.get("envi").suffixes
    headers = {path.with_suffix("") for path in files.files if path.suffix.lower() == ".hdr"}
    yield from files.folders
    for path in files.files:
        suffix = path.suffix.lower()
        if suffix not in suffixes or suffix in _IMAGE_SUFFIXES or path.name.endswith(endings):
            continue
        data_of_envi = suffix in envi and suffix != ".hdr" and path.with_suffix("") in headers
        if not data_of_envi:
            yield path


#: In the order in which they are tried; the last takes any folder.
LAYOUTS = (
    FolderLayout(
        "arad-2020",
        "NTIRE 2020: ARAD_HS_####.mat with _clean.png and _RealWorld.jpg",
        _numbered(r"ARAD_HS_\d{4}\.mat", {"clean": "_clean.png", "real-world": "_RealWorld.jpg"}),
    ),
    FolderLayout(
        "arad-1k",
        "NTIRE 2022: ARAD_1K_####.mat with .jpg",
        _numbered(r"ARAD_1K_\d{4}\.mat", {"exposed": ".jpg"}),
    ),
    FolderLayout(
        "bgu",
        "NTIRE 2018: BGU_HS_#####.mat (rad, 12 bits) with _clean.png and _camera.jpg",
        _numbered(
            r"BGU_HS_\d{5}\.mat",
            {"clean-2018": "_clean.png", "camera-2018": "_camera.jpg"},
            scale=_TWELVE_BITS,
        ),
    ),
    FolderLayout("icvl", "ICVL: MATLAB files with the variable rad, 12 bits", _icvl),
    FolderLayout("cave", "CAVE: a folder a scene, one PNG a band", _cave),
    FolderLayout("archives", "measured scenes as NPZ archives with codes and a scale", _archives),
    FolderLayout("cubes", "any folder of cubes, with or without images", _any),
)
