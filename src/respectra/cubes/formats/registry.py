"""The registry of formats: by name, by suffix, by what a path turns out to be."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from respectra.cubes.formats.base import CubeFormat, read_head
from respectra.cubes.formats.zarr import is_zarr
from respectra.errors import ConfigError, FormatError, no_file, unknown_name
from respectra.registry import Registry
from respectra.urls import Place

#: First bytes of files that people mistake for cubes.
_OTHERS = (
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89PNG", "a PNG image"),
    (b"BM", "a BMP image"),
    (b"PK", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"CDF", "a NetCDF 3 file (convert it: nccopy -k nc4 IN OUT)"),
    (b"%PDF", "a PDF"),
    (b"<", "a web page or XML"),
    (b"ENVI", "an ENVI header"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
)


class FormatRegistry:
    """Formats by name and by suffix. Adding one whose name or suffix is taken is an error.

    Those of other packages, of a group of entry points, are loaded when all formats are asked for,
    or a name or suffix that is none of ours.
    """

    def __init__(self, formats: tuple[CubeFormat, ...] = (), *, group: str | None = None) -> None:
        self.entries: Registry[CubeFormat] = Registry("cube format", group=group, accept=_accept)
        self._own: list[CubeFormat] = []
        for entry in formats:
            self.add(entry)

    def __iter__(self) -> Iterator[CubeFormat]:
        yield from self._own
        yield from self._others

    def add(self, entry: CubeFormat) -> None:
        """Add a format.

        Raises:
            ConfigError: its name or one of its suffixes is taken; the registry is unchanged.
        """
        clash = _clash(entry, self._own)
        if clash is not None and clash[1].name != entry.name:
            suffix, other = clash
            raise ConfigError(f"the suffix {suffix} of {entry.name!r} belongs to {other.name!r}")
        self.entries.add(entry.name, lambda: entry)
        self._own.append(entry)

    @functools.cached_property
    def _others(self) -> tuple[CubeFormat, ...]:
        """Formats of other packages; one that claims a suffix of another is left out."""
        found: list[CubeFormat] = []
        for name, entry in self.entries.usable(self.entries.others()):
            clash = _clash(entry, [*self._own, *found])
            if clash is None:
                found.append(entry)
                continue
            suffix, other = clash
            self.entries.report(
                name,
                f"the cube format {name!r} of {self.entries.origin(name)} claims the suffix "
                f"{suffix} of {other.name!r}; it is left out",
            )
        return tuple(found)

    def get(self, name: str) -> CubeFormat:
        """A format by name. Raises ConfigError for an unknown or broken one."""
        for entry in self:
            if entry.name == name:
                return entry
        # A broken one says why; one that was left out is as good as unknown.
        if name in self.entries and self.entries.problem(name):
            return self.entries.find(name)
        raise unknown_name("cube format", name, [entry.name for entry in self])

    def of_suffix(self, suffix: str) -> CubeFormat | None:
        """The format that a suffix belongs to, or None."""
        suffix = suffix.lower()
        return next((e for e in self if suffix in e.suffixes), None) if suffix else None

    def for_writing(self, path: Place, name: str | None = None) -> CubeFormat:
        """The format in which a cube is saved at a path: the named one, or that of the suffix.

        Raises:
            ConfigError: unknown name or suffix, or the two contradict one another.
        """
        by_suffix = self.of_suffix(path.suffix)
        if name is None:
            if by_suffix is None:
                raise ConfigError(
                    f"{path} does not end like a cube ({self._suffixes()}); "
                    "choose a suffix, or format='png' for a folder of one PNG a band"
                )
            return by_suffix
        chosen = self.get(name)
        fits = by_suffix is None if not chosen.suffix else path.suffix.lower() == chosen.suffix
        if not (fits or by_suffix is chosen):
            ending = chosen.suffix or "no suffix of another format"
            raise ConfigError(f"a {chosen.title} has {ending}; got {path.name}")
        return chosen

    def for_reading(self, path: Path) -> CubeFormat:
        """The format of a file or folder that exists, by its suffix, checked by its content.

        Raises:
            FormatError: missing, empty, of an unknown suffix, or not what the suffix says.
        """
        if path.is_dir():
            entry = self.of_suffix(path.suffix)
            if entry is not None and entry not in self._own and entry.recognises is None:
                return entry
            is_store = path.suffix.lower() == ".zarr" or is_zarr(path)
            return self.get("zarr" if is_store else "png")
        if not path.exists():
            raise no_file(path)
        if path.stat().st_size == 0:
            raise FormatError(f"{path} is empty")
        entry = self.of_suffix(path.suffix)
        if entry is None and path.with_suffix(".hdr").is_file():
            entry = self.get("envi")
        if entry is None:
            raise FormatError(
                f"{path} does not end like a cube ({self._suffixes()}, or a folder of PNGs)"
                f"{self._suspicion(path)}"
            )
        if entry.recognises is not None and not entry.recognises(read_head(path)):
            raise FormatError(
                f"{path} is named like a {entry.title} but is not one{self._suspicion(path)}"
            )
        return entry

    def _suffixes(self) -> str:
        return ", ".join(sorted(suffix for entry in self for suffix in entry.suffixes))

    def _suspicion(self, path: Path) -> str:
        """What the first bytes say, as the end of a sentence; nothing when they say nothing."""
        head = read_head(path)
        if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
            return ": it is a Python pickle, which can run code and is never loaded"
        for entry in self:
            if entry.recognises is not None and entry.recognises(head):
                return f": it looks like a {entry.title}; rename it to *{entry.suffix}"
        for magic, what in _OTHERS:
            if head.startswith(magic):
                return f": it looks like {what}"
        return ""


def _clash(entry: CubeFormat, others: Sequence[CubeFormat]) -> tuple[str, CubeFormat] | None:
    """A suffix that another format claims as well, and which one."""
    claims = ((suffix, other) for other in others for suffix in entry.suffixes)
    return next(((suffix, other) for suffix, other in claims if suffix in other.suffixes), None)


def _accept(name: str, entry: Any) -> CubeFormat:
    """A format, from what an entry point names."""
    if not isinstance(entry, CubeFormat):
        raise TypeError(f"expected a respectra.cubes.formats.CubeFormat, got {entry!r}")
    if entry.name != name:
        raise ValueError(f"it calls itself {entry.name!r}; both names must be the same")
    for suffix in entry.suffixes:
        if not suffix.startswith(".") or suffix != suffix.lower():
            raise ValueError(f"a suffix is a dot and lower-case letters; got {suffix!r}")
    return entry
