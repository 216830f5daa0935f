"""The spatial structure of natural images: 1/f fields, dead leaves, and regions of photographs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from respectra.typing import Float32Array

Indices = npt.NDArray[np.int32]

#: Sizes of leaves are spread as r^-3, which makes the picture look alike at every scale
#: (Lee, Mumford and Huang 2001). The smallest radius, in pixels, decides how busy a scene is; the
#: largest is a share of the picture's smaller side.
_SMALLEST_LEAF_PX = (3.0, 24.0)
_LARGEST_LEAF = 0.5
#: A photograph is cut into regions at steps of the logarithms of R/G and B/G, and its lightness
#: into levels.
_PHOTO_STEP, _PHOTO_LEVELS = 0.3, 3


@dataclass(frozen=True)
class Arrangement:
    """Which thing each pixel shows, and how the thing's surface is turned there."""

    thing: Indices
    """(y, x), from 0 to ``count`` - 1; a higher thing lies in front of a lower one."""
    slope: Float32Array
    """(2, y, x): the slopes of the surface along y and x."""
    detail: Float32Array
    """(y, x): factor on the light, about 1, of structure finer than the things."""
    count: int
    colours: Float32Array | None = None
    """(count, 3): mean linear RGB of each thing, where a photograph lent the layout."""


def power_law_fields(
    count: int, height: int, width: int, rng: np.random.Generator, slopes: tuple[float, float]
) -> Float32Array:
    """Random fields with an amplitude spectrum 1/f^slope, each with mean 0 and deviation 1.

    Their shape is (count, y, x). Each slope is drawn from a range; natural images have about 1
    (Field 1987).
    """
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = np.inf
    exponents = rng.uniform(*slopes, count)
    fields = np.empty((count, height, width), np.float32)
    for field, exponent in zip(fields, exponents, strict=True):
        noise = np.fft.rfft2(rng.standard_normal((height, width), dtype=np.float32))
        values = np.fft.irfft2(noise * frequency**-exponent, s=(height, width))
        field[:] = values / max(float(values.std()), 1e-12)
    return fields


def dead_leaves(height: int, width: int, count: int, rng: np.random.Generator) -> Arrangement:
    """Things of all sizes that hide one another: ellipses, polygons and lobed blobs."""
    thing = np.zeros((height, width), np.int32)
    slope = np.zeros((2, height, width), np.float32)
    slope += rng.normal(0, 0.15, (2, 1, 1)).astype(np.float32)
    smallest = float(np.exp(rng.uniform(*np.log(_SMALLEST_LEAF_PX))))
    largest = max(_LARGEST_LEAF * min(height, width), 2 * smallest)
    # Inverse of the distribution function of the density r^-3 between the two.
    share = rng.random(count)
    radii = (smallest**-2 - share * (smallest**-2 - largest**-2)) ** -0.5
    for index in range(1, count):
        _place_leaf(index, float(radii[index]), thing, slope, rng)
    return Arrangement(thing, slope, np.ones((height, width), np.float32), count)


def _place_leaf(
    index: int, radius: float, thing: Indices, slope: Float32Array, rng: np.random.Generator
) -> None:
    height, width = thing.shape
    cy, cx = rng.uniform(0, height), rng.uniform(0, width)
    angle, aspect = rng.uniform(0, 2 * np.pi), np.exp(rng.uniform(np.log(0.12), 0.0))
    kind = rng.integers(3)
    corners, lobes = int(rng.integers(3, 7)), rng.normal(0, 0.12, (2, 3))
    bulge = rng.uniform(0.2, 1.3) if rng.random() < 0.6 else 0.0
    tilt = rng.normal(0, 0.25, 2)
    reach = 1.5 * radius
    y0, y1 = max(int(cy - reach), 0), min(int(cy + reach) + 1, height)
    x0, x1 = max(int(cx - reach), 0), min(int(cx + reach) + 1, width)
    y = (np.arange(y0, y1, dtype=np.float32) - cy)[:, None] / radius
    x = (np.arange(x0, x1, dtype=np.float32) - cx)[None, :] / radius
    u = np.cos(angle) * x + np.sin(angle) * y
    v = (np.cos(angle) * y - np.sin(angle) * x) / aspect
    distance = np.hypot(u, v)
    if kind == 0:
        edge: npt.NDArray[np.floating] | float = 1.0
    else:
        theta = np.arctan2(v, u)
        if kind == 1:  # a regular polygon, stretched
            sector = 2 * np.pi / corners
            edge = np.cos(sector / 2) / np.cos((theta % sector) - sector / 2)
        else:
            order = np.arange(2, 5)[:, None, None]
            edge = 1 + (
                lobes[0, :, None, None] * np.cos(order * theta)
                + lobes[1, :, None, None] * np.sin(order * theta)
            ).sum(axis=0)
    inside = distance < edge
    thing[y0:y1, x0:x1][inside] = index
    for axis, offset in enumerate((y, x)):
        surface = np.broadcast_to(tilt[axis] - bulge * offset, inside.shape)
        slope[axis, y0:y1, x0:x1][inside] = surface[inside]


def photo_layout(
    photo: npt.NDArray[np.floating], height: int, width: int, rng: np.random.Generator
) -> Arrangement:
    """The structure of a photograph: its regions of one colour, and its light and shade in them.

    Of linear RGB in [0, 1] a part is taken at random, perhaps mirrored, and scaled.
    """
    import cv2

    part = _random_part(np.asarray(photo, np.float32), height, width, rng)
    smooth = cv2.GaussianBlur(part, (0, 0), max(1.0, min(height, width) / 128))
    red, green, blue = np.moveaxis(np.log(smooth + 0.02), 2, 0)
    light = smooth.mean(axis=2)
    cuts = np.quantile(light, np.linspace(0, 1, _PHOTO_LEVELS + 1)[1:-1])
    key = np.digitize(light, cuts)
    for ratio in (red - green, blue - green):
        step = np.floor((ratio - np.median(ratio)) / _PHOTO_STEP + 0.5).astype(np.int64)
        key = key * 1000 + np.clip(step + 500, 0, 999)
    _, region = np.unique(key, return_inverse=True)
    thing: Indices = region.reshape(height, width).astype(np.int32)
    count = int(thing.max()) + 1
    size = np.maximum(np.bincount(thing.ravel(), minlength=count), 1)
    colours = np.stack(
        [np.bincount(thing.ravel(), part[..., c].ravel(), count) / size for c in range(3)], axis=1
    ).astype(np.float32)
    detail = (part.mean(axis=2) + 0.01) / (colours.mean(axis=1)[thing] + 0.01)
    flat = np.zeros((2, height, width), np.float32)
    return Arrangement(thing, flat, np.clip(detail, 0.2, 3.0).astype(np.float32), count, colours)


def _random_part(
    photo: Float32Array, height: int, width: int, rng: np.random.Generator
) -> Float32Array:
    """A crop of the wanted shape, as large as fits or smaller, resized to the wanted size."""
    import cv2

    rows, columns = photo.shape[:2]
    fit = min(rows / height, columns / width)
    scale = fit * rng.uniform(0.6, 1.0)
    h, w = max(1, round(height * scale)), max(1, round(width * scale))
    h, w = min(h, rows), min(w, columns)
    y, x = rng.integers(rows - h + 1), rng.integers(columns - w + 1)
    part = photo[y : y + h, x : x + w]
    if rng.random() < 0.5:
        part = part[:, ::-1]
    how = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(part), (width, height), interpolation=how))
