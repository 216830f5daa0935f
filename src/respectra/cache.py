"""The user's cache folder: what takes a while to make and can be made again."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import platformdirs

__all__ = ["cache_folder", "fingerprint"]


def cache_folder() -> Path:
    """Where measured facts, exported networks and fitted methods are kept.

    Deleting it costs only time. It is ``RESPECTRA_CACHE`` where that is set, else ``respectra`` in
    the platform's folder for caches.
    """
    if chosen := os.environ.get("RESPECTRA_CACHE"):
        return Path(chosen)
    return platformdirs.user_cache_path("respectra", appauthor=False)


def fingerprint(*parts: object) -> str:
    """A short name for a combination of values; the same values give the same name."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]
