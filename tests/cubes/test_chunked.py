"""What is done to cubes in memory is done to cubes on dask's chunks, when it is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from respectra.cameras import get_track
from respectra.cubes import check, check_lazily, relight, resample, to_reflectance
from respectra.datasets.still_life import still_life
from respectra.errors import ConfigError, DataError
from respectra.evaluation.metrics import MetricSettings, Rendering, score, score_lazily

pytest.importorskip("dask.array")


class Watched:
    """A cube on chunks that counts how many of them are computed."""

    def __init__(self, cube: xr.DataArray) -> None:
        self._seen: list[int] = []  # which threads may append to
        lazy = cube.chunk(y=16, x=24, wavelength=10)

        def block(values: np.ndarray) -> np.ndarray:
            self._seen.append(1)
            return values

        data = lazy.data.map_blocks(block, dtype=np.float32, meta=np.empty((0, 0, 0), "f4"))
        self.cube = lazy.copy(data=data)

    @property
    def computed(self) -> int:
        return len(self._seen)


@pytest.fixture
def cube() -> xr.DataArray:
    return still_life(48, 56, seed=1)


def render(cube: xr.DataArray, name: str) -> xr.DataArray:
    return get_track(name, seed=3).render(cube, key="scene")


@pytest.mark.parametrize(
    "change",
    [
        lambda cube: resample(cube, [450.0, 500.5, 640.0]),
        lambda cube: resample(cube, np.arange(420, 690, 20), "band-average"),
        lambda cube: relight(cube, "A", present="D65"),
        lambda cube: to_reflectance(cube, "D65"),
        lambda cube: render(cube, "clean"),
        lambda cube: render(cube, "real-world"),
    ],
    ids=["resample", "average", "relight", "reflectance", "clean", "real-world"],
)
def test_as_in_memory_and_not_before_it_is_asked_for(cube: xr.DataArray, change: Any):
    watched = Watched(cube)
    lazy = change(watched.cube)
    assert watched.computed == 0
    whole = change(cube)
    assert lazy.dims == whole.dims
    assert lazy.attrs == whole.attrs
    np.testing.assert_allclose(lazy, whole, rtol=1e-5, atol=1e-7)
    assert watched.computed == 36  # 3 x 3 x 4 chunks, each once
    xr.testing.assert_allclose(lazy.coords.to_dataset(), whole.coords.to_dataset())


def test_a_part_computes_its_own_chunks(cube: xr.DataArray):
    watched = Watched(cube)
    resample(watched.cube, [500.0, 600.0])[:4, :4].compute()
    assert watched.computed == 4


@pytest.mark.parametrize("damage", [None, np.nan, -1.0, 0.0, 1.5])
def test_a_check_finds_the_same(cube: xr.DataArray, damage: float | None):
    cube = cube.copy()
    if damage is not None:
        cube[3:9, 20:30] = damage
    watched = Watched(cube)
    found = check_lazily(watched.cube)
    assert watched.computed == 0
    report, whole = found.compute(), check(cube)
    assert report.findings == whole.findings
    assert (report.shape, report.minimum, report.maximum) == (
        whole.shape,
        whole.minimum,
        whole.maximum,
    )
    assert report.mean == pytest.approx(whole.mean, rel=1e-12)
    assert check(cube.chunk(y=11)).findings == whole.findings
    with pytest.raises(DataError, match="not on chunks"):
        check_lazily(cube)


def test_scores_of_a_pair(cube: xr.DataArray):
    rng = np.random.default_rng(0)
    estimate = cube * (1 + 0.1 * rng.random(cube.shape)).astype(np.float32)
    grid = cube["wavelength"].values
    response = get_track("clean").response_matrix(grid)
    settings = MetricSettings(
        floor=0.01, response=response, rendering=Rendering(wavelengths_nm=grid)
    )
    names = ["mrae", "rmse", "psnr", "sam", "back_projection_mrae", "delta_e_2000"]
    watched = Watched(cube)
    scores = score_lazily(watched.cube, estimate.chunk(y=10), settings, names)
    assert watched.computed == 0
    whole = score(cube.values, estimate.values, settings, names)
    for name, value in whole.items():
        assert float(scores.sel(metric=name)) == pytest.approx(value, rel=1e-6)
    assert np.isinf(score_lazily(watched.cube, watched.cube, settings, ["psnr"])).all()


def test_what_is_no_sum_over_pixels_is_refused(cube: xr.DataArray):
    lazy = cube.chunk(y=16)
    with pytest.raises(ConfigError, match="'ssim' is not computed by chunks"):
        score_lazily(lazy, lazy, names=["ssim"])
    with pytest.raises(ConfigError, match="needs"):
        score_lazily(lazy, lazy, names=["back_projection_mrae"])
    with pytest.raises(DataError, match="not on chunks"):
        score_lazily(cube, lazy)
    with pytest.raises(DataError, match="differ"):
        score_lazily(lazy, lazy[:4])
    damaged = cube.copy()
    damaged[0, 0, 0] = np.inf
    with pytest.raises(DataError, match="infinite"):
        resample(damaged.chunk(y=16), [500.0]).compute()
    damaged[0, 0] = np.nan
    found = resample(damaged.chunk(y=16), [500.0])
    np.testing.assert_allclose(found, resample(damaged, [500.0]), rtol=1e-6)
