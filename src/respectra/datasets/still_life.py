"""A small rendered still life: measured reflectances under two measured lights, truth included.

It is a picture that a newcomer can run everything on, and whose every pixel has a known spectrum:
a colour chart, six fruits and a cloth, lit by daylight from the left and an incandescent lamp from
the right, with shadows, highlights and light that bounces between cloth and fruit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cubes import CHALLENGE_WAVELENGTHS_NM, make_cube
from respectra.datasets.spectra import illuminants, reflectances
from respectra.typing import FloatArray

#: Directions towards the two lights; their disc's radius makes the shadows soft.
_KEY_LIGHT = np.array([-0.55, 0.75, 0.65])
_FILL_LIGHT = np.array([0.85, 0.35, 0.55])
_LIGHT_RADIUS = 0.12
_LIGHT_SAMPLES = 8
#: Largest radiance of the scene: below 1, so that nothing but a highlight comes near clipping.
_PEAK = 0.92


@dataclass(frozen=True)
class _Fruit:
    centre: tuple[float, float, float]
    radius: float
    pigments: tuple[str, str]
    """Two chart patches whose reflectances are mixed over the surface."""
    gloss: float


_FRUITS = (
    _Fruit((-0.62, 0.30, 0.10), 0.30, ("red", "orange"), 0.35),
    _Fruit((-0.08, 0.26, 0.38), 0.26, ("orange yellow", "orange"), 0.12),
    _Fruit((0.45, 0.22, 0.42), 0.22, ("yellow green", "foliage"), 0.30),
    _Fruit((0.98, 0.32, 0.02), 0.32, ("purple", "blue"), 0.20),
    _Fruit((0.20, 0.17, 0.80), 0.17, ("moderate red", "magenta"), 0.40),
    _Fruit((-1.05, 0.18, 0.55), 0.18, ("yellow", "light skin"), 0.10),
)


def still_life(height: int = 240, width: int = 320, *, seed: int = 7) -> xr.DataArray:
    """Render the still life.

    Args:
        height: rows, at least 8.
        width: columns, at least 8.
        seed: seed of the textures and of the soft shadows.

    Returns:
        A cube of radiance on the challenge's grid, values in [0, 1], no zeros.

    Example:
        >>> still_life(12, 16).shape
        (12, 16, 31)
    """
    rng = np.random.default_rng(seed)
    chart = reflectances("colorchecker-babelcolor", CHALLENGE_WAVELENGTHS_NM)
    patches = {
        str(name): np.asarray(row)
        for name, row in zip(chart["sample"].values, chart.values, strict=True)
    }
    origin, rays = _camera(height, width)
    surface = _intersect(origin, rays)
    spectra, gloss = _materials(surface, patches, rng)
    lights = _lights()
    key = _irradiance(surface, _KEY_LIGHT, rng)
    fill = _irradiance(surface, _FILL_LIGHT, rng)
    shine = [_highlight(surface, rays, d) * gloss for d in (_KEY_LIGHT, _FILL_LIGHT)]
    light = (key[:, None] + 0.10) * lights[0] + (0.45 * fill[:, None] + 0.03) * lights[1]
    bounced = _bounce(surface, spectra, light)
    radiance = spectra * (light + bounced)
    radiance += shine[0][:, None] * lights[0] + 0.45 * shine[1][:, None] * lights[1]
    radiance *= _PEAK / np.quantile(radiance.max(axis=1), 0.999)
    cube = np.clip(radiance, 1e-4, 1.0).reshape(height, width, -1)
    return make_cube(
        cube,
        CHALLENGE_WAVELENGTHS_NM,
        quantity="radiance",
        units="relative",
        source=f"respectra still life, seed {seed}",
    )


@dataclass(frozen=True)
class _Surface:
    point: FloatArray
    """(n, 3) where each ray meets the scene."""
    normal: FloatArray
    thing: npt.NDArray[np.int64]
    """(n,) index of a fruit, or one of the constants below."""


_CLOTH, _WALL = -1, -2
_CHART_LEFT, _CHART_BOTTOM, _CHART_CELL = -0.55, 0.62, 0.19
_WALL_Z = -0.9


def _camera(height: int, width: int) -> tuple[FloatArray, FloatArray]:
    """Eye and the direction of every pixel's ray, (n, 3)."""
    eye, target = np.array([0.0, 1.15, 3.4]), np.array([0.0, 0.52, 0.0])
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    up = np.cross(right, forward)
    half = 0.36
    ys = half * (1 - 2 * (np.arange(height) + 0.5) / height)
    xs = half * width / height * (2 * (np.arange(width) + 0.5) / width - 1)
    rays = forward + ys[:, None, None] * up + xs[None, :, None] * right
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    return eye, rays.reshape(-1, 3)


def _hit_sphere(origin: FloatArray, rays: FloatArray, fruit: _Fruit) -> FloatArray:
    """Distance along each ray to a fruit; infinite where it is missed."""
    offset = origin - np.array(fruit.centre)
    b = (offset * rays).sum(axis=-1)
    c = (offset * offset).sum(axis=-1) - fruit.radius**2
    root = b * b - c
    distance = -b - np.sqrt(np.maximum(root, 0.0))
    return np.where((root > 0) & (distance > 1e-6), distance, np.inf)


def _intersect(origin: FloatArray, rays: FloatArray) -> _Surface:
    n = len(rays)
    with np.errstate(divide="ignore"):
        cloth = np.where(rays[:, 1] < 0, -origin[1] / rays[:, 1], np.inf)
        wall = np.where(rays[:, 2] < 0, (_WALL_Z - origin[2]) / rays[:, 2], np.inf)
    distance = np.minimum(cloth, wall)
    thing = np.where(cloth < wall, _CLOTH, _WALL)
    for index, fruit in enumerate(_FRUITS):
        hit = _hit_sphere(origin, rays, fruit)
        nearer = hit < distance
        distance, thing = np.where(nearer, hit, distance), np.where(nearer, index, thing)
    point = origin + distance[:, None] * rays
    normal = np.zeros((n, 3))
    normal[thing == _CLOTH] = (0.0, 1.0, 0.0)
    normal[thing == _WALL] = (0.0, 0.0, 1.0)
    for index, fruit in enumerate(_FRUITS):
        mine = thing == index
        normal[mine] = (point[mine] - np.array(fruit.centre)) / fruit.radius
    return _Surface(point, normal, thing)


def _materials(
    surface: _Surface, patches: dict[str, FloatArray], rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Reflectance (n, band) and gloss (n,) of every pixel."""
    point, thing = surface.point, surface.thing
    spectra = np.empty((len(point), len(CHALLENGE_WAVELENGTHS_NM)))
    gloss = np.zeros(len(point))
    cloth, wall = thing == _CLOTH, thing == _WALL
    stripes = 0.5 + 0.5 * np.sin(24 * point[cloth, 0]) * np.sin(24 * point[cloth, 2])
    weave = np.clip(stripes + 0.08 * rng.standard_normal(stripes.size), 0, 1)[:, None]
    spectra[cloth] = weave * patches["white 9.5 (.05 D)"] + (1 - weave) * patches["blue sky"]
    spectra[wall] = 0.75 * patches["neutral 5 (.70 D)"] + 0.25 * patches["dark skin"]
    column = np.floor((point[:, 0] - _CHART_LEFT) / _CHART_CELL)
    row = np.floor((_CHART_BOTTOM + 4 * _CHART_CELL - point[:, 1]) / _CHART_CELL)
    chart = wall & (column >= 0) & (column < 6) & (row >= 0) & (row < 4)
    names = list(patches)
    corner = np.array([_CHART_LEFT, _CHART_BOTTOM])
    within = (point[:, :2] - corner) / _CHART_CELL % 1
    border = (np.abs(within - 0.5) > 0.40).any(axis=1)
    for index, name in enumerate(names):
        spectra[chart & (row * 6 + column == index)] = patches[name]
    spectra[chart & border] = patches["black 2 (1.5 D)"]
    for index, fruit in enumerate(_FRUITS):
        mine = thing == index
        first, second = (patches[name] for name in fruit.pigments)
        mix = _mottle(surface.normal[mine], rng)[:, None]
        spectra[mine] = mix * first + (1 - mix) * second
        gloss[mine] = fruit.gloss
    return spectra, gloss


def _mottle(normal: FloatArray, rng: np.random.Generator) -> FloatArray:
    """A smooth random pattern in [0, 1] over a sphere: a few waves of falling amplitude."""
    waves = rng.standard_normal((10, 3)) * np.geomspace(1.5, 14, 10)[:, None]
    phases = rng.uniform(0, 2 * np.pi, 10)
    pattern = np.sin(normal @ waves.T + phases) @ np.geomspace(1, 0.25, 10)
    result: FloatArray = 0.5 + 0.5 * np.tanh(0.8 * pattern)
    return result


def _lights() -> FloatArray:
    """Spectra of daylight and lamp, (2, band), each with mean 1."""
    spd = np.asarray(
        illuminants("cie", CHALLENGE_WAVELENGTHS_NM).sel(sample=["D55", "A"]).values,
        dtype=np.float64,
    )
    scaled: FloatArray = spd / spd.mean(axis=1, keepdims=True)
    return scaled


def _irradiance(surface: _Surface, direction: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Light that arrives from a disc around a direction: cosine, and the share not in shadow."""
    total = np.zeros(len(surface.point))
    start = surface.point + 1e-4 * surface.normal
    for _ in range(_LIGHT_SAMPLES):
        towards = direction / np.linalg.norm(direction) + _LIGHT_RADIUS * rng.standard_normal(3)
        towards /= np.linalg.norm(towards)
        lit = np.ones(len(total), dtype=bool)
        for fruit in _FRUITS:
            lit &= np.isinf(_hit_sphere(start, np.broadcast_to(towards, start.shape), fruit))
        total += lit * np.maximum(surface.normal @ towards, 0.0)
    return total / _LIGHT_SAMPLES


def _highlight(surface: _Surface, rays: FloatArray, direction: FloatArray) -> FloatArray:
    """The light's own colour, mirrored: Blinn and Phong's lobe."""
    half = direction / np.linalg.norm(direction) - rays
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    lobe: FloatArray = np.maximum((surface.normal * half).sum(axis=1), 0.0) ** 90
    return lobe


def _bounce(surface: _Surface, spectra: FloatArray, light: FloatArray) -> FloatArray:
    """One bounce between cloth and fruit, coloured by where it comes from."""
    bounced = np.zeros_like(spectra)
    cloth = surface.thing == _CLOTH
    from_cloth = (spectra[cloth] * light[cloth]).mean(axis=0) if cloth.any() else 0.0
    for index, fruit in enumerate(_FRUITS):
        mine = surface.thing == index
        if not mine.any():
            continue
        facing_down = np.clip(0.5 - 0.5 * surface.normal[mine, 1], 0, 1)[:, None]
        bounced[mine] += 0.30 * facing_down * from_cloth
        from_fruit = (spectra[mine] * light[mine]).mean(axis=0)
        gap = surface.point[cloth] - np.array(fruit.centre)
        near = (fruit.radius / np.linalg.norm(gap, axis=1)) ** 3
        bounced[cloth] += 0.35 * near[:, None] * from_fruit
    return bounced
