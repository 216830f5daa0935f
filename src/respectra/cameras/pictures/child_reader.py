"""The process that decodes HEIC and raw files; started by ``child``, never imported.

It gets a question as JSON and answers on standard output: a line of JSON, then the values.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any

import numpy as np


def main() -> None:
    """Answer one question."""
    question = json.loads(sys.argv[1])
    _limit(int(question["space"]))
    # What the libraries print must not get between the values.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        facts, values = _TASKS[question["kind"]](question)
    except ModuleNotFoundError as error:
        facts, values = {"missing": error.name}, None
    except Exception as error:  # whatever the library raises
        told = error.args[0] if error.args else type(error).__name__
        told = told.decode("latin-1") if isinstance(told, bytes) else str(told)
        facts, values = {"error": told[:200]}, None
    if values is not None:
        values = np.ascontiguousarray(values)
        facts["array"] = {"dtype": values.dtype.str, "shape": values.shape}
    out.write(json.dumps(facts).encode() + b"\n")
    if values is not None:
        out.write(values.data)
    out.flush()


def _limit(space: int) -> None:
    """Take no more address space than that, where the system can be asked to see to it."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (space, space))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _heif(question: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    import base64

    import pi_heif

    pi_heif.options.DECODE_THREADS = 2
    file = pi_heif.open_heif(question["path"], convert_hdr_to_8bit=False, bgr_mode=False)
    width, height = file.size
    info = file.info
    facts: dict[str, Any] = {"height": height, "width": width, "mode": file.mode}
    facts["bits"] = int(info.get("bit_depth", 8))
    nclx = info.get("nclx_profile")
    if nclx:
        facts["nclx"] = [int(nclx["color_primaries"]), int(nclx["transfer_characteristics"])]
    for name in ("icc_profile", "exif"):
        if info.get(name):
            facts[name] = base64.b64encode(info[name]).decode()
    # A copy: what the library holds is gone with the file.
    return facts, np.array(file) if question["task"] == "decode" else None


def _raw(question: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    import rawpy

    with rawpy.imread(question["path"]) as raw:
        sizes = raw.sizes
        facts: dict[str, Any] = {
            "raw_height": sizes.raw_height,
            "raw_width": sizes.raw_width,
            "height": sizes.height,
            "width": sizes.width,
            "top": sizes.top_margin,
            "left": sizes.left_margin,
            "flip": sizes.flip,
            "colours": raw.num_colors,
            "description": raw.color_desc.decode("latin-1"),
            "mosaic": raw.raw_type == rawpy.RawType.Flat,
            "black": [float(level) for level in raw.black_level_per_channel],
            "white": float(raw.white_level),
            "as_shot": [float(v) for v in raw.camera_whitebalance],
            "daylight": [float(v) for v in raw.daylight_whitebalance],
            "xyz_to_camera": np.asarray(raw.rgb_xyz_matrix, float).tolist(),
        }
        limits = raw.camera_white_level_per_channel
        if limits is not None:
            facts["white_per_channel"] = [float(v) for v in limits]
        if facts["mosaic"]:
            facts["pattern"] = _period(np.asarray(raw.raw_colors_visible)[:12, :12])
        other = getattr(raw, "other", None)
        if other is not None:
            facts["iso"] = float(getattr(other, "iso_speed", 0) or 0)
        values = None
        if question["task"] == "decode":
            values = np.array(raw.raw_image_visible)
        return facts, values


def _period(channels: np.ndarray) -> list[list[int]]:
    """The pattern's smallest period, 2 or 6."""
    for side in (2, 6):
        tile = channels[:side, :side]
        height, width = channels.shape
        spread = np.tile(tile, (-(-height // side), -(-width // side)))[:height, :width]
        if np.array_equal(spread, channels):
            return [[int(v) for v in row] for row in tile]
    raise ValueError("a mosaic of an unknown pattern")


_TASKS = {"heif": _heif, "raw": _raw}

if __name__ == "__main__":
    main()
