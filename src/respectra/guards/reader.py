"""Asking another process about a file, so that a damaged file ends that process and no more."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from respectra.errors import FormatError

_SCRIPT = Path(__file__).with_name("hdf5_reader.py")
#: The process watches its own processor time; this ends one that sleeps, or where nobody watches.
_PATIENCE_S = 60.0
_LONGEST_LINE = 2**27
_LONGEST_TABLE = 2**30


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
                env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
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
