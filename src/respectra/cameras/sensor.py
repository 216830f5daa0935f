"""The sensor: a cube seen through a response, by every pixel or by an RGGB mosaic, and its noise.

The sums of a projection are taken in float64, a piece at a time that the processor's cache holds
and that BLAS keeps on one thread; so they are the same whatever the number of threads.

The noise of an image follows from a seed, a scene's key and the place in the image, and from
nothing else: each block of 64 rows has its own random stream, so that neither the number of
threads nor what was rendered before it changes a byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.errors import ConfigError, DataError
from respectra.threads import for_blocks
from respectra.typing import Float32Array, FloatArray

AnyFloats = TypeVar("AnyFloats", bound=npt.NDArray[np.floating])

#: Products that OpenBLAS sums on one thread: of two matrices, and of a matrix and a vector.
_MATRIX_PRODUCTS = 190_000
_VECTOR_PRODUCTS = 8_200
#: Rows that one thread takes at a time. Part of what a seed means.
BLOCK_ROWS = 64


def cube_values(cube: xr.DataArray) -> Float32Array:
    """The values of a cube as a contiguous array, shape (y, x, band), float32."""
    return np.ascontiguousarray(cube.values, dtype=np.float32)


def piece_pixels(bands: int) -> int:
    """Pixels to project at a time."""
    return max(16, _MATRIX_PRODUCTS // (3 * bands))


def project(values: Float32Array, matrix: FloatArray) -> FloatArray:
    """Sum over the bands, (y, x, band) to (y, x, channel), float64; see :func:`check_finite`."""
    rows, columns, bands = values.shape
    result = np.empty((rows, columns, matrix.shape[1]))

    def work(start: int, stop: int) -> None:
        pixels = values[start:stop].reshape(-1, bands)
        target = result[start:stop].reshape(-1, matrix.shape[1])
        step = piece_pixels(bands)
        buffer = np.empty((step, bands))
        for first in range(0, len(pixels), step):
            part = pixels[first : first + step]
            np.copyto(buffer[: len(part)], part)
            np.matmul(buffer[: len(part)], matrix, out=target[first : first + len(part)])

    for_row_blocks(rows, work)
    return check_finite(result, axis=2)


def project_mosaic(values: Float32Array, matrix: FloatArray) -> FloatArray:
    """What an RGGB sensor sees: ``mosaic(project(values, matrix))``, without the rest.

    Shape (y, x, band) to (y, x), float64; see :func:`check_finite`.
    """
    rows, columns, bands = values.shape
    result = np.empty((rows, columns))
    responses = np.ascontiguousarray(matrix.T)

    def work(start: int, stop: int) -> None:
        step = 2 * max(8, _VECTOR_PRODUCTS // bands)
        buffer = np.empty((step, bands))
        for row in range(start, stop):
            for first in range(0, columns, step):
                part = values[row, first : first + step]
                target = result[row, first : first + step]
                np.copyto(buffer[: len(part)], part)
                for parity in (0, 1):
                    response = responses[RGGB[row % 2][parity]]
                    seen = buffer[parity : len(part) : 2]
                    np.matmul(seen, response, out=target[parity::2])

    for_row_blocks(rows, work)
    return check_finite(result, axis=None)


def check_finite(projected: AnyFloats, *, axis: int | None) -> AnyFloats:
    """Refuse a projection of NaN or infinite values; ``axis`` is that of the channels.

    Raises:
        DataError: a value is not a finite number.
    """
    if not (np.isfinite(projected.min()) and np.isfinite(projected.max())):
        finite = np.isfinite(projected)
        bad = int((~(finite if axis is None else finite.all(axis=axis))).sum())
        raise DataError(
            f"{bad} pixels of the cube hold NaN or infinite values and cannot be rendered; "
            "mask or fill them first (respectra check names the bands)"
        )
    return projected


def for_row_blocks(rows: int, work: Callable[[int, int], None]) -> None:
    """Call ``work(start, stop)`` for each block of rows, on as many threads as there are cores.

    The blocks are the same however many threads there are. NumPy is silent in them about values
    that are not finite, which the callers check.
    """

    def quietly(start: int, stop: int) -> None:
        with np.errstate(invalid="ignore", over="ignore"):
            work(start, stop)

    for_blocks(quietly, rows, BLOCK_ROWS)


#: How the missing channels are filled in; OpenCV's algorithms. ``edge-aware`` is the challenge's.
Demosaic = Literal["edge-aware", "bilinear"]

#: Channel at [row parity, column parity]: the RGGB pattern.
RGGB = ((0, 1), (1, 2))


def mosaic(rgb: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What an RGGB sensor keeps of an image: shape (y, x, 3) to (y, x).

    [even row, even column] = R, [even, odd] and [odd, even] = G, [odd, odd] = B.
    """
    raw = np.empty(rgb.shape[:2], rgb.dtype)
    for row in (0, 1):
        for column in (0, 1):
            raw[row::2, column::2] = rgb[row::2, column::2, RGGB[row][column]]
    return raw


def demosaic(
    raw: npt.NDArray[np.uint16], algorithm: Demosaic = "edge-aware"
) -> npt.NDArray[np.uint16]:
    """Fill in the channels that an RGGB mosaic lacks: shape (y, x) to (y, x, 3).

    OpenCV names the pattern by its second row and columns, so that RGGB is its ``BayerBG``. The
    outermost pixels repeat their neighbours.

    Raises:
        DataError: the mosaic is too small to have neighbours.
    """
    import cv2

    if min(raw.shape) < 4:
        raise DataError(f"a mosaic needs at least 4 × 4 pixels to be filled in; got {raw.shape}")
    codes = {"edge-aware": cv2.COLOR_BayerBG2BGR_EA, "bilinear": cv2.COLOR_BayerBG2BGR}
    bgr = cv2.cvtColor(raw, codes[algorithm])
    return np.asarray(bgr[..., ::-1], dtype=np.uint16)


#: Above this many electrons in a pixel a Poisson draw would not fit an integer.
MOST_ELECTRONS = 1e15


def noise_generator(seed: int, key: str, block: int) -> np.random.Generator:
    """The random numbers of one block of rows; the key tells scenes apart that share a seed."""
    if seed < 0:
        raise ConfigError(f"a seed is a non-negative integer; got {seed}")
    digest = hashlib.sha256(key.encode()).digest()
    words = np.frombuffer(digest, dtype="<u4").tolist()
    sequence = np.random.SeedSequence([seed, *words], spawn_key=(block,))
    return np.random.Generator(np.random.SFC64(sequence))


def expose(
    signal: FloatArray,
    electrons_per_unit: float,
    finish: Callable[[FloatArray], npt.NDArray[Any]],
    *,
    out: npt.NDArray[Any],
    seed: int,
    key: str = "",
    shot: bool = True,
    dark_sigma_e: float = 0.0,
) -> None:
    """Count a signal's photo-electrons, with noise, and write it back in the signal's units.

    Each block of 64 rows takes its Poisson draws first and its normal draws after them.

    Args:
        signal: expected signal, shape (y, x) or (y, x, channel), not negative.
        electrons_per_unit: photo-electrons of a signal of 1.
        finish: from a block's noisy electrons (which it may overwrite) to what goes to ``out``.
        out: where to, of the signal's shape; may be ``signal`` itself.
        seed, key: of the noise; see :func:`noise_generator`.
        shot: replace each mean by a draw from the Poisson distribution of that mean.
        dark_sigma_e: standard deviation of the normal noise added to it, in electrons.

    Raises:
        DataError: a signal is negative, or too large to be counted.
    """
    low, high = float(signal.min()), float(signal.max()) * electrons_per_unit
    if low < 0 or not high <= MOST_ELECTRONS:
        raise DataError(
            f"a sensor counts between 0 and {MOST_ELECTRONS:g} electrons in a pixel; "
            f"got a signal from {low:g}, up to {high:g} electrons"
        )

    def work(start: int, stop: int) -> None:
        generator = noise_generator(seed, key, start // BLOCK_ROWS)
        electrons = signal[start:stop] * electrons_per_unit
        if shot:
            electrons[...] = generator.poisson(electrons)
        if dark_sigma_e > 0:
            electrons += generator.normal(0.0, dark_sigma_e, electrons.shape)
        out[start:stop] = finish(electrons)

    for_row_blocks(len(signal), work)
