"""Where networks run: the graphics processor where there is one, else the processor."""

from __future__ import annotations

import contextlib
import ctypes
import platform
import sys
from pathlib import Path

from respectra.errors import ConfigError

__all__ = ["free_device_bytes", "pick_device", "processor_name"]

#: Kinds of device that networks are run on.
KINDS = ("cpu", "cuda", "mps")


def pick_device(wanted: str = "auto") -> str:
    """The name of the device that is meant, as PyTorch calls it.

    ``auto`` is CUDA where it is there, else the processor; others are ``cpu``, ``cuda``,
    ``cuda:1``, ``mps``.

    Raises:
        ConfigError: no such kind of device, or this machine has none.
    """
    if wanted == "cpu" or (wanted == "auto" and not _may_have_cuda()):
        return "cpu"
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = wanted.partition(":")
    if kind not in KINDS or (number and not number.isdecimal()):
        raise ConfigError(f"a device is auto, cpu, cuda, cuda:NUMBER or mps; got {wanted!r}")
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            raise ConfigError("no CUDA device is there; use the device cpu, or auto")
        if number and int(number) >= count:
            last = f"cuda:{count - 1}"
            raise ConfigError(f"there is no {wanted}; the last CUDA device here is {last}")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("no MPS device is there; use the device cpu, or auto")
    return wanted


def _may_have_cuda() -> bool:
    """Whether PyTorch may find a graphics processor; without one, it need not be loaded to ask."""
    if "torch" in sys.modules or Path("/dev/kfd").exists():
        return True
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def free_device_bytes(device: str) -> int:
    """Memory that networks may still take on a graphics processor, bytes."""
    import torch

    if device.startswith("cuda"):
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + cached
    held = torch.mps.current_allocated_memory()
    return int(torch.mps.recommended_max_memory()) - held


def processor_name() -> str:
    """What the system calls its processor."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
