"""Processes that torchrun starts; nodes that know of one another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from respectra.errors import ConfigError
from respectra.methods import load_weights
from respectra.training.nodes import Team, find_team

OPTIONS = ["--set", "options.width=8", "--set", "options.blocks=1", "--set", "patches.size=12"]
OPTIONS += ["--set", "batch=4", "--set", "loss.mrae.floor=0.01", "--steps", "4"]
OPTIONS += ["--set", "validation.floor=0.01", "--set", "optimizer.lr=1e-3", "--device", "cpu"]


def test_two_processes_of_torchrun_train_to_the_weights_of_one(scene_folder: Path, tmp_path: Path):
    command = ["train", "hscnn-r-clean", "--data", str(scene_folder), *OPTIONS, "-o"]
    alone = [sys.executable, "-m", "respectra", *command, str(tmp_path / "one")]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    together = [*launcher, "--nproc-per-node", "2", "-m", "respectra", *command]
    for arguments in (alone, [*together, str(tmp_path / "two")]):
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
    one, two = (load_weights(tmp_path / n / "last.safetensors").tensors for n in ("one", "two"))
    for name, tensor in one.items():
        np.testing.assert_allclose(two[name], tensor, rtol=1e-4, atol=1e-6)
    again = [*together, str(tmp_path / "two")]
    done = subprocess.run(again, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode != 0
    assert "holds a run already" in done.stderr


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in list(os.environ):
        if name.startswith(("SLURM_", "MASTER_", "NODE_", "TORCHELASTIC_")):
            monkeypatch.delenv(name)
    return monkeypatch


def test_nodes_that_do_not_know_of_one_another_are_refused(variables: pytest.MonkeyPatch):
    assert find_team(2, 1) == Team(0, 2, 1)
    with pytest.raises(ConfigError, match="2 nodes find one another by MASTER_ADDR, MASTER_PORT"):
        find_team(1, 2)
    for name, value in {"MASTER_ADDR": "a", "MASTER_PORT": "1", "NODE_RANK": "1"}.items():
        variables.setenv(name, value)
    team = find_team(4, 2)
    assert (team.rank, team.here, team.nodes, team.size, team.writes) == (1, 4, 2, 8, False)


def test_what_slurm_started_is_found(variables: pytest.MonkeyPatch):
    started: dict[str, Any] = {
        "SLURM_NTASKS": 8, "SLURM_JOB_NAME": "train", "SLURM_PROCID": 5, "SLURM_LOCALID": 1,
        "SLURM_NODEID": 1, "SLURM_NNODES": 2, "SLURM_JOB_ID": 7, "SLURM_NODELIST": "n[1-2]",
        "SLURM_STEP_ID": 0,
    }  # fmt: skip
    for name, value in started.items():
        variables.setenv(name, str(value))
    with pytest.raises(ConfigError, match="ntasks-per-node"):
        find_team(1, 1)
    variables.setenv("SLURM_NTASKS_PER_NODE", "4")
    team = find_team(1, 1)
    assert (team.rank, team.here, team.nodes, team.writes) == (5, 4, 2, False)
    with pytest.raises(ConfigError, match="8 processes on 2 nodes were started already"):
        find_team(2, 1)
