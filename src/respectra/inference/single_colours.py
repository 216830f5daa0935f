"""The reflectance behind single colours: swatches, palettes, materials of a renderer.

A single colour has no surroundings that tell of light and materials. A small network, trained on
measured reflectances to be right in relative error, gives a spectrum; a table of its answers over
the codes of sRGB is made when it is first asked for. What is looked up is then moved until it
renders to the very codes that were given, for the 2° observer under D65, from 0 to 1.

See docs/photographs.md for what it was trained on and how it compares.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any, Literal

import numba
import numpy as np
import numpy.typing as npt
import xarray as xr
from safetensors import SafetensorError
from safetensors.numpy import load_file

from respectra.colour import decode_srgb, encode_srgb, open_light, resample_light, srgb_matrix
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.errors import DataError, FormatError, no_file
from respectra.inference.tables.kernels import LANES, look_up_cube
from respectra.methods.shipped import __file__ as _SHIPPED_ROOM
from respectra.threads import for_blocks
from respectra.typing import Float32Array

SHIPPED = Path(_SHIPPED_ROOM).with_name("single-colours.safetensors")
#: Half the width, in codes, of what is taken to render to a code.
CELL = 0.45
#: Nodes of the table along each axis, evenly spaced in codes.
NODES = 33
_BANDS = CHALLENGE_WAVELENGTHS_NM.size
_PADDED = -(-_BANDS // LANES) * LANES
_REGISTERS = tuple(range(_PADDED // LANES))
#: Reflectances lie between these; steps that are enough for everything that has an answer.
_LOW, _HIGH = np.float32(1e-4), np.float32(1.0)
_STEPS, _NODE_STEPS = 12, 40
_PIECE = 1 << 13


def recover_colours(
    colours: npt.ArrayLike,
    *,
    encoding: Literal["srgb", "linear"] = "srgb",
    weights: str | os.PathLike[str] | None = None,
) -> xr.DataArray:
    """The likely reflectance of each of some colours.

    Args:
        colours: shape (..., 3), R, G, B of sRGB: codes of 8 or 16 bits (``uint8``, ``uint16``), or
            floating point in [0, 1].
        encoding: of floating-point values and codes: ``srgb`` as displays take them, or
            ``linear``.
        weights: another network than the one that ships; for ``scripts/fit_single_colours.py``.

    Returns:
        dims (..., wavelength), the first ones named ``y``, ``x`` for pictures and ``colour`` for
        lists: float32, reflectance from 0 to 1 at 400, 410, ..., 700 nm. Rendered for the 2°
        observer under D65 and encoded, each gives its colour again: the very code of 8 bits, and
        other values to 1e-4 of full scale. A few colours at the edge of sRGB that no reflectance
        has are met as nearly as one can.

    Raises:
        DataError: other shapes, values outside the range, or NaN.
        FormatError: ``weights`` is no such file.

    Example:
        >>> import numpy as np
        >>> spectra = recover_colours(np.array([[200, 80, 30], [128, 128, 128]], np.uint8))
        >>> spectra.sizes["wavelength"]
        31
    """
    values, low, high = _encoded(np.asarray(colours), encoding)
    shape = values.shape
    network = _network(str(weights or SHIPPED))
    flat, low, high = values.reshape(-1, 3), low.reshape(-1, 3), high.reshape(-1, 3)
    found = _look_up(flat, low, high, network)
    names = {2: ("colour",), 3: ("y", "x"), 1: ()}.get(
        len(shape), tuple(f"dim_{n}" for n in range(len(shape) - 1))
    )
    return xr.DataArray(
        found.reshape(*shape[:-1], _BANDS),
        dims=(*names, "wavelength"),
        coords={"wavelength": ("wavelength", CHALLENGE_WAVELENGTHS_NM, {"units": "nm"})},
        attrs={"quantity": "reflectance", "source": "respectra single colours"},
        name="reflectance",
    )


def _encoded(
    given: npt.NDArray[Any], encoding: str
) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Encoded values in [0, 1], and the bounds of the linear light that they stand for."""
    if given.ndim < 1 or given.shape[-1] != 3 or given.size == 0:
        raise DataError(f"colours have shape (..., 3), R, G, B; got {given.shape}")
    if encoding not in ("srgb", "linear"):
        raise DataError(f"the encoding of colours is srgb or linear; got {encoding!r}")
    if given.dtype in (np.uint8, np.uint16):
        tables = _code_tables(int(np.iinfo(given.dtype).max), encoding)
        values, low, high = (np.take(table, given) for table in tables)
        return values, low, high
    if given.dtype.kind != "f":
        raise DataError(
            f"colours are uint8, uint16 or floating point from 0 to 1; got {given.dtype}; say "
            "which codes they are, with np.asarray(colours, np.uint8)"
        )
    values = np.ascontiguousarray(given, np.float32)
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise DataError("colours lie between 0 and 1; some do not, or are not finite")
    if encoding == "linear":
        return encode_srgb(values).astype(np.float32), values, values
    light = decode_srgb(values).astype(np.float32)
    return values, light, light


@functools.lru_cache(maxsize=4)
def _code_tables(top: int, encoding: str) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Of each code: its encoded value, and the bounds of the light that is written as it."""
    values = np.arange(top + 1) / top
    if encoding == "linear":
        light = values.astype(np.float32)
        return encode_srgb(values).astype(np.float32), light, light
    low, high = (decode_srgb(np.maximum(values + side * CELL / top, 0)) for side in (-1, 1))
    return values.astype(np.float32), low.astype(np.float32), high.astype(np.float32)


class _Network:
    """The network's arrays, and the table of its answers."""

    def __init__(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self.layers = [(arrays[f"weight_{n}"], arrays[f"bias_{n}"]) for n in range(3)]
        self.basis = _padded(arrays["basis"].T)
        power = resample_light(open_light("D65"), CHALLENGE_WAVELENGTHS_NM)
        self.camera = _padded(srgb_matrix(power, CHALLENGE_WAVELENGTHS_NM).T)
        self.table = self._fill()

    def _fill(self) -> Float32Array:
        axis = np.linspace(0.0, 1.0, NODES, dtype=np.float32)
        codes = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
        light = decode_srgb(codes).astype(np.float32)
        ratios = light / (light.sum(axis=1, keepdims=True) + np.float32(1e-3))
        values = np.concatenate([codes * 2 - 1, ratios * 3 - 1], axis=1).astype(np.float32)
        for weight, bias in self.layers[:2]:
            values = values @ weight.T + bias
            values = values / (1 + np.exp(-values))
        logits = values @ self.layers[2][0].T + self.layers[2][1]
        table = np.zeros((len(codes), _PADDED), np.float32)
        table[:, :_BANDS] = 1 / (1 + np.exp(-logits))
        flat = table[:, :_BANDS].reshape(-1).copy()
        cell = np.float32(CELL / 255)
        low, high = decode_srgb(np.maximum(codes - cell, 0)), decode_srgb(codes + cell)
        _meet(flat, low.astype("f4"), high.astype("f4"), self.camera, self.basis, _NODE_STEPS)
        table[:, :_BANDS] = flat.reshape(-1, _BANDS)
        return table


@functools.lru_cache(maxsize=2)
def _network(path: str) -> _Network:
    try:
        return _Network(load_file(path))
    except FileNotFoundError:
        raise no_file(path) from None
    except (OSError, SafetensorError) as error:
        raise FormatError(f"{path} cannot be read as weights for single colours: {error}") from None
    except (KeyError, ValueError) as error:
        raise FormatError(f"{path} holds no weights for single colours: {error}") from None


def _padded(rows: npt.NDArray[Any]) -> Float32Array:
    out = np.zeros((3, _PADDED), np.float32)
    out[:, :_BANDS] = rows
    return out


def _look_up(
    codes: Float32Array, low: Float32Array, high: Float32Array, network: _Network
) -> Float32Array:
    out = np.empty(len(codes) * _BANDS, np.float32)

    def run(start: int, stop: int) -> None:
        spectra = out[start * _BANDS : stop * _BANDS]
        look_up_cube(
            codes[start:stop].reshape(-1), np.float32(1), network.table, NODES, 0, _LOW, _HIGH,
            np.float32(1), _BANDS, _REGISTERS, spectra,
        )  # fmt: skip
        _meet(spectra, low[start:stop], high[start:stop], network.camera, network.basis, _STEPS)

    for_blocks(run, len(codes), _PIECE)
    return out.reshape(-1, _BANDS)


_compiled = numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")


@_compiled  # type: ignore[untyped-decorator]
def _meet(out: Any, low: Any, high: Any, camera: Any, basis: Any, steps: int) -> None:
    """Move spectra, in place, until each renders to a place between low and high.

    ``out`` is flat, colours x bands; the bounds are linear light, (colour, 3); ``camera`` goes from
    reflectance to it, (3, padded bands), and ``basis`` holds as many directions of logits.
    """
    bands = len(out) // len(low)
    spectrum = np.zeros(camera.shape[1], np.float32)
    slope = np.zeros(camera.shape[1], np.float32)
    for p in range(len(low)):
        for b in range(bands):
            spectrum[b] = out[p * bands + b]
        moved = False
        for _ in range(steps):
            r, g, k = np.float32(0), np.float32(0), np.float32(0)
            for b in range(camera.shape[1]):
                r += camera[0, b] * spectrum[b]
                g += camera[1, b] * spectrum[b]
                k += camera[2, b] * spectrum[b]
            r = min(max(r, low[p, 0]), high[p, 0]) - r
            g = min(max(g, low[p, 1]), high[p, 1]) - g
            k = min(max(k, low[p, 2]), high[p, 2]) - k
            if max(max(abs(r), abs(g)), abs(k)) < np.float32(2e-6):
                break
            moved = True
            x, y, z = _newton(spectrum, slope, camera, basis, r, g, k)
            _shift(spectrum, slope, basis, x, y, z, bands)
        if moved:
            for b in range(bands):
                out[p * bands + b] = spectrum[b]


@_compiled  # type: ignore[untyped-decorator]
def _newton(spectrum: Any, slope: Any, camera: Any, basis: Any, r: Any, g: Any, k: Any) -> Any:
    """How far along each direction logits have to go for light to change by r, g, k."""
    a00, a01, a02 = np.float32(1e-9), np.float32(0), np.float32(0)
    a10, a11, a12 = np.float32(0), np.float32(1e-9), np.float32(0)
    a20, a21, a22 = np.float32(0), np.float32(0), np.float32(1e-9)
    for b in range(camera.shape[1]):
        w = spectrum[b] * (np.float32(1) - spectrum[b])
        slope[b] = w
        c0, c1, c2 = w * camera[0, b], w * camera[1, b], w * camera[2, b]
        a00 += c0 * basis[0, b]
        a01 += c0 * basis[1, b]
        a02 += c0 * basis[2, b]
        a10 += c1 * basis[0, b]
        a11 += c1 * basis[1, b]
        a12 += c1 * basis[2, b]
        a20 += c2 * basis[0, b]
        a21 += c2 * basis[1, b]
        a22 += c2 * basis[2, b]
    m0, m1, m2 = a11 * a22 - a12 * a21, a12 * a20 - a10 * a22, a10 * a21 - a11 * a20
    whole = a00 * m0 + a01 * m1 + a02 * m2
    if whole == 0:
        return np.float32(0), np.float32(0), np.float32(0)
    x = r * m0 + g * (a02 * a21 - a01 * a22) + k * (a01 * a12 - a02 * a11)
    y = r * m1 + g * (a00 * a22 - a02 * a20) + k * (a02 * a10 - a00 * a12)
    z = r * m2 + g * (a01 * a20 - a00 * a21) + k * (a00 * a11 - a01 * a10)
    return x / whole, y / whole, z / whole


@_compiled  # type: ignore[untyped-decorator]
def _shift(spectrum: Any, slope: Any, basis: Any, x: Any, y: Any, z: Any, bands: int) -> None:
    """A step in logits, shortened to 1; small ones to first order: s += s (1 - s) step."""
    most = np.float32(0)
    for b in range(bands):
        most = max(most, abs(x * basis[0, b] + y * basis[1, b] + z * basis[2, b]))
    share = np.float32(1) / max(most, np.float32(1))
    least = np.float32(1e-4)
    for b in range(bands):
        step = share * (x * basis[0, b] + y * basis[1, b] + z * basis[2, b])
        if most > np.float32(0.3):
            s = min(max(spectrum[b], least), np.float32(1) - least)
            spectrum[b] = s / (s + (np.float32(1) - s) * np.exp(-step))
        else:
            spectrum[b] = min(max(spectrum[b] + slope[b] * step, least), np.float32(1))
