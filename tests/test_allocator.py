"""A dask worker keeps the memory that it freed."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

#: Page faults of arrays of 8 MB, made and freed twenty times.
_PROGRAM = """
import resource, sys
import numpy as np
from respectra.allocator import keep_malloc

if sys.argv[1] == "keep":
    keep_malloc()
np.ones(2**20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(2**20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator is set")
def test_arrays_of_a_worker_use_memory_again() -> None:
    environ = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536"}
    faults = {}
    for word in ("keep", "not"):
        command = [sys.executable, "-c", _PROGRAM, word]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
        faults[word] = int(done.stdout)
    assert faults["keep"] < 0.5 * faults["not"]
