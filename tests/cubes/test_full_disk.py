"""A disk that takes no more: an error of ours, nothing left, and no crash when Python ends."""

import subprocess
import sys

import pytest

_SAVE = """
import resource, sys
import numpy as np
import respectra as rs

resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
cube = rs.make_cube(np.random.default_rng(0).random((60, 60, 31)), np.arange(400, 701, 10))
for name in sys.argv[2:]:
    try:
        rs.save_cube(cube, f"{sys.argv[1]}/{name}")
    except rs.errors.OutputError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of file sizes")
def test_a_file_that_may_not_grow(tmp_path):
    names = [f"c.{s}" for s in ("nc", "mat", "npz", "npy", "bip", "bsq", "tif", "zarr")]
    command = [sys.executable, "-c", _SAVE, str(tmp_path), *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == len(names), done.stdout
    assert all("cannot write" in line for line in said)
    assert all("File too large" in line or "No space left" in line for line in said)
    assert list(tmp_path.iterdir()) == []
