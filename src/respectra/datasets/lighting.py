"""How much of each light reaches a pixel of a synthetic scene, and how much is mirrored there."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from respectra.datasets.textures import Arrangement
from respectra.typing import Float32Array

_SHADOW_STEPS = 12


def light_maps(
    layout: Arrangement,
    fields: Float32Array,
    count: int,
    rng: np.random.Generator,
    *,
    shadows: bool = True,
    highlights: bool = True,
) -> tuple[Float32Array, Float32Array]:
    """Diffuse and mirrored light at each pixel.

    The first light is ambient and comes from all sides; each other one has a direction, falls off
    with the distance from a point, throws shadows, and shines in gloss (Blinn and Phong's lobe).
    ``fields``, shape (field, y, x), are the roughness of the surfaces.

    Returns:
        two arrays of shape (y, x, light).
    """
    height, width = layout.thing.shape
    thing, things = layout.thing, layout.count
    normal = _normals(layout, fields, rng)
    diffuse = np.empty((height, width, count), np.float32)
    mirrored = np.zeros((height, width, count), np.float32)
    texture = np.exp(rng.uniform(0.0, 0.25, things)).astype(np.float32)[thing]
    detail = layout.detail * texture ** fields[rng.integers(len(fields))]
    # A surface that faces sideways sees half of the sky.
    diffuse[..., 0] = np.float32(rng.uniform(0.1, 0.5)) * (0.5 + 0.5 * normal[2]) * detail
    glossy = rng.uniform(0, 1.0, things) * (rng.random(things) < 0.35) * float(highlights)
    gloss = glossy.astype(np.float32)[thing]
    power = np.exp(rng.uniform(np.log(10), np.log(300), things)).astype(np.float32)[thing]
    elevation_px = np.arange(things, dtype=np.float32) / things * (0.10 * min(height, width))
    strengths = rng.dirichlet(np.full(max(count - 1, 1), 2.0))
    for light in range(1, count):
        azimuth, altitude = rng.uniform(0, 2 * np.pi), np.deg2rad(rng.uniform(20, 75))
        towards = np.array(
            [
                np.cos(altitude) * np.sin(azimuth),
                np.cos(altitude) * np.cos(azimuth),
                np.sin(altitude),
            ],
            dtype=np.float32,
        )
        arriving = _falloff(height, width, rng) * np.float32(strengths[light - 1])
        if shadows:
            arriving *= lit_share(elevation_px[thing], towards, float(rng.uniform(0.5, 3.0)))
        facing = np.maximum(np.tensordot(towards, normal, axes=1), 0.0)
        diffuse[..., light] = arriving * facing * detail
        if highlights:
            half = towards + np.array([0, 0, 1], np.float32)
            half /= np.linalg.norm(half)
            lobe = np.maximum(np.tensordot(half, normal, axes=1), 1e-6) ** power
            mirrored[..., light] = arriving * gloss * lobe
    return diffuse, mirrored


def lit_share(
    elevation_px: Float32Array, towards: npt.NDArray[np.floating], softness_px: float
) -> Float32Array:
    """The share of a light that reaches each pixel past whatever stands higher, shape (y, x).

    The light comes from a direction along y, x and up, and has a penumbra of some softness.
    """
    import cv2

    height, width = elevation_px.shape
    across = float(np.hypot(towards[0], towards[1]))
    if across < 1e-6:
        return np.ones((height, width), np.float32)
    rise = float(towards[2]) / across
    reach = float(elevation_px.max() - elevation_px.min()) / max(rise, 1e-3)
    lit = np.ones((height, width), bool)
    rows, columns = np.arange(height), np.arange(width)
    for step in np.linspace(reach / _SHADOW_STEPS, reach, _SHADOW_STEPS):
        y = np.clip(rows + round(step * float(towards[0]) / across), 0, height - 1)
        x = np.clip(columns + round(step * float(towards[1]) / across), 0, width - 1)
        lit &= elevation_px[y[:, None], x] <= elevation_px + np.float32(step * rise)
    return np.asarray(cv2.GaussianBlur(lit.astype(np.float32), (0, 0), softness_px))


def _falloff(height: int, width: int, rng: np.random.Generator) -> Float32Array:
    """The inverse square of the distance from a lamp; a far one lights the picture evenly."""
    y = (np.arange(height, dtype=np.float32)[:, None] + 0.5) / height - rng.uniform(-0.3, 1.3)
    x = (np.arange(width, dtype=np.float32) + 0.5) / width - rng.uniform(-0.3, 1.3)
    far = np.exp(rng.uniform(np.log(0.6), np.log(8.0)))
    falloff: Float32Array = (far**2 / (far**2 + y**2 + x**2)).astype(np.float32)
    return falloff


def _normals(layout: Arrangement, fields: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Unit normals, shape (3, y, x), of the things' shapes and the relief of their surfaces."""
    rough = (rng.uniform(0, 0.6, layout.count) * (rng.random(layout.count) < 0.7)).astype(
        np.float32
    )
    relief = fields[rng.integers(len(fields))]
    dy, dx = np.gradient(relief)
    roughness = rough[layout.thing]
    normal = np.stack(
        [
            -(layout.slope[0] + roughness * dy),
            -(layout.slope[1] + roughness * dx),
            np.ones_like(relief),
        ]
    )
    normal /= np.sqrt((normal**2).sum(axis=0))
    return normal
