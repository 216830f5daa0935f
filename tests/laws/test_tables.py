"""Laws of look-up tables."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from respectra.inference.tables import BakingError, Deviation, Table
from respectra.inference.tables.geometry import node_colours, node_positions, row_count
from respectra.inference.tables.table import TableFacts
from respectra.methods import Contract, configure

BANDS = 5
_NONE = BakingError(anywhere=Deviation(probes=0, mean=0, p99=0, maximum=0))
_CONTRACT = Contract(wavelengths_nm=(400.0, 450.0, 500.0, 550.0, 600.0))
colours = st.tuples(*[st.floats(0, 1, width=32) for _ in range(3)])
grids = st.tuples(st.sampled_from(["cube", "rays"]), st.integers(2, 9), st.integers(0, 2))


def table(
    geometry: str, nodes: int, roots: int, spectra: np.ndarray, low: float | None = None
) -> Table:
    facts = TableFacts(geometry=geometry, nodes=nodes, roots=roots, clip_low=low, error=_NONE)
    config = configure("pseudo-inverse")
    return Table("pseudo-inverse", config, _CONTRACT, facts, spectra.astype(np.float32))


@given(grid=grids, colour=colours, seed=st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_linear_functions_are_kept_exactly(
    grid: tuple[str, int, int], colour: tuple[float, float, float], seed: int
) -> None:
    matrix = np.random.default_rng(seed).normal(size=(3, BANDS))
    nodes = node_colours(grid[0], node_positions(grid[1], grid[2]))  # type: ignore[arg-type]
    pixel = np.array([colour], np.float32)
    result = table(*grid, nodes @ matrix).apply(pixel)
    np.testing.assert_allclose(result, pixel @ matrix, atol=5e-6)


@given(grid=grids, colour=colours, seed=st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_nothing_overshoots(
    grid: tuple[str, int, int], colour: tuple[float, float, float], seed: int
) -> None:
    """Interpolation stays between the spectra of its nodes, and the clip holds."""
    noise = np.random.default_rng(seed).normal(size=(row_count(grid[0], grid[1]), BANDS))  # type: ignore[arg-type]
    made = table(*grid, noise)
    low, high = made.bounds
    result = made.apply(np.array([colour], np.float32))
    assert low - 1e-5 <= result.min() <= result.max() <= high + 1e-5
    assert table(*grid, noise, 0.0).apply(np.array([colour], np.float32)).min() >= 0


@given(grid=grids, colour=colours, seed=st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_a_small_step_in_colour_is_a_small_step_in_the_spectrum(
    grid: tuple[str, int, int], colour: tuple[float, float, float], seed: int
) -> None:
    """No seams: not between cells, not between the faces that rays meet."""
    positions = node_positions(grid[1], grid[2])
    nodes = node_colours(grid[0], positions)  # type: ignore[arg-type]
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, 3, BANDS))
    made = table(*grid, np.sin(3 * nodes @ a) * (nodes @ b))
    step = 1e-4
    pixel = np.clip(np.array([colour]), step, 1 - step).astype(np.float32)
    near = (pixel + rng.uniform(-step, step, pixel.shape)).astype(np.float32)
    steepest = np.abs(made.spectra).max() / np.diff(positions).min()
    dark = 1.0 if grid[0] == "cube" else float(pixel.max())
    change = np.abs(made.apply(pixel) - made.apply(near)).max()
    assert change <= 20 * step * steepest / max(dark, step)


@pytest.mark.parametrize("geometry", ["cube", "rays"])
@given(colour=colours, pieces=st.integers(1, 4))
@settings(max_examples=10, deadline=None)
def test_threads_do_not_change_a_bit(
    geometry: str, colour: tuple[float, float, float], pieces: int
) -> None:
    rng = np.random.default_rng(0)
    made = table(geometry, 5, 1, rng.random((row_count(geometry, 5), BANDS)))  # type: ignore[arg-type]
    pixels = np.clip(np.array(colour) * rng.random((70_001, 1)), 0, 1).astype(np.float32)
    np.testing.assert_array_equal(made.apply(pixels, threads=pieces), made.apply(pixels, threads=1))
