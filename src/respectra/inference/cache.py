"""Facts of this machine that take a moment to measure, kept in the user's cache folder."""

from __future__ import annotations

import contextlib
import json
import platform
from collections.abc import Callable
from typing import Any

from respectra.cache import cache_folder, fingerprint
from respectra.devices import processor_name
from respectra.files import atomic_path
from respectra.guards.text import read_json
from respectra.notices import say_once

#: What is measured, in words, by the folder of the cache.
_MEASURED = {"engines": "which engine is fastest", "memory": "how much memory a tile takes"}

__all__ = ["cache_folder", "fingerprint", "machine", "remember"]


def machine() -> tuple[str, ...]:
    """What a measurement depends on besides its subject: processor, threads, versions."""
    import torch

    return (
        platform.machine(),
        processor_name(),
        str(torch.get_num_threads()),
        torch.__version__,
        platform.python_version(),
    )


def remember(kind: str, key: str, measure: Callable[[], Any]) -> Any:
    """What was measured before under this key, or else measure it now and keep it.

    The key is a fingerprint of everything that the value, which JSON can hold, depends on.
    """
    file = cache_folder() / kind / f"{key}.json"
    with contextlib.suppress(OSError, ValueError):
        return read_json(file)
    say_once(f"measuring {_MEASURED.get(kind, kind)} on this machine; it takes some seconds, once")
    value = measure()
    with contextlib.suppress(OSError), atomic_path(file, overwrite=True, shared=True) as temporary:
        temporary.write_text(json.dumps(value))
    return value
