"""The official steps, written out one after the other in plain NumPy and OpenCV.

Independent of the package but for the definition of its random streams: 64 rows a block, each with
an SFC64 generator seeded by (seed, SHA-256 of the key) and the block's number.
"""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

import respectra as rs
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM


def clean_codes(cube, F):
    rgb = np.dot(cube.astype(np.float64), F) / 256
    return (np.clip(rgb, 0, 1) * 255).astype(np.uint8)


def block_noise(electrons, seed, key, sigma):
    noisy = np.empty(electrons.shape)
    words = np.frombuffer(hashlib.sha256(key.encode()).digest(), "<u4").tolist()
    for block, start in enumerate(range(0, len(electrons), 64)):
        sequence = np.random.SeedSequence([seed, *words], spawn_key=(block,))
        draw = np.random.Generator(np.random.SFC64(sequence))
        part = electrons[start : start + 64]
        noisy[start : start + 64] = draw.poisson(part)
        if sigma:
            noisy[start : start + 64] += draw.normal(0, sigma, part.shape)
    return noisy


def real_world_codes(cube, F, seed, key="", target=5000, dark=10):
    rgb = np.dot(cube.astype(np.float64), F)
    mosaic = np.zeros(rgb.shape[:2])
    mosaic[0::2, 0::2] = rgb[0::2, 0::2, 0]
    mosaic[1::2, 0::2] = rgb[1::2, 0::2, 1]
    mosaic[0::2, 1::2] = rgb[0::2, 1::2, 1]
    mosaic[1::2, 1::2] = rgb[1::2, 1::2, 2]
    gain = target / np.mean([mosaic[1::2, 0::2], mosaic[0::2, 1::2]])
    noisy = block_noise(mosaic * gain, seed, key, np.power(dark, 2))
    digital = np.round(noisy * (1 / gain)).clip(0, 65535).astype(np.uint16)
    bgr = cv2.cvtColor(digital, cv2.COLOR_BayerBG2BGR_EA)
    unit = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB) / 65535
    return (np.clip(unit, 0, 1) * 255).astype(np.uint8)


def exposed_codes(cube, F, seed, key="", npe=750):
    rgb = np.matmul(cube.astype(np.float64), F).clip(0, None)
    noisy = block_noise(rgb * npe, seed, key, 0) / npe
    noisy *= (0.18 / noisy.mean()) * 255
    return noisy.clip(0, 255).astype(np.uint8)


def jpeg(codes, quality):
    return cv2.imencode(".jpg", codes[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


@pytest.fixture(scope="session")
def official():
    """The official steps."""
    return SimpleNamespace(
        clean_codes=clean_codes,
        real_world_codes=real_world_codes,
        exposed_codes=exposed_codes,
        jpeg=jpeg,
    )


@pytest.fixture
def cube(rng):
    """Smooth random spectra on the challenge's grid, 130 × 70 pixels, values up to 1."""
    values = rng.random((130, 70, 31), dtype=np.float32)
    values = (values + np.roll(values, 1, 2) + np.roll(values, 2, 2)) / 3
    return rs.make_cube(values, CHALLENGE_WAVELENGTHS_NM)
