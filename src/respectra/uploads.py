"""Putting outputs beyond this machine, so that nothing half written opens as whole.

- One file is put in one step: object stores show an object when all of it is there, and other
  places get it under a hidden name first.
- Of several files, the one that is opened goes last.
- Of a Zarr store, its metadata go last, and of these the root's: before, nothing is there to be
  opened. What is replaced loses its root first.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from respectra.errors import OutputError
from respectra.files import atomic_path
from respectra.storage import METADATA, OBJECT_STORES, PART, ensure_absent, named
from respectra.urls import Url, parse_place, reaching

__all__ = [
    "delete",
    "delete_folder",
    "put",
    "put_outputs",
    "uploading",
    "write_once",
    "writing",
]


@contextlib.contextmanager
def uploading(url: Url, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a name here for an output; put it, and what lies beside it, where it belongs.

    When the block raises, nothing is put.

    Raises:
        OutputError: it exists and ``overwrite`` is false, or it cannot be put there.
    """
    ensure_absent(url, overwrite=overwrite)
    with tempfile.TemporaryDirectory(prefix="respectra-") as folder:
        path = Path(folder) / url.name
        with named(path, url):
            yield path
        put_outputs(Path(folder), url, first=path)


def writing(
    where: str | os.PathLike[str] | Url, *, overwrite: bool = False
) -> contextlib.AbstractContextManager[Path]:
    """Where to write a file that appears at a path or a URL when it is whole.

    Raises:
        OutputError: it exists and ``overwrite`` is false, or cannot be written.
    """
    place = parse_place(where)
    if isinstance(place, Url):
        return uploading(place, overwrite=overwrite)
    return atomic_path(place, overwrite=overwrite)


def put_outputs(folder: Path, url: Url, *, first: Path) -> None:
    """Put the files of a folder, which holds one output; hidden ones are left out.

    The URL is that of the one that is named; the others go beside it. The file that is opened first
    is put last.
    """
    files = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    old = url.with_name(first.name)
    if len(files) > 1:  # an old header must not stand beside new data
        with reaching(old, writing=True):
            system, path = old.open()
            if system.isfile(path):
                system.rm_file(path)
    for file in sorted(files, key=lambda p: p == first):
        put(file, url.with_name(file.name))


def put(source: Path, url: Url) -> None:
    """Put a file or a Zarr store; what is there is replaced.

    Raises:
        OutputError: it cannot be, and then nothing that opens as whole is there.
    """
    with reaching(url, writing=True):
        system, path = url.open()
        if source.is_dir():
            _put_folder(system, source, path.rstrip("/"), url)
        else:
            _put_files(system, [source], [path], url)


def _put_folder(system: Any, source: Path, path: str, url: Url) -> None:
    files = [p for p in source.rglob("*") if p.is_file()]
    roots = [p for p in files if p.parent == source and p.name in METADATA]
    if not roots:
        raise OutputError(f"{url}: a folder of files cannot be put there; choose zarr or npz")
    for name in METADATA:
        if system.exists(f"{path}/{name}"):
            system.rm_file(f"{path}/{name}")
    old = system.find(path) if system.exists(path) else []
    if old:
        system.rm(old)
    inner = [p for p in files if p.name in METADATA and p not in roots]
    chunks = [p for p in files if p.name not in METADATA]
    for group in (chunks, inner, roots):
        targets = [f"{path}/{p.relative_to(source).as_posix()}" for p in group]
        _put_files(system, group, targets, url)


def _put_files(system: Any, sources: Sequence[Path], targets: Sequence[str], url: Url) -> None:
    if not sources:
        return
    if url.scheme in OBJECT_STORES:
        system.put([str(p) for p in sources], list(targets))
        return
    for source, target in zip(sources, targets, strict=True):
        parent, _, name = target.rpartition("/")
        system.makedirs(parent, exist_ok=True)
        system.put_file(str(source), f"{parent}/.{name}{PART}")
        system.mv(f"{parent}/.{name}{PART}", target)


def write_once(url: Url, data: bytes) -> None:
    """Write a small file where none is.

    Raises:
        OutputError: there is one, by another process; or it cannot be written.
    """
    taken = OutputError(f"{url} is being written by another run; wait for it to end")
    with reaching(url, writing=True):
        system, path = url.open()
        if url.scheme not in OBJECT_STORES:
            if system.exists(path):
                raise taken
            with tempfile.TemporaryDirectory(prefix="respectra-") as folder:
                source = Path(folder, "data")
                source.write_bytes(data)
                _put_files(system, [source], [path], url)
            return
        try:
            system.pipe_file(path, data, mode="create")
        except FileExistsError:
            raise taken from None
        except (TypeError, NotImplementedError):  # a store that cannot ask for that
            system.pipe_file(path, data)


def delete(urls: Sequence[Url]) -> None:
    """Delete files, as far as they are there and that is allowed."""
    for url in urls:
        with contextlib.suppress(Exception):
            system, path = url.open()
            system.rm_file(path)


def delete_folder(url: Url) -> None:
    """Delete a folder that is empty; object stores have none."""
    if url.scheme not in OBJECT_STORES:
        with contextlib.suppress(Exception):
            system, path = url.open()
            system.rmdir(path)
