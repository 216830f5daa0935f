"""The sensor: photons that arrive at random, and noise that is there in the dark.

The noise of an image follows from a seed, a scene's key and the place in the image, and from
nothing else: each block of 64 rows has its own random stream, so that neither the number of
threads nor what was rendered before it changes a byte.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from respectra.cameras.projection import BLOCK_ROWS, for_row_blocks
from respectra.errors import ConfigError, DataError

FloatArray = npt.NDArray[np.float64]

#: Above this many electrons in a pixel a Poisson draw would not fit an integer.
MOST_ELECTRONS = 1e15


def noise_generator(seed: int, key: str, block: int) -> np.random.Generator:
    """The random numbers of one block of rows.

    Args:
        seed: a non-negative integer.
        key: tells scenes apart that share a seed, such as a file's name.
        block: number of the block of 64 rows.

    Raises:
        ConfigError: the seed is negative.
    """
    if seed < 0:
        raise ConfigError(f"a seed is a non-negative integer; got {seed}")
    digest = hashlib.sha256(key.encode()).digest()
    words = np.frombuffer(digest, dtype="<u4").tolist()
    sequence = np.random.SeedSequence([seed, *words], spawn_key=(block,))
    return np.random.Generator(np.random.SFC64(sequence))


def add_noise(
    electrons: FloatArray, *, seed: int, key: str = "", shot: bool = True, dark_sigma_e: float = 0.0
) -> FloatArray:
    """Add shot noise and dark noise to a signal; works in place and returns it.

    Each block of 64 rows takes its Poisson draws first and its normal draws after them.

    Args:
        electrons: expected photo-electrons, shape (y, x) or (y, x, channel), not negative.
        seed: a non-negative integer.
        key: tells scenes apart that share a seed.
        shot: replace each value by a draw from the Poisson distribution of that mean.
        dark_sigma_e: standard deviation of the normal noise added to it, in electrons.

    Raises:
        DataError: a signal is negative, or too large to be counted.
    """
    low, high = float(electrons.min()), float(electrons.max())
    if low < 0 or not high <= MOST_ELECTRONS:
        raise DataError(
            f"a sensor counts between 0 and {MOST_ELECTRONS:g} electrons; got [{low:g}, {high:g}]"
        )

    def work(start: int, stop: int) -> None:
        generator = noise_generator(seed, key, start // BLOCK_ROWS)
        part = electrons[start:stop]
        if shot:
            part[...] = generator.poisson(part)
        if dark_sigma_e > 0:
            part += generator.normal(0.0, dark_sigma_e, part.shape)

    for_row_blocks(len(electrons), work)
    return electrons
