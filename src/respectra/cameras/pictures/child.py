"""Decoders of involved formats run in a process of their own: a damaged file ends that, not this.

HEIC and raw files are decoded by large C++ libraries (libheif, LibRaw). They run in a process that
knows nothing but the file, may take only so long and so much memory, and gives back an array and a
few facts. On Linux it is a copy of one that has the library loaded (``guards.processes``);
elsewhere, where copying a process is not safe with every library or not possible, it is started for
each file.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from respectra.errors import DataError, FormatError, MissingExtraError
from respectra.guards.processes import Forker, environment

_SCRIPT = Path(__file__).with_name("child_reader.py")
#: Seconds of processor time that reading what a file says may take, and decoding it.
PATIENCE_S = {"look": 20.0, "decode": 180.0}
#: So many times that on the clock: other programs may leave a decoder little of the processor.
PATIENCE_FACTOR = 20
#: Address space that the process may take: for itself, and for each pixel that is decoded.
SPACE_BYTES, PIXEL_BYTES = 8 * 2**30, 64
_FORKER = Forker(_SCRIPT) if sys.platform == "linux" else None


def ask_child(path: Path, kind: str, task: str, *, pixels: int = 0) -> tuple[dict[str, Any], Any]:
    """What a decoder says of a ``heif`` or ``raw`` file: the facts, and an array or None.

    The task is to ``look`` (the facts alone) or to ``decode`` so many pixels.

    Raises:
        FormatError: the file is damaged, unknown to the library, crashes it, or takes for ever.
        DataError: the decoder was ended from outside.
        MissingExtraError: the library is not installed.
    """
    what: dict[str, Any] = {"path": str(path.absolute()), "kind": kind, "task": task}
    patience = PATIENCE_S[task]
    what |= {"patience_s": patience, "clock_s": PATIENCE_FACTOR * patience}
    what["space"] = SPACE_BYTES + PIXEL_BYTES * pixels
    try:
        code, said = _ask(what)
    except TimeoutError:
        raise FormatError(
            f"{path} is damaged: its decoder does not end within {patience:g} s"
        ) from None
    if code is None:
        raise DataError(
            f"the process that decodes {path} was ended from outside; if that was for want of "
            "memory, free some and try again"
        )
    line = said[: said.find(b"\n") + 1]
    if code != 0 or not line:
        raise FormatError(f"{path} is damaged: it crashes its decoder (code {code})")
    facts: dict[str, Any] = json.loads(line)
    if "missing" in facts:
        raise MissingExtraError(facts["missing"], kind, f"reading {path.suffix} files")
    if "error" in facts:
        raise FormatError(f"{path} cannot be decoded: {facts['error']}")
    return facts, _array(facts.pop("array", None), said, len(line))


def _ask(question: dict[str, Any]) -> tuple[int | None, bytes]:
    if _FORKER is None:
        return _start(question)
    answer = _FORKER.ask(question)
    return answer.code, answer.said


def _start(question: dict[str, Any]) -> tuple[int, bytes]:
    """Exit code and output of a process that is started for this question.

    Raises:
        TimeoutError: it was ended, having taken more than its time.
    """
    end = time.monotonic() + question["clock_s"]
    with subprocess.Popen(
        [sys.executable, "-P", str(_SCRIPT), json.dumps(question)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as process:
        patience = question["patience_s"]
        try:
            while True:
                try:
                    said, _ = process.communicate(timeout=min(patience, 1.0))
                except subprocess.TimeoutExpired:
                    if time.monotonic() > end or _processor_time(process.pid) > patience:
                        raise TimeoutError from None
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


def _array(layout: dict[str, Any] | None, data: bytes, begin: int) -> npt.NDArray[Any] | None:
    if layout is None:
        return None
    return np.frombuffer(data, np.dtype(layout["dtype"]), offset=begin).reshape(layout["shape"])
