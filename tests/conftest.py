"""What the whole suite shares: the optional folder of real data, seeded arrays."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

# The suite runs two processes on two cores: threads within them would fight over the same cores.
# Set before numpy and torch are imported, which is when they read it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Tests that start a process run this checkout, whichever one is installed.
os.environ["PYTHONPATH"] = str(Path(__file__).parents[1] / "src")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of measured data; tests that need it skip without it."""
    folder = os.environ.get("RESPECTRA_DATA")
    if not folder:
        pytest.skip("needs measured data: set RESPECTRA_DATA to its folder")
    path = Path(folder)
    if not path.is_dir():
        pytest.fail(f"RESPECTRA_DATA names no folder: {path}")
    return path


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(2020)
