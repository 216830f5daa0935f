"""The job folder: the only place that the service reads and writes."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from respectra.errors import DataError, OutputError
from respectra.files import file_lock, remove

_ID = re.compile(r"[0-9a-f]{32}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")
#: Folders and the name that ends them.
_ABSOLUTE = re.compile(r"(?<![\w.:/])/(?:[^\s/:;,'\"]+/)+[^\s/:;,'\"]*")
_LONGEST_NAME = 80
_DEEPEST = 6
#: How long a measurement of the space of results is believed, seconds.
_MEASURE_S = 1.0


def new_id() -> str:
    """An identifier that cannot be guessed and is safe as a name of a file."""
    return secrets.token_hex(16)


def is_id(text: str) -> bool:
    """Whether a text can be an identifier."""
    return _ID.fullmatch(text) is not None


def safe_path(name: str) -> Path:
    """A relative path below its folder, made of a client's name for a file.

    Only letters, digits and ``._+-`` remain, no part starts with a dot, none is empty.

    Raises:
        DataError: nothing is left, or it is nested too deeply.
    """
    parts = [_UNSAFE.sub("_", part).lstrip(".") for part in re.split(r"[/\\]", name)]
    parts = [part[-_LONGEST_NAME:].lstrip(".") for part in parts if part.strip("_")]
    parts = [part for part in parts if part]
    if not parts or len(parts) > _DEEPEST:
        raise DataError("a file needs a name, at most six folders deep")
    return Path(*parts)


def without_paths(text: str, root: Path) -> str:
    """A message for people who need not know this machine: files have their names alone.

    Args:
        text: may name files by their paths.
        root: the folder that all files of the service lie in, whose own path may hold anything.
    """
    text = text.replace(f"{root}/", "/x/x/")
    return _ABSOLUTE.sub(lambda path: path[0].rsplit("/", 1)[-1], text)


def _is_finished(folder: Path) -> bool:
    return is_id(folder.name) and (folder / "recovered" / "scene.json").is_file()


def _space_of(root: Path) -> int:
    total = 0
    for folder, _, files in os.walk(root):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(Path(folder) / name).st_blocks * 512
    return total


@dataclass
class UploadFiles:
    """Files of one upload."""

    id: str
    name: str
    folder: Path
    files: int = 0
    bytes: int = 0
    busy: int = 0
    touched: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> Path:
        """What a cube or picture is opened from: the file, the header, or the common folder."""
        entries = sorted(entry for entry in self.folder.iterdir())
        headers = [entry for entry in entries if entry.suffix.lower() == ".hdr"]
        if len(entries) == 1:
            return entries[0]
        if len(headers) == 1:
            return headers[0]
        return self.folder


class JobStore:
    """Folders of uploads and results.

    Args:
        folder: kept across runs; without one, a temporary folder that is removed at the end.

    Raises:
        OutputError: another server uses the folder, or it cannot be written.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._temporary = folder is None
        try:
            self.root = Path(tempfile.mkdtemp(prefix="respectra-")) if folder is None else folder
            self.root.mkdir(parents=True, exist_ok=True)
            self.root = self.root.resolve()
        except OSError as error:
            raise OutputError(f"the folder {folder} cannot be used: {error.strerror}") from None
        self._held = contextlib.ExitStack()
        self._held.enter_context(file_lock(self.root, inside=True))
        for name in ("uploads", "jobs"):
            (self.root / name).mkdir(exist_ok=True)
        self.uploads: dict[str, UploadFiles] = {}
        self._job_bytes, self._measured = 0, -_MEASURE_S
        self._sweep()

    def new_upload(self, name: str) -> UploadFiles:
        """An empty upload."""
        upload = UploadFiles(new_id(), name, self.root / "uploads")
        upload.folder = self.root / "uploads" / upload.id
        upload.folder.mkdir()
        self.uploads[upload.id] = upload
        return upload

    def job_folder(self, job: str) -> Path:
        """Where a job's result goes."""
        return self.root / "jobs" / job

    def finished(self) -> Iterator[str]:
        """Results that an earlier run left, complete."""
        for folder in sorted((self.root / "jobs").iterdir()):
            if _is_finished(folder):
                yield folder.name

    def remove_upload(self, upload: UploadFiles) -> None:
        """Forget an upload and delete its files."""
        self.uploads.pop(upload.id, None)
        remove(upload.folder)

    def remove_job(self, job: str) -> None:
        """Delete a result, and whatever an unfinished one left."""
        remove(self.job_folder(job))
        for part in (self.root / "jobs").glob(f".{job}.*"):
            remove(part)
        self._measured = -_MEASURE_S

    def used_bytes(self) -> int:
        """Disk space taken: by uploads, those that arrive among them, and by results.

        Results are measured at most once in a while; holes in their files take no space.
        """
        now = time.monotonic()
        if now - self._measured >= _MEASURE_S:
            self._job_bytes, self._measured = _space_of(self.root / "jobs"), now
        return self._job_bytes + sum(upload.bytes for upload in self.uploads.values())

    def close(self) -> None:
        """Release the folder; a temporary one is deleted."""
        self._held.close()
        if self._temporary:
            shutil.rmtree(self.root, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove what a killed server left half done, and what nobody knows any more.

        That is: uploads, and the files of exports, whose jobs are not kept across runs.
        """
        for entry in (self.root / "jobs").iterdir():
            if not _is_finished(entry):
                remove(entry)
        for entry in (self.root / "uploads").iterdir():
            remove(entry)
