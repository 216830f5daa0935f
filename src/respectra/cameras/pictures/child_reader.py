"""The process that decodes HEIC and raw files; started by ``child``, never imported.

It gets a question as JSON, as its argument, and answers on standard output: a line of JSON, then
the values. With the number of a socket as its argument it serves: each message there holds a
question and two pipes, for the answer and for how it ended; a copy of this process answers, which
knows of no other file.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import socket
import sys
from typing import Any

import numpy as np

_LIBRARIES = {"heif": "pi_heif", "raw": "rawpy"}
_LONGEST_QUESTION = 2**17
_LONGEST_WAIT_MS = 2**31 - 1


def main() -> None:
    """Answer the question that is the argument, or those that come."""
    argument = sys.argv[1]
    if argument.isdecimal():
        _serve(int(argument))
        return
    # What the libraries print must not get between the values.
    out = os.dup(1)
    os.dup2(2, 1)
    _answer(json.loads(argument), out)


def _serve(number: int) -> None:
    """Answer every question by a copy of this process, until nobody can ask any more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # copies are not waited for
    with socket.socket(fileno=number) as channel:
        while True:
            message, pipes, *_ = socket.recv_fds(channel, _LONGEST_QUESTION, 2)
            if not message:
                break
            question = json.loads(message)
            with contextlib.suppress(Exception):  # a copy will find out as well, and say so
                importlib.import_module(_LIBRARIES[question["kind"]])
            with contextlib.suppress(OSError):  # too many processes: whoever asked hears nothing
                if os.fork() == 0:
                    try:
                        channel.close()
                        _watch(question, *pipes)
                    finally:
                        os._exit(0)
            for pipe in pipes:
                os.close(pipe)
    os.killpg(0, signal.SIGKILL)  # whoever asked is gone


def _watch(question: dict[str, Any], out: int, status: int) -> None:
    """Answer in a copy; end it when its time on the clock is over or nobody reads it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    ended, alive = os.pipe()
    copy = os.fork()
    if copy == 0:
        code = 1
        try:
            os.close(ended)
            os.close(status)
            _start_clocks(question)
            _answer(question, out)
            code = 0
        finally:
            os._exit(code)
    os.close(alive)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(out, 0)  # says when the other end is closed
    events = poll.poll(min(1000 * question["clock_s"], _LONGEST_WAIT_MS))
    if not any(descriptor == ended for descriptor, _ in events):
        os.kill(copy, signal.SIGKILL)
    _, how, used = os.wait4(copy, 0)
    code = os.waitstatus_to_exitcode(how) if events else -signal.SIGALRM
    seconds, peak = used.ru_utime + used.ru_stime, used.ru_maxrss * 1024
    os.write(status, json.dumps([code, seconds, peak]).encode())


def _start_clocks(question: dict[str, Any]) -> None:
    """Let the system end this process when it computes or sleeps for longer."""
    for name in ("SIGPROF", "SIGALRM"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, question["patience_s"])
    signal.setitimer(signal.ITIMER_REAL, question["clock_s"])


def _answer(question: dict[str, Any], out: int) -> None:
    _limit(int(question["space"]))
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
    with os.fdopen(out, "wb") as stream:
        stream.write(json.dumps(facts).encode() + b"\n")
        if values is not None:
            stream.write(values.data)


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
    # A copy: the values are lent, and their memory is free again when ``file`` is gone.
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
