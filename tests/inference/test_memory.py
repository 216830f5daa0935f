"""Memory limits, as people write them and as processes keep them."""

import json
import subprocess
import sys

import pytest
from tests.inference.conftest import tiny_weights

from respectra.errors import ConfigError
from respectra.inference import memory
from respectra.inference.cache import cache_folder
from respectra.inference.memory import format_bytes, measure_memory, parse_memory


@pytest.mark.parametrize(
    ("text", "amount"),
    [("2GB", 2e9), ("500 mb", 5e8), ("1.5GiB", 1.5 * 2**30), (12345, 12345), ("64KiB", 65536)],
)
def test_sizes_are_read_as_people_write_them(text, amount):
    assert parse_memory(text) == amount


def test_auto_is_positive():
    assert parse_memory("auto") > 0


@pytest.mark.parametrize("text", ["", "much", "2 GX", "-1GB", "0", "1.2.3GB", "nan", "1e400"])
def test_anything_else_is_refused(text):
    with pytest.raises(ConfigError, match="a memory limit is a size such as 2GB"):
        parse_memory(text)


def test_sizes_are_written_for_people():
    assert format_bytes(1.234e9) == "1.23 GB"
    assert format_bytes(5.6e7) == "56.0 MB"


def test_memory_is_measured_once_and_remembered(monkeypatch):
    weights = tiny_weights("rpan")
    use = measure_memory(weights, engine="torch")
    # Two maps of 24 channels and the result at the least, many times that at the most.
    assert 4 * (2 * 24 + 31) < use.per_pixel < 40 * 4 * (2 * 24 + 31)
    assert list((cache_folder() / "memory").glob("*.json"))
    monkeypatch.setattr(memory, "_measure_apart", None)
    assert measure_memory(weights, engine="torch") == use


_RUN = """
import json, sys
import numpy as np
from respectra.inference import Reconstructor
from respectra.methods import load_weights
from respectra.methods.measure import peak_memory_bytes
import torch
torch.set_num_threads(1)
rgb = np.random.default_rng(0).random((800, 700, 3), dtype=np.float32)
rec = Reconstructor(load_weights(sys.argv[1]), max_memory=sys.argv[2])
layout = rec.tiled.layout_in_memory(*rgb.shape[:2])
tiles = len(list(layout.tiles()))
spectra = rec.predict(rgb)
print(json.dumps([peak_memory_bytes(), tiles, layout.sides]))
"""


def test_a_limit_is_kept(tmp_path):
    """Libraries and the cube take 0.6 GB of it; the whole image at once would take more."""
    limit = 760e6
    from respectra.methods import save_weights

    save_weights(tiny_weights("rpan"), tmp_path / "w.safetensors")
    command = [sys.executable, "-c", _RUN, str(tmp_path / "w.safetensors"), str(int(limit))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    peak, tiles, _ = json.loads(done.stdout)
    assert tiles > 1
    assert peak <= limit
