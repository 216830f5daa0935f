"""A capture file out of photographs of a colour chart."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cameras.calibration.charts import Chart, colours_of, open_chart
from respectra.cameras.calibration.detection import (
    ChartPatches,
    check_corners,
    find_chart,
    measure_patches,
)
from respectra.cameras.calibration.fitting import (
    Response,
    choose_way,
    cross_validate,
    fit_correction,
    fit_lights,
    fit_response,
    fit_tone,
    fit_way,
)
from respectra.cameras.capture import Capture
from respectra.cameras.correction import light_of, within_range
from respectra.cameras.images import Noise, require_image
from respectra.cameras.pictures.tone import Tone
from respectra.cameras.response_prior import GRID_NM, light_seen
from respectra.cameras.responses import make_response
from respectra.errors import DataError, unknown_name
from respectra.typing import FloatArray

#: Darker than predicted by more than this, a patch lies in shadow; so many may.
_SHADOW, _MOST_SHADOWED = 0.35, 8
_LEAST_PATCHES = 12
#: What is worse than this, relative, when patches are left out is no chart.
_MOST_ERROR = 0.5


@dataclass(frozen=True, eq=False)
class Calibration:
    """What photographs of a chart say of a camera.

    Attributes:
        capture: for its pictures, of the way that cross-validation found best, or that was asked
            for; it holds the others too.
        way: of the capture; see ``use`` of :func:`calibrate`.
        scores: way -> mean relative error of the colour of a patch that was left out.
        response: of the camera; None for developed photographs.
        lights: under the lights that may have been, the likeliest first; empty where it was told.
        tone: that was undone first.
        noise: of linear values.
        measured: shape (patch, 3), linear values, tone undone.
        wanted: of the same shape, what the chart's spectra make of linear sRGB.
        predicted: of the same shape, by the best way's own camera.
        residual: shape (patch,), relative; NaN where a patch was left out.
        left_out: patches (from 1) that were clipped or in shadow.
        patches: as they were measured in each photograph.

    Example:
        >>> import dataclasses  # how one is made: see ``calibrate``
        >>> [field.name for field in dataclasses.fields(Calibration)][:3]
        ['capture', 'way', 'scores']
    """

    capture: Capture
    way: str
    scores: dict[str, float]
    response: Response | None
    lights: list[Response]
    tone: Tone | None
    noise: Noise | None
    measured: FloatArray
    wanted: FloatArray
    predicted: FloatArray
    residual: FloatArray
    left_out: list[int]
    patches: list[ChartPatches]


def calibrate(
    images: Sequence[xr.DataArray],
    *,
    chart: str | os.PathLike[str] = "classic24",
    light: str = "unknown",
    corners: npt.ArrayLike | None = None,
    flat: xr.DataArray | None = None,
    name: str | None = None,
    use: str = "auto",
) -> Calibration:
    """Calibrate a camera with photographs of a colour chart.

    Args:
        images: of one camera and one light: raw files or other linear values, or developed
            photographs (opened with ``tone="none"``).
        chart: see :func:`open_chart`.
        light: on the chart: a name or file, or ``unknown``.
        corners: shape (4, 2), x and y of the centres of the chart's outer patches, of the only
            image; by default they are found.
        flat: a photograph of something evenly white, to take vignetting out.
        name: of the camera; by default what the file says.
        use: the way that the capture follows at first: ``response`` (linear photographs),
            ``matrix``, ``root-polynomial``, ``tone`` or ``gaussian-process`` (developed ones);
            ``auto``: the process for developed photographs, for linear ones the way that
            cross-validation finds best. It holds all of them; see
            :meth:`respectra.Capture.using`.

    Raises:
        DataError: no chart is found, or it cannot be used; see :func:`find_chart`.
        ConfigError: an unknown chart or light.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> from respectra.cameras.calibration import open_chart
        >>> chart, camera = open_chart("classic24"), rs.cameras.open_camera("ampas-nikon-d70")
        >>> seen = chart.spectra @ rs.cameras.resample_response(camera, range(400, 701, 10)).values
        >>> photo = (0.8 * seen / seen.max()).reshape(4, 6, 3).repeat(20, axis=0).repeat(20, axis=1)
        >>> corners = [[10, 10], [110, 10], [110, 70], [10, 70]]  # x and y, in pixels
        >>> found = rs.calibrate([rs.make_image(photo, bits=16)], light="E", corners=corners)
        >>> sorted(found.scores), found.left_out
        (['matrix', 'response', 'root-polynomial'], [])
        >>> found.capture.save("camera.json")
    """
    if not images:
        raise DataError("no photograph of a chart was given")
    known = open_chart(chart)
    developed = {_developed(image) for image in images}
    if len(developed) > 1:
        raise DataError("some of the photographs are developed and some are linear; give one kind")
    linear = [_flattened(_linear(image), flat) for image in images]
    patches = []
    for image, flattened in zip(images, linear, strict=True):
        if corners is None:
            points = find_chart(image, known)
        else:
            points = check_corners(image, known, corners)
        patches.append(measure_patches(flattened, known, points))
    values, usable = _merge(patches)
    model = name or str(images[0].attrs.get("camera_model", ""))
    return _fit(known, values, usable, patches, developed.pop(), light, model, use)


def _fit(
    chart: Chart,
    values: FloatArray,
    usable: npt.NDArray[np.bool_],
    patches: list[ChartPatches],
    developed: bool,
    light: str,
    model: str,
    use: str,
) -> Calibration:
    if usable.sum() < _LEAST_PATCHES:
        raise DataError(f"only {usable.sum()} patches can be used; {_LEAST_PATCHES} are needed")
    truth = colours_of(chart.spectra)
    noise = _noise(patches)
    tone: Tone | None = fit_tone(chart.spectra[usable], values[usable]) if developed else None
    if tone is not None:
        noise, values = None, np.asarray(tone.undo(values), np.float64)
    usable = _without_shadows(values, truth, usable)
    spectra, seen, wanted = chart.spectra[usable], values[usable], truth[usable]
    response, lights = None, []
    if not developed:
        error = chart.error
        lights = fit_lights(spectra, seen, error) if light == "unknown" else []
        response = lights[0] if lights else fit_response(spectra, seen, light, error=error)
    under = None if response is None else response.light
    scores = cross_validate(spectra, seen, wanted, under, chart.error)
    if min(scores.values()) > _MOST_ERROR:
        raise DataError(
            f"patches that are left out are predicted with an error of {min(scores.values()):.0%}: "
            "is it this chart, and do the corners lie on it?"
        )
    way = choose_way(scores) if use == "auto" else use
    if way not in scores:
        raise unknown_name("way of calibrating such photographs", way, ["auto", *scores])
    facts: dict[str, Any] = {"noise": noise, "tone": tone, "taken_by": model or None}
    found: dict[str, tuple[Capture, FloatArray]] = {}
    for name in scores:
        if name == "response":
            assert response is not None
            found[name] = _response_capture(chart, response, model, facts)
        else:
            found[name] = _correction_capture(seen, wanted, values, name, facts)
    others = {name: other for name, (other, _) in found.items() if name != way}
    capture, predicted = found[way]
    capture = capture.replace(way=way, ways=others)
    residual = np.full(len(values), np.nan)
    goal = values if way == "response" else truth
    off = np.abs(predicted - goal).mean(axis=1) / (np.abs(goal).mean(axis=1) + 0.01)
    residual[usable] = off[usable]
    left_out = [int(n) + 1 for n in np.flatnonzero(~usable)]
    return Calibration(
        capture, way, scores, response, lights, tone, noise, values, truth, predicted, residual,
        left_out, patches,
    )  # fmt: skip


def _response_capture(
    chart: Chart, response: Response, model: str, facts: dict[str, Any]
) -> tuple[Capture, FloatArray]:
    predicted = light_seen(chart.spectra, response.light) @ response.values
    white = (light_seen(np.ones((1, GRID_NM.size)), response.light) @ response.values)[0]
    peak = response.values.max()
    camera = make_response(
        response.values / peak,
        GRID_NM,
        name=f"{model or 'camera'} (calibrated)",
        source="fitted to a colour chart under a prior of measured cameras",
    )
    white = white / max(float(white.max()), 1.0)
    told = (float(white[0]), float(white[1]), float(white[2]))
    return Capture(camera=camera, light=response.light, white=told, **facts), predicted


def _correction_capture(
    seen: FloatArray,
    wanted: FloatArray,
    values: FloatArray,
    way: str,
    facts: dict[str, Any],
) -> tuple[Capture, FloatArray]:
    # The brightest that the camera can give stays within a picture's range.
    found = fit_way(way, seen, wanted)
    correction, level = within_range(found)
    capture = Capture.photograph(white=(level,) * 3, correction=correction, **facts)
    return capture, light_of(values, found)


def _without_shadows(
    values: FloatArray, truth: FloatArray, usable: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    matrix = fit_correction(values[usable], truth[usable], roots=False)
    bright, wanted = (values @ matrix).sum(axis=1), truth.sum(axis=1)
    ratio = bright / np.maximum(wanted, 0.05)
    ratio /= np.median(ratio[usable])
    shadowed = usable & (ratio < 1 - _SHADOW) & (wanted > 0.15)
    if shadowed.sum() > _MOST_SHADOWED:
        raise DataError(
            f"{shadowed.sum()} patches of the chart lie in shadow or are not of this chart; light "
            "it evenly"
        )
    return np.asarray(usable & ~shadowed)


def _merge(patches: list[ChartPatches]) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Means over photographs, each brought to the exposure of the first."""
    first = patches[0].values
    total = np.zeros_like(first)
    count = np.zeros(len(first))
    for measured in patches:
        both = measured.usable & patches[0].usable
        if not both.any():
            raise DataError("two of the photographs have no patch in common that is not clipped")
        gain = float(np.median(first[both] / measured.values[both]))
        total += np.where(measured.usable[:, None], measured.values * gain, 0.0)
        count += measured.usable
    usable = count > 0
    return np.where(usable[:, None], total / np.maximum(count, 1)[:, None], first), usable


def _noise(patches: list[ChartPatches]) -> Noise | None:
    """Gain and read noise of the spread within patches."""
    from scipy.optimize import nnls

    means = np.concatenate([p.values[p.usable].ravel() for p in patches])
    variance = np.concatenate([p.deviation[p.usable].ravel() for p in patches]) ** 2
    weight = 1.0 / (variance + 1e-10)
    rows = np.stack([means, np.ones_like(means)], axis=1)
    (gain, read), _ = nnls(rows * weight[:, None], variance * weight)
    noise = Noise(float(min(gain, 0.5)), float(min(np.sqrt(read), 0.5)))
    return noise or None


def _developed(image: xr.DataArray) -> bool:
    return image.attrs.get("encoding") == "srgb" or "space" in image.attrs


def _linear(image: xr.DataArray) -> xr.DataArray:
    picture = require_image(image)
    return Capture.photograph().linear(picture) if _developed(picture) else picture


def _flattened(image: xr.DataArray, flat: xr.DataArray | None) -> xr.DataArray:
    """Vignetting and uneven light taken out."""
    if flat is None:
        return image
    field = np.asarray(_linear(flat).values, np.float32)
    if field.shape != image.shape:
        raise DataError(
            f"the flat field has {field.shape[:2]} pixels and the photograph {image.shape[:2]}"
        )
    import cv2

    smooth = cv2.GaussianBlur(field, (0, 0), max(1.0, min(field.shape[:2]) / 100))
    top = smooth.max(axis=(0, 1))
    if (smooth < 0.02 * top).any():
        raise DataError("the flat field is black in places; photograph something evenly bright")
    clipped = np.asarray(image.values) >= 0.995
    values = np.where(clipped, 1.0, np.minimum(image.values / (smooth / top), 0.994))
    return image.copy(data=values.astype(np.float32))
