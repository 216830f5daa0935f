"""Decoders of involved formats run in a process of their own: a damaged file ends that, not this.

HEIC and raw files are decoded by large C++ libraries (libheif, LibRaw). They run in a process that
knows nothing but the file, may take only so long and so much memory, and gives back an array and a
few facts.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from respectra.errors import FormatError, MissingExtraError

_SCRIPT = Path(__file__).with_name("child_reader.py")
#: Seconds of processor time that reading what a file says may take, and decoding it.
PATIENCE_S = {"look": 20.0, "decode": 180.0}
#: So many times that on the clock: other programs may leave a decoder little of the processor.
PATIENCE_FACTOR = 20
#: Address space that the process may take: for itself, and for each pixel that is decoded.
SPACE_BYTES, PIXEL_BYTES = 8 * 2**30, 64


def ask_child(
    path: Path, kind: str, task: str, *, pixels: int = 0, **options: Any
) -> tuple[dict[str, Any], Any]:
    """What a decoder says of a file.

    Args:
        path: the file.
        kind: ``heif`` or ``raw``.
        task: ``look``: the facts alone; ``decode``: the values too.
        pixels: of the picture, for the memory that decoding it may take.
        options: for the decoder.

    Returns:
        the facts, and an array or None.

    Raises:
        FormatError: the file is damaged, unknown to the library, crashes it, or takes for ever.
        MissingExtraError: the library is not installed.
    """
    what = {"path": str(path.absolute()), "kind": kind, "task": task, **options}
    question = json.dumps({**what, "space": SPACE_BYTES + PIXEL_BYTES * pixels})
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # each takes space
    try:
        code, said = _answer([sys.executable, "-P", str(_SCRIPT), question], environment, task)
    except subprocess.TimeoutExpired:
        raise FormatError(
            f"{path} is damaged: its decoder does not end within {PATIENCE_S[task]:g} s"
        ) from None
    line, _, rest = said.partition(b"\n")
    if code or not line:
        raise FormatError(f"{path} is damaged: it crashes its decoder (code {code})")
    facts: dict[str, Any] = json.loads(line)
    if "missing" in facts:
        raise MissingExtraError(facts["missing"], kind, f"reading {path.suffix} files")
    if "error" in facts:
        raise FormatError(f"{path} cannot be decoded: {facts['error']}")
    return facts, _array(facts.pop("array", None), rest)


def _answer(command: list[str], environment: dict[str, str], task: str) -> tuple[int, bytes]:
    """Exit code and output of a process.

    Raises:
        TimeoutExpired: it was ended, having taken more than its time.
    """
    patience = PATIENCE_S[task]
    end = time.monotonic() + PATIENCE_FACTOR * patience
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        try:
            while True:
                try:
                    said, _ = process.communicate(timeout=min(patience, 1.0))
                except subprocess.TimeoutExpired:
                    if time.monotonic() > end or _processor_time(process.pid) > patience:
                        raise
                else:
                    return process.returncode, said
        except BaseException:
            process.kill()
            raise


def _processor_time(number: int) -> float:
    """Seconds that a process has taken of the processor; 0 for one that has ended."""
    with contextlib.suppress(psutil.Error):
        times = psutil.Process(number).cpu_times()
        return float(times.user + times.system)
    return 0.0


def _array(layout: dict[str, Any] | None, data: bytes) -> npt.NDArray[Any] | None:
    if layout is None:
        return None
    return np.frombuffer(data, np.dtype(layout["dtype"])).reshape(layout["shape"])
