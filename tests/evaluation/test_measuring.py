"""Time and memory of a reconstruction."""

from __future__ import annotations

import mmap
import time

import numpy as np
import xarray as xr

from respectra.cameras import make_image
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM, make_cube
from respectra.evaluation.measuring import PIXELS_4K, fill_bandwidth, measure_cost, measured


def test_time_and_memory_of_a_call():
    def work() -> int:
        time.sleep(0.05)
        # Not of the allocator, which may have kept as much from before.
        with mmap.mmap(-1, 64_000_000) as held:
            return held.write(bytes(1_000) * 64_000)

    value, cost = measured(work)
    assert value == 64_000_000
    assert cost.seconds >= 0.05
    assert 50 < cost.added_mib < 200
    assert cost.peak_mib > cost.added_mib


def test_cost_is_extrapolated_in_proportion():
    image = make_image(np.full((10, 20, 3), 0.5))

    def recover(picture: xr.DataArray) -> xr.DataArray:
        time.sleep(0.01)
        return make_cube(np.ones((10, 20, 31)), CHALLENGE_WAVELENGTHS_NM)

    cost = measure_cost(
        recover, image, method="m", fingerprint="f", track="clean", device="cpu", threads=1,
        runs=2, fill_rate=fill_bandwidth(),
    )  # fmt: skip
    assert cost.seconds_4k == cost.seconds * PIXELS_4K / 200
    assert cost.fill_seconds_4k > 0
    assert (cost.height, cost.width, cost.runs, cost.engine) == (10, 20, 2, "python")
