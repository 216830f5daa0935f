"""Blocks cover what is divided once; on any number of threads the same comes out."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import threadpoolctl

from respectra.threads import available_cores, for_blocks, one_blas_thread


@pytest.mark.parametrize("threads", [1, 3, None])
@pytest.mark.parametrize(("length", "block"), [(0, 4), (3, 4), (4, 4), (10, 4)])
def test_blocks_are_the_same_for_any_number_of_threads(length, block, threads):
    seen = []
    for_blocks(lambda start, stop: seen.append((start, stop)), length, block, threads=threads)
    expected = [(i, min(i + block, length)) for i in range(0, length, block)]
    assert sorted(seen) == expected


@pytest.mark.parametrize("threads", [1, 2])
def test_errors_are_raised_where_it_was_called(threads):
    def work(start, stop):
        if start == 4:
            raise ValueError("five")

    with pytest.raises(ValueError, match="five"):
        for_blocks(work, 10, 2, threads=threads)


def test_there_is_at_least_one_core():
    assert available_cores() >= 1


@pytest.mark.parametrize(
    ("asked", "threads"), [("1", 1), ("1,2", 1), ("", 3), ("none", 3), ("0", 3), ("9", 3)]
)
def test_what_other_libraries_are_told_holds_here_too(monkeypatch, asked, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    monkeypatch.setattr("respectra.threads.available_cores", lambda: 3)
    together = threading.Barrier(threads)  # breaks unless so many wait at the same time
    who = set()

    def work(start, stop):
        together.wait(timeout=60)
        who.add(threading.get_ident())

    for_blocks(work, 3, 1)
    assert len(who) == threads


def test_matrix_products_have_their_threads_again():
    def blas():
        return [
            pool["num_threads"]
            for pool in threadpoolctl.threadpool_info()
            if pool["user_api"] == "blas"
        ]

    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        before = blas()
        with one_blas_thread():
            with one_blas_thread():
                assert set(blas()) == {1}
            assert set(blas()) == {1}
        assert blas() == before


_WORK = """
import sys
import numpy as np
import torch
import respectra as rs
from respectra.datasets.still_life import still_life
from respectra.evaluation import metrics
from respectra.methods import fresh_weights, save_weights

folder, threads = sys.argv[1:]
assert torch.get_num_threads() == int(threads)
cube = still_life(72, 56, seed=3)
found = {}
for suffix in ("nc", "zarr", "tif", "npz", "hdr", "mat"):
    rs.save_cube(cube, f"{folder}/c.{suffix}")
    found[f"reader {suffix}"] = rs.open_cube(f"{folder}/c.{suffix}").values
image = rs.get_track("clean").render(cube, key="a")
truth = cube.values
torch.manual_seed(0)
save_weights(fresh_weights("mst-plus-plus", preset="tiny"), f"{folder}/w.safetensors")
methods = {name: rs.load(name) for name in ("pca", "pseudo-inverse", "respectra")}
methods["respectra, tiles"] = rs.load(tile=40)
methods["mst-plus-plus"] = rs.load(f"{folder}/w.safetensors")
for name, method in methods.items():
    found[f"method {name}"] = answer = method(image).values
    found[f"score {name}"] = np.array(float(metrics.mrae(truth, answer, floor=0.01)))
np.savez(f"{folder}/found.npz", **found)
"""


@pytest.mark.slow
def test_readers_methods_and_scores_with_one_thread_and_with_two(tmp_path):
    """Readers to the byte; what is reconstructed to 1e-5 of its largest value, as the docs say."""
    found = []
    for threads in ("1", "2"):
        folder = tmp_path / threads
        folder.mkdir()
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
        environment = {**os.environ, **dict.fromkeys(names, threads)}
        subprocess.run(
            [sys.executable, "-c", _WORK, str(folder), threads], env=environment, check=True
        )
        found.append(np.load(folder / "found.npz"))
    one, two = found
    assert sorted(one.files) == sorted(two.files)
    for name in one.files:
        if name.startswith("reader"):
            np.testing.assert_array_equal(one[name], two[name], err_msg=name)
        else:
            limit = 1e-5 * float(np.abs(one[name]).max())
            np.testing.assert_allclose(one[name], two[name], rtol=0, atol=limit, err_msg=name)
