"""The sensor: photons that arrive at random, and noise that is there in the dark.

The noise of an image follows from a seed, a scene's key and the place in the image, and from
nothing else: each block of 64 rows has its own random stream, so that neither the number of
threads nor what was rendered before it changes a byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from respectra.cameras.projection import BLOCK_ROWS, for_row_blocks
from respectra.errors import ConfigError, DataError
from respectra.typing import FloatArray

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
