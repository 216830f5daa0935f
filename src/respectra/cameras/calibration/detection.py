"""Finding a colour chart in a picture, and measuring its patches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cameras.calibration.charts import Chart, colours_of
from respectra.cameras.images import require_image
from respectra.colour import SRGB_TO_XYZ, encode_srgb
from respectra.errors import DataError
from respectra.typing import Float32Array, FloatArray

#: OpenCV's model of a chart: patches of 2.5 units, 0.25 apart.
_PATCH, _GAP = 2.5, 0.25
#: Pixels of a patch in the rectified chart, and the share of its side that is measured.
_PIXELS, _INNER = 40, 0.5
_CLIPPED, _MOST_CLIPPED = 0.995, 0.01
#: Longest sides that the picture is reduced to until a chart is found.
_SIDES = (1600, 2600, 1000, 700)
#: Least correlation of a chart's colours with what is seen.
_ALIKE = 0.8
#: The same where corners may be off by half a patch; and the share of a patch's side that is even.
_PERHAPS, _WHOLE = 0.3, 0.8


@dataclass(frozen=True, eq=False)
class ChartPatches:
    """What was measured of a chart.

    Attributes:
        values: shape (patch, 3), means of linear values.
        deviation: shape (patch, 3), their standard deviation within the patch.
        usable: shape (patch,), False where clipped.
        corners: shape (4, 2), x and y of the centres of the four outer patches, from the first one
            clockwise.
        places: shape (patch, 2), x and y of all centres.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> from respectra.cameras.calibration import open_chart
        >>> chart = open_chart("classic24")
        >>> patches = chart.spectra @ np.full((31, 3), 1 / 31)
        >>> photo = patches.reshape(4, 6, 3).repeat(20, axis=0).repeat(20, axis=1)
        >>> corners = [[10, 10], [110, 10], [110, 70], [10, 70]]  # x and y, in pixels
        >>> found = measure_patches(rs.make_image(photo, encoding="linear"), chart, corners)
        >>> found.places[1].round().tolist()
        [30.0, 10.0]
    """

    values: FloatArray
    deviation: FloatArray
    usable: npt.NDArray[np.bool_]
    corners: FloatArray
    places: FloatArray


def find_chart(image: xr.DataArray, chart: Chart) -> FloatArray:
    """The centres of a chart's four outer patches, x and y, from the first patch clockwise.

    By OpenCV's detector (``cv2.mcc``, after the MCC of P. García and others); which corner is the
    first is told by the colours, so that a chart may lie in any way.

    Args:
        image: a photograph with one chart in it.
        chart: which one.

    Returns:
        Shape (4, 2), in pixels.

    Raises:
        DataError: no chart, several, or one that is mirrored.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> from respectra.cameras.calibration import open_chart
        >>> chart, camera = open_chart("classic24"), rs.cameras.open_camera("ampas-nikon-d70")
        >>> seen = chart.spectra @ rs.cameras.resample_response(camera, range(400, 701, 10)).values
        >>> photo = np.full((260, 340, 3), 0.2)  # a table, and black card on it
        >>> photo[40:220, 40:300] = 0.02
        >>> for k, colour in enumerate(0.8 * seen / seen.max()):
        ...     y, x = 55 + 40 * (k // 6), 55 + 40 * (k % 6)
        ...     photo[y : y + 30, x : x + 30] = colour
        >>> corners = find_chart(rs.make_image(photo, bits=16), chart)
        >>> np.allclose(corners[0], 70, atol=4)
        True
    """
    picture = require_image(image)
    found = _charts(picture, chart)
    if len(found) > 1:
        raise DataError(
            f"{len(found)} charts were found in the picture; crop it to one, or state the "
            "corners of the one that is meant"
        )
    if found:
        return found[0]
    if _charts(picture[:, ::-1], chart):
        raise DataError(
            "the chart in the picture is mirrored, as a scanner or a selfie camera leaves it; flip "
            "the picture from left to right"
        )
    developed = picture.attrs.get("encoding") == "srgb"
    linear = "; where the file's values are linear, say so (--linear)" if developed else ""
    raise DataError(
        "no colour chart was found in the picture, or it is clipped or lies half in shadow; state "
        "its corners: x,y of the centres of the first patch, the last of the first row, the last, "
        f"and the first of the last row (--corners){linear}"
    )


def _charts(picture: xr.DataArray, chart: Chart) -> list[FloatArray]:
    """Corners of the charts in a picture that are not mirrored."""
    import cv2

    shown = _shown(picture)
    mcc: Any = cv2.mcc  # type: ignore[attr-defined,unused-ignore]
    kind = mcc.SG140 if chart.columns == 14 else mcc.MCC24
    for side in _SIDES:
        scale = min(1.0, side / max(shown.shape[:2]))
        small = cv2.resize(shown, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        detector = mcc.CCheckerDetector_create()
        detector.setColorChartType(kind)
        detector.process(np.ascontiguousarray(small), 3)
        boxes = [np.array(c.getBox(), float).reshape(4, 2) for c in detector.getListColorChecker()]
        if kind == mcc.SG140:
            ways = [_centres(box / scale, chart) for box in _ways_round(boxes)]
            upright = [_settled(picture, points, chart) for points in ways]
        else:
            upright = [_centres(box / scale, chart) for box in boxes if not _mirrored(box)]
        found = [_turned(picture, corners, chart) for corners in upright]
        found.sort(key=lambda pair: -pair[1])
        alike = [corners for corners, likeness in found if likeness >= _ALIKE]
        if alike:
            return _apart(alike)
    return []


def _ways_round(boxes: list[FloatArray]) -> list[FloatArray]:
    """Boxes of large charts, clockwise, from two corners each.

    OpenCV's detector says where a large chart lies, and not which way round.
    """
    clockwise = [box[::-1] if _mirrored(box) else box for box in boxes]
    return [np.roll(box, turn, axis=0) for box in clockwise for turn in (0, 1)]


def _settled(picture: xr.DataArray, corners: FloatArray, chart: Chart) -> FloatArray:
    """Corners of a large chart, moved until its patches are most even.

    A box that OpenCV draws around a hundred patches is off by a good part of one. Corners whose
    colours are far from the chart's stay.
    """
    from scipy.optimize import minimize

    if _turned(picture, corners, chart)[1] < _PERHAPS:
        return corners
    height, width = picture.shape[:2]
    low = np.clip(np.floor(corners.min(axis=0) - 40), 0, None).astype(int)
    high = np.ceil(corners.max(axis=0) + 40).astype(int)
    part = np.asarray(picture.values[low[1] : high[1], low[0] : high[0]], np.float32)
    if part.shape[0] < 4 or part.shape[1] < 4:
        return corners
    if picture.attrs.get("encoding") != "srgb":
        part = np.sqrt(np.maximum(part, 0))

    def unevenness(moves: FloatArray) -> float:
        tiles = _rectify(part, corners - low + moves.reshape(4, 2), chart, _WHOLE)
        within = tiles.var(axis=(1, 2)).mean()
        return float(within / (tiles.mean(axis=(1, 2)).var(axis=0).mean() + 1e-9))

    size = float(np.linalg.norm(corners[1] - corners[0])) / (chart.columns - 1)
    start = np.vstack([np.zeros(8), 0.4 * size * _moves()])
    options: Any = {"initial_simplex": start, "maxfev": 300, "xatol": 0.02 * size, "fatol": 1e-4}
    moves = minimize(unevenness, np.zeros(8), method="Nelder-Mead", options=options).x
    settled = corners + moves.reshape(4, 2)
    inside = (settled >= 0).all() and (settled < [width, height]).all()
    return settled if inside else corners


def _moves() -> FloatArray:
    """Eight independent moves of four corners: shifts, sizes, slants and perspective."""
    x, y = np.array([-1.0, 1, 1, -1]), np.array([-1.0, -1, 1, 1])
    shapes = [np.ones(4), x, y, x * y]
    zero = np.zeros(4)
    pairs = [(shape, zero) for shape in shapes] + [(zero, shape) for shape in shapes]
    return np.array([np.stack(pair, axis=1).ravel() for pair in pairs])


def check_corners(image: xr.DataArray, chart: Chart, corners: npt.ArrayLike) -> FloatArray:
    """Corners that were stated by hand, in the right order.

    Raises:
        DataError: they are mirrored, or begin at another patch than the first.
    """
    points = np.asarray(corners, np.float64).reshape(4, 2)
    order = (
        "state the centres of the first patch (dark skin, of a ColorChecker), the last of the "
        "first row, the last, and the first of the last row"
    )
    if _mirrored(points):
        raise DataError(f"the corners go round the wrong way, or the chart is mirrored; {order}")
    best, likeness = _turned(require_image(image), points, chart)
    if likeness >= _ALIKE and not np.array_equal(best, points):
        raise DataError(f"the corners do not begin at the chart's first patch; {order}")
    return points


def measure_patches(image: xr.DataArray, chart: Chart, corners: npt.ArrayLike) -> ChartPatches:
    """Means of the patches of a chart, without their edges.

    Args:
        image: linear values.
        chart: which one.
        corners: shape (4, 2); see :func:`find_chart`.

    Raises:
        DataError: corners outside the picture or too close together, or every patch is clipped.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> from respectra.cameras.calibration import open_chart
        >>> chart = open_chart("classic24")
        >>> patches = chart.spectra @ np.full((31, 3), 1 / 31)
        >>> photo = patches.reshape(4, 6, 3).repeat(20, axis=0).repeat(20, axis=1)
        >>> corners = [[10, 10], [110, 10], [110, 70], [10, 70]]  # x and y, in pixels
        >>> image = rs.make_image(photo, encoding="linear")
        >>> found = measure_patches(image, chart, corners)
        >>> np.allclose(found.values, patches, atol=1e-5)
        True
    """
    picture = require_image(image)
    values = np.asarray(picture.values, np.float32)
    points = np.asarray(corners, np.float32).reshape(4, 2)
    height, width = values.shape[:2]
    if not (np.isfinite(points).all() and points.min() >= 0
            and (points < [width, height]).all()):  # fmt: skip
        raise DataError(f"the corners {points.tolist()} lie outside the {width} × {height} pixels")
    size = np.linalg.norm(points[1] - points[0]) / (chart.columns - 1)
    if size < 4:
        raise DataError(f"the chart's patches are {size:.1f} pixels apart; photograph it larger")
    tiles = _rectify(values, points, chart)
    means, spread = tiles.mean(axis=(1, 2)), tiles.std(axis=(1, 2))
    clipped = (tiles >= _CLIPPED).mean(axis=(1, 2)).max(axis=1) > _MOST_CLIPPED
    usable = ~clipped & (means.min(axis=1) > 0)
    if usable.sum() < 6:
        raise DataError(
            f"only {usable.sum()} patches of the chart are neither clipped nor black; expose less"
        )
    places = _project(_grid(chart), points, chart)
    return ChartPatches(means, spread, usable, points.astype(np.float64), places)


def _shown(picture: xr.DataArray) -> npt.NDArray[np.uint8]:
    """As a display shows it, B, G, R: bright enough for a detector."""
    values = np.asarray(picture.values, np.float32)
    if picture.attrs.get("encoding") != "srgb":
        top = np.maximum(np.quantile(values, 0.99, axis=(0, 1)), 1e-4)
        values = encode_srgb(np.clip(values / top, 0, 1))
    return np.rint(values[..., ::-1] * 255).astype(np.uint8)


def _centres(box: FloatArray, chart: Chart) -> FloatArray:
    """Centres of the outer patches, of the box around the chart."""
    import cv2

    whole = [_GAP + (_PATCH + _GAP) * n for n in (chart.columns, chart.rows)]
    model = np.array([[0, 0], [whole[0], 0], whole, [0, whole[1]]], np.float32)
    turn = cv2.getPerspectiveTransform(model, box.astype(np.float32))
    first, last = _GAP + _PATCH / 2, [w - _GAP - _PATCH / 2 for w in whole]
    inner = np.array([[first, first], [last[0], first], last, [first, last[1]]], np.float32)
    return np.asarray(cv2.perspectiveTransform(inner[None], turn)[0], np.float64)


def _mirrored(box: FloatArray) -> bool:
    """Whether corners go round the other way."""
    across, down = box[1] - box[0], box[3] - box[0]
    return bool(across[0] * down[1] - across[1] * down[0] < 0)


def _turned(picture: xr.DataArray, corners: FloatArray, chart: Chart) -> tuple[FloatArray, float]:
    """The corners from the first patch on, by the colours, and how alike they are."""
    truth = colours_of(chart.spectra)
    best, likeness = corners, -1.0
    for turn in (0, 2):
        points = np.roll(corners, turn, axis=0)
        try:
            seen = _rectify(np.asarray(picture.values, np.float32), points, chart)
        except DataError:
            continue
        seen = np.asarray(seen.mean(axis=(1, 2)), np.float64)
        if picture.attrs.get("encoding") != "srgb":
            bright = np.clip(seen / max(float(seen.max()), 1e-6), 0, 1)
            seen = encode_srgb(bright).astype(np.float64)
        score = _alike(seen, encode_srgb(np.clip(truth, 0, 1)).astype(np.float64))
        if score > likeness:
            best, likeness = points, score
    return best, likeness


def _alike(seen: FloatArray, truth: FloatArray) -> float:
    """Least of the correlations of brightness and of colour, whatever the white."""
    weights = SRGB_TO_XYZ[1]
    pairs = [(seen @ weights, truth @ weights)]
    pairs += [(seen[:, i] - seen[:, 1], truth[:, i] - truth[:, 1]) for i in (0, 2)]
    return float(min(np.corrcoef(a, b)[0, 1] if np.std(a) > 0 else 0.0 for a, b in pairs))


def _apart(found: list[FloatArray]) -> list[FloatArray]:
    """Charts that do not lie upon each other."""
    kept: list[FloatArray] = []
    for corners in found:
        size = np.linalg.norm(corners[2] - corners[0])
        if all(np.linalg.norm(corners.mean(0) - other.mean(0)) > size / 4 for other in kept):
            kept.append(corners)
    return kept


def _rectify(
    values: Float32Array, points: npt.ArrayLike, chart: Chart, share: float = _INNER
) -> FloatArray:
    """The inner parts of all patches, shape (patch, side, side, 3)."""
    import cv2

    turn = cv2.getPerspectiveTransform(_outer(chart), np.asarray(points, np.float32))
    size = (chart.columns * _PIXELS, chart.rows * _PIXELS)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    flat = cv2.warpPerspective(values, turn, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    cells = flat.reshape(chart.rows, _PIXELS, chart.columns, _PIXELS, 3).swapaxes(1, 2)
    edge = round(_PIXELS * (1 - share) / 2)
    inner = cells[:, :, edge : _PIXELS - edge, edge : _PIXELS - edge]
    return np.asarray(inner.reshape(chart.rows * chart.columns, *inner.shape[2:]), np.float64)


def _outer(chart: Chart) -> Float32Array:
    half = _PIXELS / 2
    right, low = chart.columns * _PIXELS - half, chart.rows * _PIXELS - half
    return np.array([[half, half], [right, half], [right, low], [half, low]], np.float32)


def _grid(chart: Chart) -> FloatArray:
    y, x = np.mgrid[: chart.rows, : chart.columns]
    return (np.stack([x.ravel(), y.ravel()], axis=1) + 0.5) * _PIXELS


def _project(places: FloatArray, points: npt.ArrayLike, chart: Chart) -> FloatArray:
    import cv2

    turn = cv2.getPerspectiveTransform(_outer(chart), np.asarray(points, np.float32))
    return np.asarray(cv2.perspectiveTransform(places[None], turn)[0], np.float64)
