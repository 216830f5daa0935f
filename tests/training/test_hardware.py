"""Devices, precisions and estimates."""

from __future__ import annotations

import pytest
import torch

from respectra.errors import ConfigError, RespectraWarning
from respectra.training import hardware
from respectra.training.hardware import Estimate, pick_device, pick_precision

CPU = torch.device("cpu")


def test_float32_is_float32() -> None:
    assert pick_precision("float32", CPU) == "32-true"


@pytest.mark.parametrize("wanted", ["float16", "bfloat16"])
def test_a_processor_without_the_arithmetic_trains_in_float32(
    monkeypatch: pytest.MonkeyPatch, wanted: str
) -> None:
    monkeypatch.setattr(hardware, "_cpu_has_bfloat16", lambda: False)
    with pytest.warns(RespectraWarning, match=f"{wanted} is not in this CPU"):
        assert pick_precision(wanted, CPU) == "32-true"


def test_a_processor_with_bfloat16_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_cpu_has_bfloat16", lambda: True)
    assert pick_precision("bfloat16", CPU) == "bf16-mixed"


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(ConfigError, match="auto, cpu or cuda"):
        pick_device("tpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    assert pick_device("auto") == CPU
    with pytest.raises(ConfigError, match="use the device cpu"):
        pick_device("cuda")


def test_an_estimate_reads_as_a_sentence() -> None:
    text = str(Estimate(seconds_per_step=2.0, steps=3600, memory_bytes=3 * 10**9, parameters=1234))
    assert text == (
        "1,234 parameters; about 2 s a step, 2.0 h for 3,600 steps; about 3 GB for the network"
    )
