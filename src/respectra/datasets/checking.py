"""What in a collection breaks training, found before it does."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from respectra.cameras import Track, open_image
from respectra.cubes import Finding, check, wavelengths_of
from respectra.datasets.collections import Collection, Scene
from respectra.datasets.scenes import valid_pixels
from respectra.errors import RespectraError
from respectra.progress import Progress, as_progress, tracked

#: An exact track's image may differ by this share of its codes: libraries round sums differently.
_DIFFERENT_SHARE = 1e-3
#: An image with noise or compression is at least this much correlated with another rendering.
_LEAST_CORRELATION = 0.9
_ORDER = {"error": 0, "warning": 1, "info": 2}


@dataclass(frozen=True)
class SceneReport:
    """What was found in one scene, the worst first.

    Example:
        >>> SceneReport("a", (32, 32, 31), 1.0, ()).name
        'a'
    """

    name: str
    shape: tuple[int, ...]
    """(y, x, band); empty where the cube cannot be read."""
    valid_share: float
    """Share of the pixels that were measured."""
    findings: tuple[Finding, ...]
    wavelengths_nm: tuple[float, ...] = ()
    values_sha256: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing was found that breaks training or scoring."""
        return not any(finding.severity == "error" for finding in self.findings)


@dataclass(frozen=True)
class CollectionReport:
    """What was found in a collection.

    Example:
        >>> CollectionReport("mine", "cubes", ()).ok
        True
    """

    name: str
    layout: str
    scenes: tuple[SceneReport, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found that breaks training or scoring."""
        return all(scene.ok for scene in self.scenes)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data for JSON."""
        scenes = []
        for scene in self.scenes:
            plain = asdict(scene) | {"ok": scene.ok, "shape": list(scene.shape)}
            plain["findings"] = list(plain["findings"])
            plain["wavelengths_nm"] = list(scene.wavelengths_nm)
            scenes.append(plain)
        return {"name": self.name, "layout": self.layout, "ok": self.ok, "scenes": scenes}


def check_collection(
    collection: Collection,
    tracks: Sequence[Track] = (),
    *,
    progress: Progress | None = None,
) -> CollectionReport:
    """Look at every cube and every image of a collection.

    Args:
        collection: what to look at.
        tracks: cameras that the images are compared with.
        progress: told how many scenes are done.

    Returns:
        for each scene what :func:`respectra.cubes.check` finds; images that cannot be read, have
        another size than the cube, or are not what their track makes of it; bands that differ
        from those of most scenes; scenes known to be bad; cubes with the same values.

    Example:
        >>> import respectra as rs
        >>> from respectra.datasets.still_life import still_life
        >>> rs.save_cube(still_life(32, 32), "cubes/a.npz")
        >>> check_collection(rs.open_collection("cubes")).ok
        True
    """
    scenes = tracked(collection.scenes, as_progress(progress), "checking")
    by_name = {track.name: track for track in tracks}
    reports = [_check_scene(scene, by_name) for scene in scenes]
    return CollectionReport(
        collection.name, collection.layout, tuple(_compared(reports, collection))
    )


def _check_scene(scene: Scene, tracks: dict[str, Track]) -> SceneReport:
    findings = [Finding("warning", "known-bad", scene.bad, 1)] if scene.bad else []
    try:
        cube = scene.open_cube()
    except RespectraError as error:
        findings.insert(0, Finding("error", "unreadable", str(error), 1))
        return SceneReport(scene.name, (), 0.0, tuple(findings))
    report = check(cube)
    findings += report.findings
    for name in scene.images:
        findings += _check_image(scene, name, cube, tracks.get(name))
    findings.sort(key=lambda finding: _ORDER[finding.severity])
    return SceneReport(
        name=scene.name,
        shape=report.shape,
        valid_share=float(valid_pixels(cube).mean()),
        findings=tuple(findings),
        wavelengths_nm=tuple(wavelengths_of(cube).tolist()),
        values_sha256=hashlib.sha256(np.ascontiguousarray(cube.values).data).hexdigest(),
    )


def _check_image(
    scene: Scene, name: str, cube: xr.DataArray, track: Track | None
) -> Iterable[Finding]:
    """Findings about one image file."""
    path = scene.images[name]
    try:
        image = open_image(path)
    except RespectraError as error:
        return [Finding("error", "unreadable-image", str(error), 1)]
    size, wanted = image.shape[:2], cube.shape[:2]
    if size != wanted:
        turned = " (rows and columns are exchanged)" if size == wanted[::-1] else ""
        message = f"{path.name} has {size} pixels and the cube {wanted}{turned}; they must agree"
        return [Finding("error", "image-size", message, 1)]
    if track is None:
        return []
    try:
        rendered = track.render(cube, key=scene.name)
    except RespectraError as error:
        return [Finding("warning", "not-rendered", f"{track.name}: {error}", 1)]
    return _compare_images(path.name, image.values, rendered.values, track)


def _compare_images(
    file: str, given: np.ndarray[Any, Any], rendered: np.ndarray[Any, Any], track: Track
) -> Iterable[Finding]:
    if track.exact:
        different = np.abs(given - rendered) > 0.5 / 255
        count = int(np.count_nonzero(different))
        if count <= _DIFFERENT_SHARE * different.size:
            return []
        furthest = float(np.abs(given - rendered).max() * 255)
        message = (
            f"{100 * count / different.size:.2g} % of the codes of {file} are not those that the "
            f"{track.name} track makes of the cube (by up to {furthest:.0f}): another camera, "
            "another exposure, or another scene"
        )
        return [Finding("warning", "not-of-this-track", message, count)]
    a, b = given.mean(axis=2).ravel(), rendered.mean(axis=2).ravel()
    if a.std() == 0 or b.std() == 0:
        return []
    correlation = float(np.corrcoef(a, b)[0, 1])
    if correlation >= _LEAST_CORRELATION:
        return []
    message = (
        f"{file} and a {track.name} image of the cube correlate by {correlation:.2f}: "
        "it is turned over, shifted, or shows another scene"
    )
    return [Finding("warning", "not-of-this-cube", message, 1)]


def _compared(reports: list[SceneReport], collection: Collection) -> Iterable[SceneReport]:
    """What shows only when scenes are compared: other bands, and the same values twice."""
    grids = Counter(report.wavelengths_nm for report in reports if report.shape)
    usual = grids.most_common(1)[0][0] if grids else ()
    first: dict[str, SceneReport] = {}
    groups = {scene.name: scene.group for scene in collection}
    for report in reports:
        more: list[Finding] = []
        if report.shape and report.wavelengths_nm != usual:
            message = (
                f"{len(report.wavelengths_nm)} bands, where most scenes have {len(usual)} from "
                f"{usual[0]:g} to {usual[-1]:g} nm; resample: --resample"
            )
            more.append(Finding("warning", "bands-differ", message, report.shape[2]))
        twin = first.setdefault(report.values_sha256, report) if report.shape else report
        if twin is not report:
            together = groups[twin.name] == groups[report.name]
            message = f"the same values as {twin.name}" + (
                "" if together else "; a split would put one scene on both sides: remove one"
            )
            more.append(Finding("info" if together else "warning", "duplicate", message, 1))
        findings = sorted([*report.findings, *more], key=lambda f: _ORDER[f.severity])
        yield replace(report, findings=tuple(findings))
