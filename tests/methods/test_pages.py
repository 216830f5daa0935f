"""The pages of the methods and the stored counts are what the cards and the networks say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_committed_pages_are_up_to_date() -> None:
    script = Path(__file__).parents[2] / "scripts" / "write_method_pages.py"
    done = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
