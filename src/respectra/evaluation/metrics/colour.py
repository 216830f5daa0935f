"""Colour difference: CIEDE2000 between truth and estimate as an observer would see them."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from respectra.colour import illuminant as illuminant_power
from respectra.colour import xyz_weights
from respectra.cubes import check_wavelengths
from respectra.errors import ConfigError, DataError
from respectra.evaluation.metrics.arrays import Array, Pair, Reduction, namespace, root

_SEVENTH = 25.0**7


@dataclass(frozen=True)
class Rendering:
    """How spectra become colours.

    Attributes:
        wavelengths_nm: of the bands, ascending; None takes them from the cube.
        illuminant: light on a reflectance; ``E`` for a radiance, which brings its own. None:
            D65 if the cube says that it holds reflectance, else E.
        observer: ``cie1931`` (2°) or ``cie1964`` (10°).
        white: the value, in every band, of a perfect white.

    Example:
        >>> Rendering(illuminant="D65").observer
        'cie1964'
    """

    wavelengths_nm: npt.ArrayLike | None = None
    illuminant: str | None = None
    observer: str = "cie1964"
    white: float = 1.0


def delta_e_2000(
    truth: Array,
    estimate: Array,
    rendering: Rendering | None = None,
    *,
    band_axis: int = -1,
    reduction: Reduction = "mean",
) -> Array:
    """CIEDE2000 between the colours of truth and estimate, mean over pixels, then over images.

    Args:
        rendering: wavelengths, illuminant, observer and the value of white, 1 unless it says other;
            may be left out for cubes.

    Returns:
        0 is perfect, about 1 is just noticeable.

    Raises:
        DataError: also for unknown wavelengths.
        ConfigError: unknown illuminant or observer, a white that is not positive.

    Source: CIE 142-2001; Sharma, Wu, Dalal 2005, Color Research and Application 30 (1).

    Example:
        >>> import respectra as rs
        >>> truth = rs.make_cube([[[0.2, 0.4, 0.6, 0.5]]], [400, 500, 600, 700])
        >>> float(delta_e_2000(truth, truth))
        0.0
    """
    pair = Pair.of(truth, estimate, band_axis)
    return pair.finish(_differences(pair, rendering).mean(axis=(-2, -1)), reduction)


def delta_e_2000_quantile(
    truth: Array,
    estimate: Array,
    rendering: Rendering | None = None,
    quantile: float = 0.95,
    *,
    band_axis: int = -1,
    reduction: Reduction = "mean",
) -> Array:
    """CIEDE2000 that a share ``quantile`` of an image's pixels stays below; as `delta_e_2000`.

    Example:
        >>> import respectra as rs
        >>> truth = rs.make_cube([[[0.2, 0.4, 0.6, 0.5]]], [400, 500, 600, 700])
        >>> float(delta_e_2000_quantile(truth, truth))
        0.0
    """
    if not 0.0 <= quantile <= 1.0:
        raise ConfigError(f"Expected a quantile in [0, 1], got {quantile!r}")
    pair = Pair.of(truth, estimate, band_axis)
    differences = _differences(pair, rendering)
    pixels = differences.reshape(*pair.lead, pair.pixels)
    return pair.finish(pair.xp.quantile(pixels, quantile, -1), reduction)


def delta_e_2000_map(
    truth: Array, estimate: Array, rendering: Rendering | None = None, *, band_axis: int = -1
) -> Array:
    """CIEDE2000 of each pixel, shape (..., y, x); as `delta_e_2000`.

    Example:
        >>> import numpy as np
        >>> truth = np.full((2, 3, 31), 0.5)
        >>> delta_e_2000_map(truth, 0.9 * truth, Rendering(np.arange(400, 701, 10))).shape
        (2, 3)
    """
    pair = Pair.of(truth, estimate, band_axis)
    return pair.finish(_differences(pair, rendering), "none")


def ciede2000(lab_1: Array, lab_2: Array) -> Array:
    """CIEDE2000 between CIE L*a*b* colours, all three weights 1.

    Args:
        lab_1: shape (..., 3): L* in 0 to 100, a*, b*; floating point.
        lab_2: the same shape and kind; the order of the two does not matter.

    Returns:
        Shape (...).

    Source: Sharma, Wu, Dalal 2005, Color Research and Application 30 (1).

    Example:
        >>> import numpy as np
        >>> blue, other = np.array([50.0, 2.6772, -79.7751]), np.array([50.0, 0.0, -82.7485])
        >>> float(ciede2000(blue, other).round(4))  # of Sharma, Wu and Dalal, table 1
        2.0425
    """
    xp = namespace(lab_1)
    l_1, a_1, b_1 = lab_1[..., 0], lab_1[..., 1], lab_1[..., 2]
    l_2, a_2, b_2 = lab_2[..., 0], lab_2[..., 1], lab_2[..., 2]
    mean_c = (root(a_1**2 + b_1**2) + root(a_2**2 + b_2**2)) / 2
    stretch = 1.5 - 0.5 * _saturation(mean_c)
    a_1, a_2 = a_1 * stretch, a_2 * stretch
    c_1, c_2 = root(a_1**2 + b_1**2), root(a_2**2 + b_2**2)
    turn = 2 * math.pi
    h_1, h_2 = xp.arctan2(b_1, a_1), xp.arctan2(b_2, a_2)
    h_1, h_2 = xp.where(h_1 < 0, h_1 + turn, h_1), xp.where(h_2 < 0, h_2 + turn, h_2)

    grey = c_1 * c_2 == 0
    gap = h_2 - h_1
    far = abs(gap) > math.pi
    gap = xp.where(far, xp.where(gap > 0, gap - turn, gap + turn), gap)
    gap = xp.where(grey, 0.0, gap)
    total = h_1 + h_2
    around = xp.where(far, xp.where(total < turn, total + turn, total - turn), total)
    mean_h = xp.where(grey, total, around / 2)

    delta_l, delta_c = l_2 - l_1, c_2 - c_1
    delta_h = 2 * root(c_1 * c_2) * xp.sin(gap / 2)
    mean_l, mean_c = (l_1 + l_2) / 2, (c_1 + c_2) / 2
    t = _hue_weight(xp.cos(mean_h), xp.sin(mean_h))
    offset = (mean_l - 50) ** 2
    s_l = 1 + 0.015 * offset / (20 + offset) ** 0.5
    s_c = 1 + 0.045 * mean_c
    s_h = 1 + 0.015 * mean_c * t
    bend = math.radians(60) * xp.exp(-(((mean_h - math.radians(275)) / math.radians(25)) ** 2))
    rotation = -2 * _saturation(mean_c) * xp.sin(bend)
    l_term, c_term, h_term = delta_l / s_l, delta_c / s_c, delta_h / s_h
    square = l_term**2 + c_term**2 + h_term**2 + rotation * c_term * h_term
    return root(square.clip(min=0.0))


def _hue_weight(cos: Array, sin: Array) -> Array:
    """The factor T; multiples of the angle by the addition theorems."""
    cos_2, sin_2 = cos * cos - sin * sin, 2 * sin * cos
    cos_3, sin_3 = cos_2 * cos - sin_2 * sin, sin_2 * cos + cos_2 * sin
    cos_4, sin_4 = cos_2 * cos_2 - sin_2 * sin_2, 2 * sin_2 * cos_2

    def shifted(c: Array, s: Array, degrees: float) -> Array:
        """Cosine of an angle plus some degrees."""
        return c * math.cos(math.radians(degrees)) - s * math.sin(math.radians(degrees))

    return (
        1
        - 0.17 * shifted(cos, sin, -30)
        + 0.24 * cos_2
        + 0.32 * shifted(cos_3, sin_3, 6)
        - 0.20 * shifted(cos_4, sin_4, -63)
    )


def _saturation(chroma: Array) -> Array:
    """√(C⁷ / (C⁷ + 25⁷)); the seventh power by products, which is many times as fast."""
    cube = chroma * chroma * chroma
    seventh = cube * cube * chroma
    return root(seventh / (seventh + _SEVENTH))


def _differences(pair: Pair, rendering: Rendering | None) -> Array:
    how = rendering or Rendering()
    wavelengths_nm = how.wavelengths_nm if how.wavelengths_nm is not None else pair.wavelengths_nm
    if wavelengths_nm is None:
        raise DataError(
            "Expected wavelengths to compute colours with, got bare arrays; pass cubes, or "
            "Rendering(wavelengths_nm=...)"
        )
    grid = check_wavelengths(wavelengths_nm)
    if grid.size != pair.bands:
        raise DataError(f"Expected {pair.bands} wavelengths, one a band, got {grid.size}")
    if not how.white > 0:
        raise ConfigError(f"Expected a positive white, got {how.white!r}")
    light = how.illuminant or ("D65" if pair.quantity == "reflectance" else "E")
    weights = pair.constant(_weights(tuple(grid.tolist()), light, how.observer) / how.white)
    return pair.map(
        lambda t, e: ciede2000(relative_xyz_to_lab(t @ weights), relative_xyz_to_lab(e @ weights))
    )


@functools.lru_cache(maxsize=16)
def _weights(
    wavelengths_nm: tuple[float, ...], illuminant: str, observer: str
) -> npt.NDArray[np.float64]:
    """Weights, shape (band, 3), that turn a spectrum into X/Xn, Y/Yn, Z/Zn."""
    grid = np.asarray(wavelengths_nm)
    weights = xyz_weights(illuminant_power(illuminant, grid), grid, observer=observer)
    white = weights.sum(axis=0)
    if not (white > 0).all():
        raise DataError(
            f"Expected bands that span the visible range, got {grid[0]:g} to {grid[-1]:g} nm, "
            "in which a white has no colour"
        )
    return np.asarray(weights / white)


def relative_xyz_to_lab(relative: Array) -> Array:
    """CIE L*a*b* of X/Xn, Y/Yn, Z/Zn; the linear part of the curve reaches below zero.

    Example:
        >>> import numpy as np
        >>> relative_xyz_to_lab(np.array([1.0, 1.0, 1.0])).round(6).tolist()
        [100.0, 0.0, 0.0]
    """
    xp = namespace(relative)
    edge = 6.0 / 29.0
    curved = relative > edge**3
    f = xp.where(
        curved,
        relative.clip(min=edge**3) ** (1.0 / 3.0),
        relative / (3 * edge**2) + 4.0 / 29.0,
    )
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return xp.stack([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], -1)
