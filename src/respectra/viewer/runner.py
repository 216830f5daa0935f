"""What a worker does for a job: from uploaded files to a scene, from a scene to a cube file."""

from __future__ import annotations

import contextlib
import functools
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import xarray as xr

from respectra.cameras import (
    PICTURE_SUFFIXES,
    InputKind,
    PictureOptions,
    get_track,
    input_encoding,
    input_kind_of,
    make_image,
    open_image,
    options_for,
    track_of_kind,
)
from respectra.config import Config
from respectra.cubes import open_cube, save_cube
from respectra.cubes.formats import FORMATS
from respectra.cubes.io import peek_cube
from respectra.errors import ConfigError, DataError, FormatError, RespectraWarning
from respectra.files import atomic_path
from respectra.inference import Reconstructor, load
from respectra.inference.binding import for_first_picture, for_picture
from respectra.progress import Progress, unseen
from respectra.viewer.blocks import CubeSource
from respectra.viewer.calibrating import ChartTask, run_calibration
from respectra.viewer.scene import FIRST_LOOK, REFERENCES_FILE
from respectra.viewer.scene_writer import Focus, write_scene
from respectra.viewer.settings import Limits
from respectra.viewer.sources import picture_source, typical_error
from respectra.viewer.stated import Stated, in_words
from respectra.viewer.store import without_paths

#: Cubes have more bands than a picture has channels, alpha included.
_MOST_CHANNELS = 4
#: Reconstructors that a worker keeps ready.
_KEPT_READY = 4


class Task(Config):
    """A job as the worker gets it. Paths are chosen by the service, never by a client."""

    kind: Literal["scene", "demo", "export", "calibration"]
    source: Path | None = None
    """The uploaded file or folder."""
    truth: Path | None = None
    """A cube to compare with."""
    output: Path
    """Folder of the result; it appears when the job is done."""
    method: str = "default"
    input: InputKind | Literal["auto"] = "auto"
    guarantees: tuple[str, ...] = ()
    suffix: str = ".nc"
    """Format of an export."""
    picture: PictureOptions = PictureOptions()
    """How to read the picture."""
    stated: Stated = Stated()
    """What is known of how it was taken; of a cube, the quantity alone."""
    key: str | None = None
    """Which cube of a file that holds several."""
    chart: ChartTask = ChartTask()
    """For calibrations."""
    root: Path = Path("/")
    """The folder of the service, whose path is no client's business."""
    limits: Limits = Limits()


def run(task: Task, progress: Progress, focus: Focus = lambda: None) -> None:
    """Do a job. The result is complete or not there.

    Args:
        task: what to do.
        progress: gets per cent of the work and in words what is done; raises to stop.
        focus: where somebody looks; what is left is computed from there.

    Raises:
        RespectraError: the files cannot be used; the message is for the client.
    """
    with atomic_path(task.output) as folder:
        folder.mkdir()
        _JOBS[task.kind](task, folder, progress, focus)


def warm_up() -> None:
    """Recover a tiny picture, so that the first one of a person finds everything loaded."""
    image = make_image(np.linspace(0.0, 1.0, 192).reshape(8, 8, 3), encoding="srgb", bits=8)
    with tempfile.TemporaryDirectory() as name:
        task = Task(kind="scene", output=Path(name), guarantees=("consistent",))
        method = _reconstructor(task.method, "clean", task.guarantees).for_kind("srgb")
        nowhere: Focus = lambda: None  # noqa: E731
        _recover(task, image, "srgb", method, Path(name), unseen, nowhere)


def _scene(task: Task, folder: Path, progress: Progress, focus: Focus) -> None:
    """A cube as it is, or what is recovered from a picture; with a truth, where there is one."""
    progress(0, 100, "reading" if task.source else "rendering the still life")
    truth = None if task.truth is None else _open_cube(task.truth, task.limits)
    if task.source is not None and is_cube(task.source):
        cube = _the_cube(task)
        _require_same_size(cube, truth)
        (folder / "recovered").mkdir()
        facts = {"kind": "cube", "units": str(cube.attrs.get("units", ""))}
        facts["quantity"] = str(cube.attrs["quantity"])
        told = _within(progress, 10, 95)
        write_scene(CubeSource(cube), folder / "recovered", told, focus=focus, facts=facts)
    else:
        image, kind, own_truth = _open_picture(task)
        truth = truth if own_truth is None else own_truth
        _require_same_size(image, truth)
        progress(2, 100, "getting the method ready")
        with _warnings_of(task) as said:
            reconstructor = _bound(task, image, kind)
        _recover(task, image, kind, reconstructor, folder, progress, focus, said)
    if truth is not None:
        (folder / "truth").mkdir()

        def told_as_one(done: int, total: int, what: str, /) -> None:
            progress(95, 100, "reading the truth")

        write_scene(CubeSource(truth), folder / "truth", told_as_one, facts={"kind": "truth"})


def _recover(
    task: Task,
    image: xr.DataArray,
    kind: InputKind,
    reconstructor: Reconstructor,
    folder: Path,
    progress: Progress,
    focus: Focus,
    said: Sequence[str] = (),
) -> None:
    values = image.sizes["y"] * image.sizes["x"] * reconstructor.contract.bands
    if values > task.limits.cube_values:
        raise DataError(f"the cube would have {values:,} values; crop the picture")
    place = folder / "recovered"
    place.mkdir()
    references = task.stated.references_in_picture()
    if references is not None:
        references.to_csv(place / REFERENCES_FILE)
    facts = {"kind": "picture", "method": task.method, "title": reconstructor.card.title}
    facts |= {"input": kind, "guarantees": ", ".join(task.guarantees), **in_words(reconstructor)}
    if said:
        facts["warning"] = "; ".join(dict.fromkeys(said))
    progress(5, 100, "computing")

    with tempfile.TemporaryDirectory(dir=folder) as kept:
        source = picture_source(image, kind, reconstructor, Path(kept), _within(progress, 10, 60))
        uncertainty = None
        if not source.deviates:
            uncertainty = _typical_error(task.method, track_of_kind(kind), task.guarantees)
        write_scene(
            source,
            place,
            _within(progress, 10, 95),
            focus=focus,
            uncertainty=uncertainty,
            facts=facts,
        )


@contextlib.contextmanager
def _warnings_of(task: Task) -> Iterator[list[str]]:
    """What the package warns of meanwhile, for people who do not know this machine's folders."""
    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RespectraWarning)
        yield said
    for found in caught:
        if issubclass(found.category, RespectraWarning):
            said.append(without_paths(str(found.message), task.root))
        else:
            warnings.warn_explicit(found.message, found.category, found.filename, found.lineno)


def _within(progress: Progress, start: int, stop: int) -> Progress:
    """Progress of the middle of a job, from one percentage to another."""

    def told(done: int, total: int, what: str, /) -> None:
        percent = start + (stop - start) * done // max(1, total)
        progress(percent, 100, FIRST_LOOK if what == FIRST_LOOK else "computing")

    return told


def _export(task: Task, folder: Path, progress: Progress, focus: Focus) -> None:
    """Compute the cube again, exactly, and save it as one file; folders become a ZIP archive."""
    progress(0, 100, "computing the cube")
    cube = _exact_cube(task, progress)
    progress(70, 100, "writing the file")
    entry = next((f for f in FORMATS if f.suffix == task.suffix), None)
    if entry is None:
        raise ConfigError("no format of this suffix; see the options of the service")
    inner = folder / "files"
    inner.mkdir()
    save_cube(cube, inner / f"cube{task.suffix}", format=entry.name)
    written = sorted(file for file in inner.rglob("*") if file.is_file())
    if len(written) == 1:
        written[0].rename(folder / f"cube{task.suffix}")
    else:
        archive = folder / f"cube{task.suffix or '.png'}.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as target:
            for file in written:
                target.write(file, file.relative_to(inner).as_posix())
                file.unlink()


def _exact_cube(task: Task, progress: Progress) -> xr.DataArray:
    if task.source is not None and is_cube(task.source):
        return _the_cube(task)
    image, kind, _ = _open_picture(task)
    progress(10, 100, "getting the method ready")
    reconstructor = _bound(task, image, kind)
    progress(20, 100, "computing the cube")
    return reconstructor(reconstructor.values_of(image, kind))


def _calibration(task: Task, folder: Path, progress: Progress, focus: Focus) -> None:
    """Calibrate a camera with a photograph of a chart."""
    progress(0, 100, "reading")
    assert task.source is not None
    if is_cube(task.source):
        raise DataError("a camera is calibrated with a photograph of a chart, and this is a cube")
    encoding = input_encoding(_kind(task))
    options = task.picture.model_copy(update={"tone": "none"}).model_dump()
    image = open_image(task.source, encoding=encoding, max_pixels=task.limits.pixels, **options)
    progress(30, 100, "measuring the chart")
    run_calibration(image, task.chart, folder)


def is_cube(path: Path) -> bool:
    """Whether an upload is a cube rather than a picture; TIFF files can be either.

    Raises:
        FormatError: it is neither.
    """
    suffix = path.suffix.lower()
    if path.is_dir():
        return True
    if suffix in (".tif", ".tiff"):
        try:
            _, stored = peek_cube(path)
        except (FormatError, DataError):
            return False
        return stored.shape[2] > _MOST_CHANNELS
    if suffix in PICTURE_SUFFIXES:
        return False
    if any(suffix in entry.suffixes for entry in FORMATS):
        return True
    raise FormatError(
        f"{PurePosixPath(path.name)} is neither a picture (PNG, JPEG, TIFF, WebP, HEIC, AVIF, raw) "
        "nor a cube (MATLAB, ENVI, NetCDF, Zarr, NumPy, TIFF, a folder of PNGs)"
    )


def _the_cube(task: Task) -> xr.DataArray:
    assert task.source is not None
    return _open_cube(task.source, task.limits, task.key, task.stated.quantity)


def _open_cube(
    path: Path,
    limits: Limits,
    key: str | None = None,
    quantity: Literal["reflectance", "radiance"] | None = None,
) -> xr.DataArray:
    _, stored = peek_cube(path, key)
    height, width, bands = stored.shape
    if height * width > limits.pixels or height * width * bands > limits.cube_values:
        raise DataError(
            f"the cube has {height} × {width} × {bands} values, more than this server takes; "
            "crop it first"
        )
    grid = None
    if stored.wavelengths_nm is None and bands == 31:
        grid = np.arange(400.0, 701.0, 10.0)  # the challenge's grid, which such files leave out
    return open_cube(path, wavelengths_nm=grid, key=key, quantity=quantity).load()


def _require_same_size(scene: xr.DataArray, truth: xr.DataArray | None) -> None:
    if truth is None:
        return
    mine, other = (scene.sizes["y"], scene.sizes["x"]), (truth.sizes["y"], truth.sizes["x"])
    if mine != other:
        raise DataError(
            f"the truth has {other[0]} × {other[1]} pixels and the picture {mine[0]} × {mine[1]}; "
            "they must show the same pixels"
        )


def _kind(task: Task) -> InputKind:
    """What the values of a picture are: as told, else by its name and the camera that is known."""
    assert task.source is not None
    return input_kind_of(task.source, task.stated.to_capture(), task.input)


def _open_picture(task: Task) -> tuple[xr.DataArray, InputKind, xr.DataArray | None]:
    """The picture, what its values are, and its truth: of the demonstration that is known."""
    if task.source is None:
        from respectra.datasets.still_life import still_life

        truth = still_life(360, 480)
        comparable = task.stated.quantity in (None, str(truth.attrs["quantity"]))
        return get_track("clean").render(truth), "clean", truth if comparable else None
    kind = _kind(task)
    image = open_image(
        task.source,
        encoding=input_encoding(kind),
        max_pixels=task.limits.pixels,
        **options_for(task.picture, task.stated.to_capture()).model_dump(),
    )
    return image, kind, None


def _bound(task: Task, image: xr.DataArray, kind: InputKind) -> Reconstructor:
    """The method, told all that is known of the picture."""
    plain = _reconstructor(task.method, track_of_kind(kind), task.guarantees)
    known = task.stated.known()
    if task.source is None:
        if not known:
            return plain
        return for_picture(plain, image, known.capture, known.references, known.quantity)
    facts = known.capture, known.quantity, known.references
    reading = options_for(task.picture, known.capture)
    return for_first_picture(plain, task.source, kind, *facts, reading)


@functools.lru_cache(maxsize=_KEPT_READY)
def _reconstructor(method: str, track: str, guarantees: tuple[str, ...]) -> Reconstructor:
    return load(method, track=track, guarantees=guarantees)


@functools.lru_cache(maxsize=_KEPT_READY)
def _typical_error(method: str, track: str, guarantees: tuple[str, ...]) -> Any:
    return typical_error(_reconstructor(method, track, guarantees))


_JOBS: dict[str, Callable[[Task, Path, Progress, Focus], None]] = {
    "scene": _scene,
    "demo": _scene,
    "export": _export,
    "calibration": _calibration,
}
