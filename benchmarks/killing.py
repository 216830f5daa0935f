"""Killing a process at its n-th system call that touches a folder. Linux, x86-64 and ARM 64.

The process installs a seccomp filter over itself: the kernel stops it before every call that can
change a file and asks us. We look at which file it is about, count, and let it go on, or kill it
before the call is done. A write can also be torn: we write the first half of it in its place, and
kill then. Threads and child processes are under the same filter, so nothing is missed, whichever
library writes.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import errno
import os
import platform
import select
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

_MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
#: Name -> numbers of x86-64 and ARM 64, and what says which file it is: positions of paths with
#: those of their folders (-1: the working folder), or of a file descriptor.
_CALLS: dict[str, tuple[int | None, int | None, list[tuple[int, int]] | int]] = {
    "write": (1, 64, 0),
    "pwrite64": (18, 68, 0),
    "writev": (20, 66, 0),
    "pwritev": (296, 70, 0),
    "pwritev2": (328, 287, 0),
    "open": (2, None, [(0, -1)]),
    "creat": (85, None, [(0, -1)]),
    "openat": (257, 56, [(1, 0)]),
    "rename": (82, None, [(0, -1), (1, -1)]),
    "renameat": (264, 38, [(1, 0), (3, 2)]),
    "renameat2": (316, 276, [(1, 0), (3, 2)]),
    "unlink": (87, None, [(0, -1)]),
    "unlinkat": (263, 35, [(1, 0)]),
    "mkdir": (83, None, [(0, -1)]),
    "mkdirat": (258, 34, [(1, 0)]),
    "rmdir": (84, None, [(0, -1)]),
    "truncate": (76, 45, [(0, -1)]),
    "ftruncate": (77, 46, 0),
    "link": (86, None, [(0, -1), (1, -1)]),
    "linkat": (265, 37, [(1, 0), (3, 2)]),
    "symlink": (88, None, [(1, -1)]),
    "symlinkat": (266, 36, [(2, 1)]),
    "fallocate": (285, 47, 0),
    "copy_file_range": (326, 285, 2),
    "sendfile": (40, 71, 0),
    "fchmod": (91, 52, 0),
    "fchmodat": (268, 53, [(1, 0)]),
    "chmod": (90, None, [(0, -1)]),
    "utimensat": (280, 88, [(1, 0)]),
}
_WRITES = ("write", "pwrite64")
_MAKES = os.O_CREAT | os.O_TRUNC
_NEW_LISTENER, _SET_FILTER = 8, 1
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_NOTICE = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")
_GO_ON = 1


@dataclass
class Run:
    """What became of a process."""

    code: int
    """Of its exit; negative for the signal that killed it."""
    calls: list[str] = field(default_factory=list)
    """The calls that touched the folder, with the file each was about."""


def available() -> bool:
    """Whether this system lets one process stop another this way."""
    if sys.platform != "linux" or platform.machine() not in _MACHINES:
        return False
    try:
        return run(lambda: 0, Path("/nonexistent"), None).code == 0
    except OSError:
        return False


#: Told of each call before it is done: its number from 1, its name and file, and the bytes of the
#: first half of what it writes with the place where they go; None for other calls.
OnCall = Callable[[int, str, "Half | None"], None]


@dataclass(frozen=True)
class Half:
    """The first half of a write that was not done."""

    file: str
    """Its name below the folder."""
    data: bytes
    at: int

    def do(self, folder: Path) -> None:
        """Write it into the file of the folder, or of a copy of it."""
        with (folder / self.file).open("r+b") as file:
            file.seek(self.at)
            file.write(self.data)


def run(
    work: Callable[[], int],
    folder: Path,
    at: int | None,
    *,
    torn: bool = False,
    on_call: OnCall | None = None,
) -> Run:
    """Run a function in a forked process, and kill that at its ``at``-th call on a folder.

    Args:
        work: gives the exit code.
        folder: calls on files below it count, from 1.
        at: which call is not done any more; None lets all pass.
        torn: the first half of the data of that call is written before the kill.
        on_call: called before each call, while the process waits for it.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    child = fork(lambda: _be_watched(work, ours, theirs))
    theirs.close()
    try:
        listener = _received(ours)
        try:
            return _watch(child, listener, os.path.realpath(folder), at, torn, on_call)
        finally:
            os.close(listener)
    finally:
        ours.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)


def fork(work: Callable[[], int]) -> int:
    """Run a function in a forked process that ends with its exit code; gives its number.

    An error of the function is printed and ends the process with 70.
    """
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        os.setsid()
        code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _be_watched(work: Callable[[], int], ours: socket.socket, theirs: socket.socket) -> int:
    ours.close()
    listener = _install_filter()
    sent = array.array("i", [listener])
    theirs.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, sent)])
    os.close(listener)
    return work()


def _install_filter() -> int:
    """Have the kernel ask about every call of ``_CALLS``; gives the end where it asks."""
    machine = platform.machine()
    column = list(_MACHINES).index(machine)
    numbers = {name: call[column] for name, call in _CALLS.items() if call[column] is not None}
    load, equal, any_bit, answer = 0x20, 0x15, 0x45, 0x06
    lines = [(load, 0, 0, 4), (equal, 1, 0, _MACHINES[machine]), (answer, 0, 0, 0x7FFF0000)]
    lines.append((load, 0, 0, 0))
    for name, place in (("open", 1), ("openat", 2)):  # most of them only read
        if name in numbers:
            number = numbers.pop(name)
            lines += [(equal, 0, 4, number), (load, 0, 0, 16 + 8 * place)]
            lines += [(any_bit, 0, 1, _MAKES), (answer, 0, 0, 0x7FC00000)]
            lines.append((answer, 0, 0, 0x7FFF0000))
    for number in numbers.values():
        lines += [(equal, 0, 1, number), (answer, 0, 0, 0x7FC00000)]
    lines.append((answer, 0, 0, 0x7FFF0000))
    code = b"".join(struct.pack("=HBBI", *line) for line in lines)
    held = ctypes.create_string_buffer(code)
    program = ctypes.create_string_buffer(
        struct.pack("HxxxxxxP", len(lines), ctypes.addressof(held))
    )
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(38, 1, 0, 0, 0)  # no new privileges
    fd = libc.syscall(_SECCOMP[machine], _SET_FILTER, _NEW_LISTENER, program)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return int(fd)


def _received(ours: socket.socket) -> int:
    numbers = array.array("i")
    _, parts, _, _ = ours.recvmsg(1, socket.CMSG_LEN(numbers.itemsize))
    if not parts:
        raise OSError(errno.ENOSYS, "the process could not be watched")
    numbers.frombytes(parts[0][2])
    return numbers[0]


def _watch(
    child: int, listener: int, folder: str, at: int | None, torn: bool, on_call: OnCall | None
) -> Run:
    import fcntl

    names = {call[list(_MACHINES).index(platform.machine())]: name for name, call in _CALLS.items()}
    ended = os.pidfd_open(child)
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    poll.register(ended, select.POLLIN)
    calls: list[str] = []
    try:
        while True:
            ready = dict(poll.poll())
            if listener in ready and ready[listener] & select.POLLIN:
                notice = bytearray(_NOTICE.size)
                try:
                    fcntl.ioctl(listener, _RECEIVE, notice)
                except OSError:
                    continue
                number, thread, _, call, _, _, *arguments = _NOTICE.unpack(notice)
                about = _about(thread, names[call], arguments, folder)
                if about is not None:
                    calls.append(f"{names[call]} {about}")
                    last = len(calls) == at
                    half = None
                    if on_call is not None or (torn and last):
                        half = _half(thread, names[call], about, arguments)
                    if on_call is not None:
                        on_call(len(calls), calls[-1], half)
                    if last:
                        if torn and half is not None:
                            with contextlib.suppress(FileNotFoundError):  # it has no name any more
                                half.do(Path(folder))
                        os.killpg(child, signal.SIGKILL)
                        continue
                with contextlib.suppress(OSError):
                    fcntl.ioctl(listener, _SEND, bytearray(_ANSWER.pack(number, 0, 0, _GO_ON)))
            elif ended in ready:
                _, status = os.waitpid(child, 0)
                return Run(os.waitstatus_to_exitcode(status), calls)
    finally:
        os.close(ended)


def _about(thread: int, name: str, arguments: list[int], folder: str) -> str | None:
    """The file below the folder that a call is about, if it is about one."""
    which = _CALLS[name][2]
    if isinstance(which, int):
        found = [_link(f"/proc/{thread}/fd/{ctypes.c_int(arguments[which]).value}")]
    else:
        found = []
        for path, base in which:
            descriptor = -100 if base < 0 else ctypes.c_int(arguments[base]).value
            start = "cwd" if descriptor == -100 else f"fd/{descriptor}"
            text = _text(thread, arguments[path])
            found.append(os.path.join(_link(f"/proc/{thread}/{start}"), text))  # noqa: PTH118
    for path in found:
        real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))  # noqa: PTH118, PTH119, PTH120
        if real == folder or real.startswith(f"{folder}/"):
            return os.path.relpath(real, folder)
    return None


def _link(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115
    except OSError:
        return ""


def _text(thread: int, address: int) -> str:
    return os.fsdecode(_memory(thread, address, 4096).split(b"\0")[0])


def _memory(thread: int, address: int, size: int) -> bytes:
    fd = os.open(f"/proc/{thread}/mem", os.O_RDONLY)
    try:
        data = b""
        while len(data) < size:  # the text may lie at the end of what is mapped
            piece = min(size - len(data), 4096 - (address + len(data)) % 4096)
            try:
                data += os.pread(fd, piece, address + len(data))
            except OSError:
                break
            if size == 4096 and b"\0" in data:
                break
        return data
    finally:
        os.close(fd)


def _half(thread: int, name: str, about: str, arguments: list[int]) -> Half | None:
    """What a write would have written when it is cut short."""
    size = arguments[2] // 2 if name in _WRITES else 0
    if not size:
        return None
    fd = ctypes.c_int(arguments[0]).value
    place = dict(
        line.split(":\t") for line in Path(f"/proc/{thread}/fdinfo/{fd}").read_text().splitlines()
        if ":\t" in line
    )  # fmt: skip
    at = int(place["pos"])
    if name == "pwrite64":
        at = arguments[3]
    elif int(place["flags"], 8) & os.O_APPEND:
        at = os.stat(f"/proc/{thread}/fd/{fd}").st_size  # noqa: PTH116
    return Half(about, _memory(thread, arguments[1], size), at)
