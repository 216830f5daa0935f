"""Files of every kind, damaged at random: what escapes, crashes, hangs or swallows memory.

Small valid files are made, a few bytes of them changed, and read again, in another process that is
watched. What is counted: errors other than Respectra's own, ends of the reading process, seconds
above five, and memory above ten times the file or 256 MB, whichever is more.

    python benchmarks/fuzz.py [--total 100000] [--seed 0] [--only NAME ...] [--json]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

try:
    from benchmarks.fuzz_kinds import LARGEST_BYTES, LONGEST_S, Kind, kinds
except ImportError:  # run as a script
    from fuzz_kinds import LARGEST_BYTES, LONGEST_S, Kind, kinds  # type: ignore[no-redef]

#: Seconds on a clock after which a process that says nothing is ended; a busy machine takes a
#: minute to start one.
SLEEPS_S = 600.0
LARGEST_RATIO = 10


# --- damage ----------------------------------------------------------------------------------

_NUMBERS = [b"\xff" * 8, bytes(8), b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\1", b"\0\x10"]
_TEXTS = [
    b"[" * 3000, b"{", b"}", b'"', b"\0", b"-1", b"1e999", b"NaN", b"../x", b"null", b"'", b",",
    b"9" * 5000, b"\xff\xfe", b"&a *a", b"!!python/object:os.system", b"\n",
]  # fmt: skip


def damage(data: bytes, rng: random.Random) -> bytes:
    """A few changes of a few bytes, half of them among the first ones, where headers are."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
        if not out:
            break
        at = rng.randrange(min(len(out), 1024) if rng.random() < 0.5 else len(out))
        kind = rng.randrange(8)
        if kind == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[at] = rng.randrange(256)
        elif kind == 2:
            new = rng.choice(_NUMBERS)
            out[at : at + len(new)] = new
        elif kind == 3:
            new = rng.choice(_TEXTS)
            out[at : at + rng.choice((0, len(new)))] = new
        elif kind == 4:
            del out[at:]
        elif kind == 5:
            del out[at : at + rng.randrange(1, 64)]
        elif kind == 6:
            count = rng.randrange(1, 64)
            other = rng.randrange(len(out))
            out[at : at + count] = out[other : other + count]
        else:
            value = rng.choice((0, 1, 2**31 - 1, 2**32 - 1, rng.randrange(2**32), len(out)))
            width = rng.choice((1, 2, 4, 8))
            order = "little" if rng.random() < 0.8 else "big"
            out[at : at + width] = (value % 2 ** (8 * width)).to_bytes(width, order)
    return bytes(out)


# --- the process that reads ------------------------------------------------------------------


def _read_all(kind: Kind, seed: int, start: int, count: int) -> None:
    """Read damaged files, saying before each which it is and after each what went wrong."""
    from respectra.errors import RespectraError
    from respectra.methods.measure import peak_memory_bytes

    warnings.simplefilter("ignore")
    folder = Path(tempfile.mkdtemp())
    try:
        path = kind.make(folder)
        files = {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
        with contextlib.nullcontext() if kind.accepted else contextlib.suppress(RespectraError):
            kind.read(path)  # of a valid file that is refused nothing would be tested
        size = sum(map(len, files.values()))
        allowed = max(LARGEST_BYTES, LARGEST_RATIO * size)
        for number in range(start, start + count):
            rng = random.Random(f"{seed} {kind.name} {number}")
            target = rng.choice(list(files))
            target.write_bytes(damage(files[target], rng))
            before, began = _memory(), time.process_time()
            _say({"kind": kind.name, "begin": number})
            problem = None
            try:
                kind.read(path)
            except RespectraError:
                pass
            except BaseException as error:
                problem = f"{type(error).__name__}: {str(error)[:200]}"
            took, grown = time.process_time() - began, peak_memory_bytes() - before
            if problem is None and took > LONGEST_S:
                problem = f"{took:.1f} s"
            if problem is None and grown > allowed:
                problem = f"{grown / 2**20:.0f} MB of memory"
            _say({"kind": kind.name, "end": number, "problem": problem})
            if not target.is_file() or len(files) != sum(p.is_file() for p in folder.rglob("*")):
                shutil.rmtree(folder)
                folder.mkdir()
                path = kind.make(folder)
            target.write_bytes(files[target])
            if grown > allowed:
                return  # the peak of this process says nothing any more
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _say(message: dict[str, Any]) -> None:
    print(json.dumps(message), file=_ANSWERS, flush=True)


_ANSWERS: Any = None


def _memory() -> int:
    """Bytes in use now, to which the peak is set back."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return int(psutil.Process().memory_info().rss)


def _child() -> None:
    global _ANSWERS
    _ANSWERS = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    known = {kind.name: kind for kind in kinds()}
    for line in sys.stdin:
        task = json.loads(line)
        try:
            _read_all(known[task["kind"]], task["seed"], task["start"], task["count"])
        except Exception as error:
            _say({"broken": f"{type(error).__name__}: {error}"})
            raise
        _say({"finished": task["kind"]})


# --- the process that watches ----------------------------------------------------------------


@dataclass
class Report:
    """What came out.

    Attributes:
        tried: damaged files by kind.
        problems: kind, number of the file and what happened; ``damage`` of the same seed and
            number makes it again.
    """

    tried: dict[str, int] = field(default_factory=dict)
    problems: list[tuple[str, int, str]] = field(default_factory=list)


def fuzz(
    count: int,
    seed: int = 0,
    only: tuple[str, ...] = (),
    on_kind: Callable[[str, int], None] = lambda name, tried: None,
) -> Report:
    """Read ``count`` damaged files of each kind, or of those of these names."""
    report = Report()
    with _Watched() as process:
        for kind in kinds():
            if only and kind.name not in only:
                continue
            start = 0
            while start < count:
                number, problem = process.run(kind.name, seed, start, count - start, report)
                if problem is not None:
                    report.problems.append((kind.name, number, problem))
                start = number + 1
            report.tried[kind.name] = count
            on_kind(kind.name, count)
    return report


class _Watched:
    def __enter__(self) -> _Watched:
        self._process: subprocess.Popen[str] | None = None
        return self

    def __exit__(self, *args: object) -> None:
        self._end()

    def run(
        self, kind: str, seed: int, start: int, count: int, report: Report
    ) -> tuple[int, str | None]:
        """Read files until one ends or holds up the process; its number, and what happened."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).absolute()), "--child"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            )  # fmt: skip
        process = self._process
        assert process.stdin is not None
        task = {"kind": kind, "seed": seed, "start": start, "count": count}
        process.stdin.write(json.dumps(task) + "\n")
        process.stdin.flush()
        last, done, why = start - 1, start - 1, ""
        for message in _messages(process):
            if "finished" in message:
                return max(last, done), None
            if "broken" in message:
                why = message["broken"]
            elif "begin" in message:
                last = message["begin"]
            elif "end" in message:
                done = message["end"]
                if message["problem"] is not None:
                    report.problems.append((kind, done, message["problem"]))
        code = process.poll()
        self._end()
        if last < start:
            raise RuntimeError(
                f"a valid file of the kind {kind!r} cannot be made or read: {why or code}"
            )
        return last, f"the process hung or ended ({why or code})"

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()


def _messages(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """What the process says; it is ended when it says nothing for too long."""
    assert process.stdout is not None
    while True:
        timer = threading.Timer(SLEEPS_S, process.kill)
        timer.start()
        try:
            line = process.stdout.readline()
        finally:
            timer.cancel()
        if not line.endswith("\n"):
            process.wait()
            return
        message = json.loads(line)
        yield message
        if "finished" in message:
            return


def main() -> None:
    """Damage, read, count, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--total", type=int, default=100_000, help="damaged files over all kinds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[], help="kinds whose names hold one of these")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    names = tuple(k.name for k in kinds())
    chosen = tuple(n for n in names if not options.only or any(o in n for o in options.only))
    if not chosen:
        parser.error(f"no kind is called so; there are {', '.join(names)}")
    began = time.monotonic()

    def tell(name: str, tried: int) -> None:
        if not options.json:
            print(f"{name:28} {tried:7,} files", flush=True)

    report = fuzz(-(-options.total // len(chosen)), options.seed, chosen, tell)
    if options.json:
        print(json.dumps({"tried": report.tried, "problems": report.problems}, indent=1))
        return
    for kind, number, problem in report.problems:
        print(f"PROBLEM {kind} {number}: {problem}")
    total = sum(report.tried.values())
    took = time.monotonic() - began
    print(f"{total:,} damaged files, {len(report.problems)} problems, {took:.0f} s")


if __name__ == "__main__":
    if sys.argv[1:] == ["--child"]:
        _child()
    else:
        main()
