"""Where networks run."""

import pytest
import torch

import respectra as rs
from respectra.devices import pick_device
from respectra.errors import ConfigError


def _machine(monkeypatch: pytest.MonkeyPatch, gpus: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)


def test_auto_is_the_gpu_where_there_is_one(monkeypatch):
    _machine(monkeypatch, 1)
    assert pick_device("auto") == "cuda"
    _machine(monkeypatch, 0)
    assert pick_device("auto") == "cpu"


@pytest.mark.parametrize("name", ["tpu", "cuda:one", "cuda:-1", ""])
def test_no_device_of_that_name(name):
    with pytest.raises(ConfigError, match="a device is auto, cpu, cuda"):
        pick_device(name)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    _machine(monkeypatch, 0)
    with pytest.raises(ConfigError, match="no CUDA device is there"):
        rs.load("pseudo-inverse", device="cuda")
    _machine(monkeypatch, 2)
    assert pick_device("cuda:1") == "cuda:1"
    with pytest.raises(ConfigError, match="no cuda:2; the last CUDA device here is cuda:1"):
        pick_device("cuda:2")


def test_classical_methods_stay_on_the_processor(monkeypatch):
    _machine(monkeypatch, 1)
    assert rs.load("pseudo-inverse").device == "cpu"
