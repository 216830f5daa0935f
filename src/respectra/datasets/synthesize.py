"""Synthetic scenes: endless, seeded, and made the way light makes pictures.

Measured reflectances are mixed within textures on things that hide one another; measured lights
fall on them with shading and shadows, mirror in their gloss and bounce between them; a lens blurs
the result and a sensor's range ends it. Every pixel's spectrum, reflectance and light are known.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field, field_validator

from respectra.cameras import CLEAN_RESPONSE, band_weights, get_response, open_image
from respectra.colour import decode_srgb
from respectra.config import Config
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM, check_wavelengths, make_cube
from respectra.datasets.lighting import light_maps
from respectra.datasets.palette import DEFAULT_MATERIALS, Lights, lights, materials, metamers
from respectra.datasets.textures import Arrangement, dead_leaves, photo_layout, power_law_fields
from respectra.errors import ConfigError, DataError, RespectraError
from respectra.storage import local_folder
from respectra.typing import Float32Array, FloatArray

_FIELDS = 6
_PALETTE = 36
_GROUNDS = 4
_ROWS_A_BLOCK = 32
_BLOCK_PX = 8
_PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp")


class SynthesisOptions(Config):
    """What synthetic scenes are like; each range is one that a scene draws from.

    Example:
        >>> SynthesisOptions(height=64, width=96).width
        96
    """

    height: int = Field(default=256, ge=16, le=8192)
    width: int = Field(default=256, ge=16, le=8192)
    wavelengths_nm: tuple[float, ...] = tuple(CHALLENGE_WAVELENGTHS_NM.tolist())
    materials: tuple[str, ...] = DEFAULT_MATERIALS
    """Collections of measured reflectances; see ``list_reflectances()``."""
    illuminants: tuple[str, ...] = ()
    """Names of the lights to draw from; all known ones without it."""
    things: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1, le=20000)]] = (30, 600)
    """How many things lie in a scene of 256 × 256 pixels, drawn log-uniformly."""
    metamers: float = Field(default=0.12, ge=0, le=1)
    """Variation that the camera cannot see, as a share of each reflectance's mean."""
    response: str = CLEAN_RESPONSE
    """The camera that the metamers are made for."""
    shadows: bool = True
    highlights: bool = True
    interreflections: bool = True
    exposure: tuple[float, float] = (0.35, 1.0)
    """Where the 99.5th percentile of a scene's values lies; what exceeds 1 saturates."""
    lens_blur_px: tuple[float, float] = (0.5, 1.0)
    """Standard deviation of the lens's point spread, in pixels."""
    photos: Path | str | None = None
    """A folder of ordinary photographs that lend their spatial structure, or its URL."""

    @field_validator("wavelengths_nm")
    @classmethod
    def _ascending(cls, grid: tuple[float, ...]) -> tuple[float, ...]:
        check_wavelengths(grid)
        return grid

    @field_validator("exposure", "lens_blur_px", "things")
    @classmethod
    def _range(cls, limits: tuple[float, float]) -> tuple[float, float]:
        if not 0 < limits[0] <= limits[1]:
            raise ValueError("a range is two positive numbers, the lower one first")
        return limits


@dataclass(frozen=True)
class SceneLayers:
    """A synthetic scene and what it was made of.

    Before the lens's blur and the end of the sensor's range,
    radiance = reflectance × illumination + highlights + veiling glare.

    Example:
        >>> import respectra as rs
        >>> small = rs.datasets.SynthesisOptions(height=16, width=16)
        >>> layers = rs.datasets.synthesize_layers(0, 0, small)
        >>> layers.reflectance.shape
        (16, 16, 31)
    """

    radiance: xr.DataArray
    """The cube a spectral camera sees."""
    reflectance: xr.DataArray
    """A cube of quantity ``reflectance``."""
    illumination: xr.DataArray
    """The light that arrives at each pixel, dims (y, x, wavelength), in the radiance's scale."""
    highlights: xr.DataArray
    """The light that is mirrored, dims (y, x, wavelength)."""
    illuminants: xr.DataArray
    """Dims (illuminant, wavelength), each with mean 1: the ambient light first."""


def synthesize_scene(
    seed: int, index: int, options: SynthesisOptions | None = None
) -> xr.DataArray:
    """Make one synthetic scene.

    Args:
        seed: which endless series of scenes.
        index: which scene of the series; scenes can be made in any order.
        options: what the scenes are like.

    Returns:
        A cube of radiance, float32, values in (0, 1].

    Raises:
        ConfigError: a negative seed or index, or an unknown light, material or response.
        DataError: what was measured does not cover the wavelengths, or no photo can be read.

    Example:
        >>> synthesize_scene(1, 0, SynthesisOptions(height=64, width=96)).shape
        (64, 96, 31)
    """
    return synthesize_layers(seed, index, options).radiance


def synthesize_layers(
    seed: int, index: int, options: SynthesisOptions | None = None
) -> SceneLayers:
    """Make one synthetic scene with its truth: reflectance, light and highlights.

    The radiance equals that of :func:`synthesize_scene`. See there for arguments and errors.

    Example:
        >>> synthesize_layers(0, 0, SynthesisOptions(height=16, width=16)).radiance.shape
        (16, 16, 31)
    """
    o = SynthesisOptions() if options is None else options
    if seed < 0 or index < 0:
        raise ConfigError(f"seed and index are not negative; got {seed} and {index}")
    rng = np.random.default_rng((seed, index))
    grid = np.asarray(o.wavelengths_nm)
    available = lights(o.illuminants, o.wavelengths_nm)
    chosen = available.draw(rng)
    spectra = available.spectra[chosen]
    layout = _layout(o, rng)
    camera = get_response(o.response, grid).values * band_weights(grid)[:, None]
    seen = camera * spectra.mean(axis=0)[:, None]
    endmembers = _endmembers(o, layout, seen, rng)
    if layout.colours is not None:
        layout = _relit(layout, endmembers[:, 0] @ seen)
    fields = power_law_fields(_FIELDS, o.height, o.width, rng, (0.9, 1.5))
    shares = _shares(layout, fields, rng)
    diffuse, mirrored = light_maps(
        layout, fields, len(chosen), rng, shadows=o.shadows, highlights=o.highlights
    )
    reflectance = _mix(endmembers, layout.thing, shares)
    illumination = diffuse @ spectra.astype(np.float32)
    if o.interreflections:
        illumination += _bounced(reflectance * illumination, float(rng.uniform(0.05, 0.3)))
    highlights = mirrored @ spectra.astype(np.float32)
    radiance = reflectance * illumination
    radiance += highlights
    radiance += np.float32(rng.uniform(0.001, 0.008)) * radiance.mean(axis=(0, 1))
    radiance = _through_lens(radiance, float(rng.uniform(*o.lens_blur_px)))
    level = max(float(np.quantile(radiance[::2, ::2], 0.995)), 1e-6)
    exposure = np.float32(rng.uniform(*o.exposure) / level)
    radiance *= exposure
    np.minimum(radiance, 1.0, out=radiance)
    facts: dict[str, Any] = {
        "source": f"respectra synthetic scene, seed {seed}, index {index}",
        "illuminants": ", ".join(available.names[k] for k in chosen),
    }
    return SceneLayers(
        radiance=make_cube(radiance, grid, **facts),
        reflectance=make_cube(reflectance, grid, quantity="reflectance", units="1", **facts),
        illumination=make_cube(illumination * exposure, grid, **facts),
        highlights=make_cube(highlights * exposure, grid, **facts),
        illuminants=_labelled(available, chosen, grid),
    )


def _labelled(available: Lights, chosen: npt.NDArray[np.int64], grid: FloatArray) -> xr.DataArray:
    return xr.DataArray(
        available.spectra[chosen],
        dims=("illuminant", "wavelength"),
        coords={
            "illuminant": [available.names[k] for k in chosen],
            "wavelength": ("wavelength", grid, {"units": "nm"}),
        },
        name="illuminant",
    )


def _layout(o: SynthesisOptions, rng: np.random.Generator) -> Arrangement:
    if o.photos is not None:
        files = _photo_files(o.photos)
        return photo_layout(_photo(files[rng.integers(len(files))]), o.height, o.width, rng)
    low, high = np.log(o.things)
    area = o.height * o.width / 256**2
    count = max(2, round(float(np.exp(rng.uniform(low, high))) * area))
    return dead_leaves(o.height, o.width, count, rng)


def _endmembers(
    o: SynthesisOptions,
    layout: Arrangement,
    seen: FloatArray,
    rng: np.random.Generator,
) -> Float32Array:
    """Three reflectances for each thing, shape (count, 3, band).

    ``seen``, shape (band, 3), is the camera's response times the scene's light.
    """
    source = materials(o.materials, o.wavelengths_nm)
    palette = source.draw(_PALETTE if layout.colours is None else 6 * _PALETTE, rng)
    if layout.colours is None:
        first = rng.integers(len(palette), size=layout.count)
        # Wide surfaces are seldom vivid: the ground is the greyest of a few.
        few = palette[:_GROUNDS]
        first[0] = (few.std(axis=1) / few.mean(axis=1)).argmin()
    else:
        first = _nearest(palette @ seen, layout.colours)
    other = rng.integers(len(palette), size=(2, layout.count))
    base = palette[first] ** np.exp(rng.normal(0, 0.12, (layout.count, 1)))
    # Most surfaces vary in the concentration of one dye, the others in what they are made of.
    varied = base ** np.exp(rng.normal(0, 0.5, (layout.count, 1)))
    second = np.where(rng.random((layout.count, 1)) < 0.6, varied, palette[other[0]])
    table = np.stack([base, second, palette[other[1]]], axis=1)
    changed = metamers(
        np.clip(table, 1e-4, 0.999).reshape(-1, table.shape[2]),
        seen,
        o.wavelengths_nm,
        rng,
        strength=o.metamers,
    )
    return changed.reshape(table.shape).astype(np.float32)


def _relit(layout: Arrangement, colours: npt.NDArray[np.floating]) -> Arrangement:
    """Light on each thing that makes it as light, beside the others, as in the photograph."""
    assert layout.colours is not None
    wanted, have = (c.mean(axis=1) / c.mean() for c in (layout.colours, colours))
    gain = np.clip((wanted + 0.02) / (have + 0.02), 0.2, 4.0).astype(np.float32)
    return dataclasses.replace(layout, detail=layout.detail * gain[layout.thing])


def _nearest(colours: FloatArray, wanted: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """The colour nearest to each wanted one, by chromaticity first, then by lightness."""

    def describe(rgb: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        total = rgb.sum(axis=1, keepdims=True) + 1e-6
        # Both sets relative to their own mean colour: the photograph's light is unknown.
        chroma = np.log(rgb / total + 1e-3)
        light = 0.3 * np.log(total / total.mean() + 1e-2)
        return np.hstack([chroma - chroma.mean(axis=0), light])

    a, b = describe(wanted), describe(colours)
    nearest: npt.NDArray[np.int64] = ((a[:, None] - b) ** 2).sum(axis=2).argmin(axis=1)
    return nearest


def _shares(layout: Arrangement, fields: Float32Array, rng: np.random.Generator) -> Float32Array:
    """How much of each of its thing's three reflectances a pixel has, shape (3, y, x)."""
    count, (height, width) = layout.count, layout.thing.shape
    thing = layout.thing
    first, second = _pick(fields, rng.integers(len(fields), size=(2, count)), thing)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    wave = rng.uniform(0.15, 0.9, count) * (rng.random(count) < 0.2)
    angle = rng.uniform(0, np.pi, count)
    stripes = (wave * np.cos(angle)).astype(np.float32)[thing] * x
    stripes += (wave * np.sin(angle)).astype(np.float32)[thing] * y
    first = first + 1.5 * np.sin(stripes + first) * (wave > 0)[thing]
    contrast = np.exp(rng.uniform(np.log(0.15), np.log(4.0), count)).astype(np.float32)
    bias = rng.normal(0.5, 1.0, (2, count)).astype(np.float32)
    a = _sigmoid(contrast[thing] * (first - bias[0][thing]))
    b = _sigmoid(2 * (second - 1.0 - np.abs(bias[1])[thing]))
    return np.stack([1 - a, a * (1 - b), a * b])


def _pick(
    fields: Float32Array, which: npt.NDArray[np.int64], thing: npt.NDArray[np.int32]
) -> list[Float32Array]:
    """For each row of ``which`` (field of each thing), that field at each pixel."""
    height, width = thing.shape
    rows, columns = np.arange(height)[:, None], np.arange(width)
    return [fields[of[thing], rows, columns] for of in which]


def _sigmoid(values: Float32Array) -> Float32Array:
    # Far from 0 it is 0 or 1 anyway, and the exponential would overflow.
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -30, 30))), np.float32)


def _mix(
    endmembers: Float32Array, thing: npt.NDArray[np.int32], shares: Float32Array
) -> Float32Array:
    """Reflectance of each pixel, shape (y, x, band); a few rows at a time stay in the cache."""
    height, width = thing.shape
    mixed = np.empty((height, width, endmembers.shape[2]), np.float32)
    for y in range(0, height, _ROWS_A_BLOCK):
        rows = slice(y, y + _ROWS_A_BLOCK)
        weights = np.moveaxis(shares[:, rows], 0, -1)[..., None, :]
        mixed[rows] = (weights @ endmembers[thing[rows]])[..., 0, :]
    return mixed


def _bounced(reflected: Float32Array, strength: float) -> Float32Array:
    """Light that arrives from the surroundings: what they reflect, averaged over a wide area."""
    import cv2

    height, width = reflected.shape[:2]
    down = [_block_means(length) for length in (height, width)]
    coarse = _along_both(reflected, *down)
    coarse = cv2.GaussianBlur(coarse, (0, 0), 2.5)
    return _along_both(coarse, *(_between_blocks(length) for length in (height, width))) * (
        np.float32(strength)
    )


def _along_both(values: Float32Array, rows: Float32Array, columns: Float32Array) -> Float32Array:
    """Apply a matrix along y and one along x; OpenCV resizes no more than 4 channels."""
    height, width, bands = values.shape
    turned = (rows @ values.reshape(height, width * bands)).reshape(-1, width, bands)
    result: Float32Array = columns @ turned
    return result


def _block_means(length: int) -> Float32Array:
    """The matrix that averages blocks of ``_BLOCK_PX``, the last of them perhaps shorter."""
    block = np.arange(length) // _BLOCK_PX
    member = (block == np.arange(block[-1] + 1)[:, None]).astype(np.float32)
    means: Float32Array = member / member.sum(axis=1, keepdims=True)
    return means


def _between_blocks(length: int) -> Float32Array:
    """The matrix that interpolates linearly between the centres of blocks."""
    means = _block_means(length)
    centres = means @ np.arange(length, dtype=np.float32)
    weights = [np.interp(np.arange(length), centres, unit) for unit in np.eye(len(centres))]
    return np.stack(weights, axis=1).astype(np.float32)


def _through_lens(radiance: Float32Array, sigma_px: float) -> Float32Array:
    """Blur by the lens's point spread: at edges spectra mix as light does."""
    import cv2

    return np.asarray(
        cv2.GaussianBlur(radiance, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT_101)
    )


@functools.lru_cache(maxsize=4)
def _photo_files(where: Path | str) -> tuple[Path, ...]:
    folder = local_folder(where)
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; give the folder that holds the photographs")
    files = sorted(
        p
        for p in folder.rglob("*")
        if p.suffix.lower() in _PHOTO_SUFFIXES and not p.name.startswith(".") and p.is_file()
    )
    if not files:
        raise DataError(f"{folder} holds no photographs ({', '.join(_PHOTO_SUFFIXES)})")
    return tuple(files)


@functools.lru_cache(maxsize=8)
def _photo(path: Path) -> Float32Array:
    """A photograph as linear RGB, reduced to at most 2048 pixels a side."""
    import cv2

    try:
        image = open_image(
            path, encoding="srgb", grey="repeat", alpha="drop", profile="ignore", tone="none"
        )
    except RespectraError as error:
        raise DataError(
            f"{path} is not a photograph that can be read ({error}); take it out of the folder"
        ) from None
    codes = np.rint(image.values * 255).astype(np.uint8)
    rows, columns = codes.shape[0], codes.shape[1]
    scale = 2048 / max(rows, columns)
    if scale < 1:
        size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
        codes = cv2.resize(codes, size, interpolation=cv2.INTER_AREA)
    return decode_srgb(codes.astype(np.float32) / 255)
