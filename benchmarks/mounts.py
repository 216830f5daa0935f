"""Places by URL that are folders of this machine, so that what is put there can be watched.

``mount:///folder/name`` is written as file systems are: files grow, and are moved. ``oss:///…`` is
written as object stores are: an object is there when all of it is, and there are no folders.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem


class Mount(LocalFileSystem):
    """A folder by URL."""

    protocol = "mount"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(str(path).removeprefix(f"{cls.protocol}://")))


class Bucket(Mount):
    """An object store: what is put is there whole, or not at all."""

    protocol = "oss"
    #: Where objects are before they are there: on the disk of the bucket, not in it.
    scratch: str | None = None

    def exists(self, path: str, **options: Any) -> bool:
        """Whether an object is there; of buckets, all are."""
        return not str(path).startswith("/") or bool(self.find(path))

    def put_file(self, lpath: str, rpath: str, **options: Any) -> None:
        """Put an object in one step."""
        Path(rpath).parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            whole = shutil.copy(lpath, folder)
            os.replace(whole, rpath)  # noqa: PTH105

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
        """Put an object from memory in one step."""
        if mode == "create" and Path(path).is_file():
            raise FileExistsError(path)
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "object")
            source.write_bytes(value)
            self.put_file(str(source), path)


def register(scratch: Path) -> None:
    """Let fsspec, and so Respectra, know both.

    Args:
        scratch: a folder on the disk of the buckets, and in none of them.
    """
    Bucket.scratch = str(scratch)
    for system in (Mount, Bucket):
        fsspec.register_implementation(system.protocol, system, clobber=True)
