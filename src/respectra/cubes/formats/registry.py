"""The registry of formats: by name, by suffix, by what a path turns out to be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from respectra.cubes.formats.base import CubeFormat, read_head
from respectra.cubes.formats.zarr import is_zarr
from respectra.errors import ConfigError, FormatError, unknown_name

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
    """Formats by name and by suffix. Adding one whose name or suffix is taken is an error."""

    def __init__(self, formats: tuple[CubeFormat, ...] = ()) -> None:
        self._by_name: dict[str, CubeFormat] = {}
        self._by_suffix: dict[str, CubeFormat] = {}
        for entry in formats:
            self.add(entry)

    def __iter__(self) -> Iterator[CubeFormat]:
        return iter(self._by_name.values())

    def add(self, entry: CubeFormat) -> None:
        """Add a format.

        Raises:
            ConfigError: its name or one of its suffixes is taken; the registry is unchanged.
        """
        if entry.name in self._by_name:
            raise ConfigError(f"two cube formats are called {entry.name!r}; rename one")
        for suffix in entry.suffixes:
            if suffix in self._by_suffix:
                other = self._by_suffix[suffix].name
                raise ConfigError(f"the suffix {suffix} of {entry.name!r} belongs to {other!r}")
        self._by_name[entry.name] = entry
        self._by_suffix.update(dict.fromkeys(entry.suffixes, entry))

    def get(self, name: str) -> CubeFormat:
        """A format by name. Raises ConfigError for an unknown one."""
        if name not in self._by_name:
            raise unknown_name("cube format", name, self._by_name)
        return self._by_name[name]

    def for_writing(self, path: Path, name: str | None = None) -> CubeFormat:
        """The format in which a cube is saved at a path: the named one, or that of the suffix.

        Raises:
            ConfigError: unknown name or suffix, or the two contradict one another.
        """
        by_suffix = self._by_suffix.get(path.suffix.lower())
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
            is_store = path.suffix.lower() == ".zarr" or is_zarr(path)
            return self.get("zarr" if is_store else "png")
        if not path.exists():
            raise FormatError(f"there is no file {path}")
        if path.stat().st_size == 0:
            raise FormatError(f"{path} is empty")
        entry = self._by_suffix.get(path.suffix.lower())
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
        return ", ".join(sorted(self._by_suffix))

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
