"""The benchmark of graphics processors runs on a processor, and says that these are no figures."""

from __future__ import annotations

import pytest
import torch
from benchmarks import gpu


def test_all_of_it_runs(capsys: pytest.CaptureFixture[str]):
    assert gpu.main(["--smoke", "--only", "hscnn-r"]) == 0
    out = capsys.readouterr().out
    assert "8 steps in two runs" in out
    assert "failed" not in out
    row = next(line for line in out.splitlines() if line.startswith("hscnn-r "))
    assert all(float(cell) > 0 for cell in row.split()[1:])
    assert len(row.split()) == 6
    if not torch.cuda.is_available():
        assert "are owed" in out


@pytest.mark.skipif(torch.cuda.is_available(), reason="a graphics processor is here")
def test_without_one_it_stops(capsys: pytest.CaptureFixture[str]):
    assert gpu.main([]) == 1
    assert "figures of a graphics processor are owed" in capsys.readouterr().out
