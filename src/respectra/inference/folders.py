"""Many pictures at once: folders and patterns, a manifest of what was done, one failure at a time.

The manifest is a file of JSON lines in the output folder. A run that ended, however it ended, is
taken up by the same command: what is done is skipped where the input, the method, its weights and
its options are those of then.
"""

from __future__ import annotations

import errno
import glob
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from respectra.cameras import PICTURE_SUFFIXES
from respectra.cameras.colour import InputKind
from respectra.errors import FormatError, OutputError, RespectraError
from respectra.identity import content_hash
from respectra.inference.reconstructor import Reconstructor
from respectra.inference.video_reader import CLIP_SUFFIXES
#: Name of the manifest within the output folder.
MANIFEST = "manifest.jsonl"
#: After these, no other cube could be written either.
_HOPELESS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass(frozen=True)
class Job:
    """A picture or clip, and the cube that it becomes."""

    source: Path
    target: Path
    kind: InputKind


@dataclass(frozen=True)
class Outcome:
    """What became of a job."""

    job: Job
    status: Literal["done", "skipped", "failed"]
    """``skipped``: a run before this one had done it."""
    seconds: float
    error: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the work says of its result, such as the flicker of a clip."""


def find_inputs(arguments: Sequence[str | os.PathLike[str]]) -> list[tuple[Path, Path]]:
    """Pictures and clips that arguments name, each with its place in an output folder.

    Args:
        arguments: files; folders, of which all pictures and clips are taken, not those of folders
            within; patterns such as ``shots/**/*.png``, whose folders are kept below the first
            part that is no pattern.

    Returns:
        Pairs of the file and its path relative to the folder or pattern, in the order of the
        arguments, sorted within each.

    Raises:
        FormatError: a folder or pattern holds no picture.
    """
    found: dict[Path, Path] = {}
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            files = [file for file in path.iterdir() if _is_input(file)]
            root = path
        elif glob.has_magic(str(path)) and not path.exists():
            parts = path.parts
            plain = next(i for i, part in enumerate(parts) if glob.has_magic(part))
            root = Path(*parts[:plain])
            files = [file for file in root.glob("/".join(parts[plain:])) if _is_input(file)]
        else:
            found.setdefault(path, Path(path.name))
            continue
        if not files:
            known = ", ".join((*PICTURE_SUFFIXES, *CLIP_SUFFIXES))
            raise FormatError(f"{path} holds no picture and no clip ({known})")
        for file in sorted(files):
            found.setdefault(file, file.relative_to(root))
    return list(found.items())


def _is_input(file: Path) -> bool:
    suffixes = (*PICTURE_SUFFIXES, *CLIP_SUFFIXES)
    hidden = file.name.startswith(".")
    return not hidden and file.suffix.lower() in suffixes and file.is_file()


def run_jobs(
    jobs: Sequence[Job],
    output: Path,
    choose: Callable[[Job], Reconstructor],
    work: Callable[[Reconstructor, Job], Mapping[str, Any]],
    *,
    options: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    fail_fast: bool = False,
) -> Iterator[Outcome]:
    """Do one job after the other and keep the manifest.

    Args:
        jobs: what is to be done.
        output: folder of the manifest; the cubes lie in it.
        choose: gives the reconstructor for a job.
        work: writes the cube of a job, whole or not at all, and gives facts for the manifest.
        options: whatever else the cubes depend on; done jobs with other options are done again.
        overwrite: do everything again, replacing what is there.
        fail_fast: raise the first error instead of going on.

    Yields:
        One outcome a job, in order; failures among them.

    Raises:
        RespectraError: the first failure, with ``fail_fast``.
        OutputError: the output folder has vanished, or nothing can be written into it any more.
    """
    manifest: Manifest | None = None
    signatures: dict[int, str] = {}
    for job in jobs:
        reconstructor = choose(job)  # a method that does not exist is no failure of one picture
        manifest = manifest or Manifest(output)
        weights = signatures.setdefault(id(reconstructor), "") or reconstructor.signature()
        signatures[id(reconstructor)] = weights
        start = time.perf_counter()
        facts: Mapping[str, Any] = {}
        failure: Exception | None = None
        try:
            identity = {
                "output": job.target.relative_to(output).as_posix(),
                "sha256": content_hash(job.source),
                "input": str(job.source),
                "kind": job.kind,
                "method": reconstructor.name,
                "weights": weights,
                "options": dict(options or {}),
            }
            if not overwrite and manifest.has_done(identity, job.target):
                yield Outcome(job, "skipped", time.perf_counter() - start)
                continue
            if os.path.lexists(job.target):
                if not overwrite:
                    raise OutputError(
                        f"{job.target} exists already, not of this input by this method; choose "
                        "another folder or pass --overwrite"
                    )
            else:
                manifest.add({**identity, "status": "started"})
            facts = work(reconstructor, job)
        except (RespectraError, MemoryError) as error:
            failure = error
        seconds = time.perf_counter() - start
        if failure is None:
            manifest.add({**identity, "status": "done", "seconds": round(seconds, 3), **facts})
            yield Outcome(job, "done", seconds, facts=facts)
            continue
        message = str(failure) or "out of memory"
        if fail_fast or _is_hopeless(failure, output):
            raise failure
        line = {"output": str(job.target.relative_to(output)), "input": str(job.source)}
        manifest.add({**line, "status": "failed", "seconds": round(seconds, 3), "error": message})
        yield Outcome(job, "failed", seconds, error=message)


class Manifest:
    """What was done in an output folder, one JSON line an event; the last of an output counts.

    Raises:
        OutputError: the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / MANIFEST
        self._last: dict[str, dict[str, Any]] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lines = self.path.read_text().splitlines() if self.path.exists() else []
            if lines and not self.path.read_text().endswith("\n"):  # a killed run's last line
                with self.path.open("a") as file:
                    file.write("\n")
        except OSError as error:
            raise _unwritable(self.path, error) from error
        for line in lines:
            try:
                entry = json.loads(line)
                self._last[entry["output"]] = entry
            except (ValueError, KeyError, TypeError):
                continue

    def has_done(self, identity: Mapping[str, Any], target: Path) -> bool:
        """Whether a cube is there that was made from the same input in the same way.

        A job that was begun where no cube was, and a cube that is there now, is done: cubes appear
        whole.
        """
        last = self._last.get(str(identity["output"]), {})
        same = all(last.get(name) == value for name, value in identity.items() if name != "input")
        return same and last.get("status") in ("started", "done") and target.exists()

    def add(self, entry: Mapping[str, Any]) -> None:
        """Write a line.

        Raises:
            OutputError: the folder has vanished, or the disk is full.
        """
        text = json.dumps(entry, default=str)
        try:
            with self.path.open("a") as file:
                file.write(text + "\n")
        except OSError as error:
            raise _unwritable(self.path, error) from error
        self._last[str(entry["output"])] = json.loads(text)


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"cannot write {path}: {error.strerror or error}; finished cubes are kept, see to the "
        "folder and run the same command again"
    )


def _is_hopeless(failure: BaseException, output: Path) -> bool:
    """Whether jobs after this one would fail for the same reason."""
    cause: BaseException | None = failure
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _HOPELESS:
            return True
        cause = cause.__cause__
    return not output.is_dir()
