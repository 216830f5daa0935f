"""Asking another process about a file, so that a damaged file ends that process and no more.

A :class:`Reader` answers one question after the other: the HDF5 library, which says where values
lie. A :class:`Forker` answers each anew. Decoders of involved formats are run once a file; starting
Python and a decoder takes most of a second, so one process does that, knows nothing but the
decoder, and makes a copy of itself for every file (``fork``). The process that asks is never
copied: it has threads, which copies of it would lack.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple

from respectra.errors import FormatError

_SCRIPT = Path(__file__).with_name("hdf5_reader.py")
#: The process watches its own processor time; this ends one that sleeps, or where nobody watches.
_PATIENCE_S = 60.0
_LONGEST_LINE = 2**27
_LONGEST_TABLE = 2**30
#: A copy that is ended for its time on the clock says so, whichever way it was ended.
_OUT_OF_TIME = tuple(
    -getattr(signal, name) for name in ("SIGPROF", "SIGALRM", "SIGXCPU") if hasattr(signal, name)
)


class Reader:
    """A process that answers questions about files, started when the first one comes."""

    def __init__(self, script: Path = _SCRIPT, patience_s: float = _PATIENCE_S) -> None:
        self._script, self._patience_s = script, patience_s
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._lock = threading.Lock()

    def ask(self, path: Path) -> tuple[dict[str, Any], bytes]:
        """What the process says of a file.

        Raises:
            FormatError: the file crashes the library, keeps it busy without end, or is refused.
        """
        if self._owner != os.getpid():  # a forked copy: that process belongs to another
            self._lock, self._process, self._owner = threading.Lock(), None, os.getpid()
        with self._lock:
            process = self._running()
            timer = threading.Timer(self._patience_s, process.kill)
            timer.start()
            try:
                answer, table = _exchange(process, path)
            except (OSError, ValueError, EOFError, KeyError, TypeError, RecursionError):
                self.close()
                raise FormatError(
                    f"{path} is damaged: it crashes the HDF5 library or keeps it busy for ever"
                ) from None
            finally:
                timer.cancel()
        if "error" in answer:
            raise FormatError(f"{path} is damaged or not an HDF5 file: {answer['error']}")
        return answer, table

    def close(self) -> None:
        """End the process; the next question starts another."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        process.kill()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        process.wait()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(self._script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": _packages()},
            )
        return self._process


def _exchange(process: subprocess.Popen[bytes], path: Path) -> tuple[dict[str, Any], bytes]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps({"path": str(path.absolute())}).encode() + b"\n")
    process.stdin.flush()
    line = process.stdout.readline(_LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise EOFError
    answer = json.loads(line)
    count = int(answer["bytes"])
    if not 0 <= count <= _LONGEST_TABLE:
        raise ValueError
    table = process.stdout.read(count)
    if len(table) != count:
        raise EOFError
    return answer, table


_READER = Reader()
atexit.register(_READER.close)


def ask_hdf5(path: Path) -> tuple[dict[str, Any], bytes]:
    """What the HDF5 library says of a file; see :class:`Reader`."""
    return _READER.ask(path)


class Answer(NamedTuple):
    """What a copy said and took."""

    code: int | None
    """Exit code, negative for signals; None if someone ended the processes from outside."""
    seconds: float
    """Of processor time."""
    peak_bytes: int
    """The most memory that it had."""
    said: bytes


class Forker:
    """A process that copies itself for every question, started when the first one comes.

    Args:
        script: is run with the number of a socket as its argument. Each message that comes holds
            a question in JSON and the writing ends of two pipes: for the answer, and for how the
            copy ended in JSON, as :class:`Answer` begins.
    """

    def __init__(self, script: Path) -> None:
        self.script = script
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._owner = 0
        self._lock = threading.Lock()
        atexit.register(self.close)

    def ask(self, question: dict[str, Any]) -> Answer:
        """What a copy says to a question.

        Raises:
            TimeoutError: it took more than its time, and was ended.
            OSError: no process can be started.
        """
        output, status = self._send(json.dumps(question).encode())
        with os.fdopen(output, "rb") as stream, os.fdopen(status, "rb") as end:
            said = stream.read()  # the copy is ended when this stops reading
            ended = end.read()
        if not ended:
            return Answer(None, 0.0, 0, b"")
        code, seconds, peak_bytes = json.loads(ended)
        answer = Answer(code, seconds, peak_bytes, said)
        if answer.code in _OUT_OF_TIME:
            raise TimeoutError
        return answer

    def close(self) -> None:
        """End the process and its copies; the next question starts another."""
        process, self._process = self._process, None
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()
        if process is None or self._owner != os.getpid():
            return
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _send(self, question: bytes) -> tuple[int, int]:
        """Send a question; the reading ends of its answer and of how it ended."""
        for again in (True, False):
            channel = self._running()
            pipes = [*os.pipe(), *os.pipe()]
            try:
                socket.send_fds(channel, [question], pipes[1::2])
            except OSError:
                for pipe in pipes[::2]:
                    os.close(pipe)
                if not again:
                    raise
                with self._lock:
                    if self._channel is channel:  # it was ended from outside; once more
                        self.close()
            else:
                return pipes[0], pipes[2]
            finally:
                for pipe in pipes[1::2]:
                    os.close(pipe)
        raise AssertionError

    def _running(self) -> socket.socket:
        if self._owner != os.getpid():  # a forked copy: that process belongs to another
            self._lock = threading.Lock()
            self.close()
            self._owner = os.getpid()
        with self._lock:
            if self._process is not None and self._process.poll() is not None:
                self.close()
            if self._channel is None:
                self._channel = self._start()
            return self._channel

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(self.script), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment(),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        return ours


def environment() -> dict[str, str]:
    """The environment of a process that decodes: it finds the same packages, in one thread."""
    one = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # each takes address space
    return {**os.environ, "PYTHONPATH": _packages(), **one}


def _packages() -> str:
    return os.pathsep.join(place for place in sys.path if place)
