"""Scenes and recipes small enough to train in a second."""

from __future__ import annotations

from pathlib import Path

import pytest

import respectra as rs
from respectra.datasets.still_life import still_life


@pytest.fixture(scope="session")
def scene_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five small cubes."""
    folder = tmp_path_factory.mktemp("scenes")
    for k in range(5):
        rs.save_cube(still_life(64, 64 + 4 * k, seed=k), folder / f"scene{k}.npz")
    return folder
