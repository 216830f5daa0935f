"""A disk that takes no more: an error of ours, nothing left, and no crash when Python ends."""

import asyncio
import errno
import subprocess
import sys

import numpy as np
import pytest
import zarr

import respectra as rs
from respectra.errors import OutputError

_SAVE = """
import resource, sys
import numpy as np
import respectra as rs

sys.dont_write_bytecode = True  # modules that are compiled now would be cut off for good
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


def test_chunks_that_others_still_write_do_not_bring_a_store_back(tmp_path, monkeypatch):
    plain = zarr.storage.LocalStore.set

    async def breaking(self, key, value):
        if key.endswith("cube/c/0/0/0"):
            raise OSError(errno.ENOSPC, "No space left on device")
        if "cube/c/" in key:
            await asyncio.sleep(0.1)
            written.append(key)
        await plain(self, key, value)

    written: list[str] = []
    monkeypatch.setattr(zarr.storage.LocalStore, "set", breaking)
    cube = rs.make_cube(np.ones((4, 1500, 3), np.float32), [450, 550, 650])
    with pytest.raises(OutputError, match="No space left on device"):
        rs.save_cube(cube, tmp_path / "a.zarr")
    assert written
    assert list(tmp_path.iterdir()) == []
