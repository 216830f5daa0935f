"""Which kind of picture a file is: by its contents, and its name must not say otherwise."""

from __future__ import annotations

from pathlib import Path

from respectra.errors import FormatError
from respectra.urls import Place

#: Suffix -> kind, for files that are written by their suffix as well as read.
_OPEN: dict[str, str] = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WebP",
    ".heic": "HEIC",
    ".heif": "HEIC",
    ".hif": "HEIC",
    ".avif": "AVIF",
}
#: Raw files of cameras, read by LibRaw whatever they begin with.
RAW_SUFFIXES = (
    *(".dng", ".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".srf", ".sr2", ".raf", ".rw2"),
    *(".orf", ".pef", ".srw", ".rwl", ".3fr", ".fff", ".iiq", ".x3f", ".erf", ".mrw", ".dcr"),
    *(".kdc", ".mef", ".mos", ".gpr"),
)
#: Suffixes of all pictures that are read.
PICTURE_SUFFIXES: tuple[str, ...] = (*_OPEN, *RAW_SUFFIXES)

_BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"%PDF": "PDF",
    b"\x89HDF": "HDF5",
    b"PK": "ZIP",
    b"\x93NUMPY": "NumPy",
}
_KNOWN = ("PNG", "JPEG", "TIFF", "WebP", "HEIC", "AVIF")


def kind_by_name(path: Path) -> str:
    """What the suffix says: PNG, JPEG, TIFF, WebP, HEIC, AVIF or RAW.

    Raises:
        FormatError: it is none of a picture.
    """
    suffix = path.suffix.lower()
    if suffix in RAW_SUFFIXES:
        return "RAW"
    kind = _OPEN.get(suffix)
    if kind is None:
        raise FormatError(
            f"{path} is not a known kind of image; use one of {', '.join(_OPEN)}, or a camera's "
            "raw file (.dng, .nef, .cr2, .cr3, .arw, .raf, …)"
        )
    return kind


def kind_by_contents(data: bytes) -> str:
    """What the first bytes say.

    Raises:
        FormatError: empty, or of an unknown format.
    """
    if not data:
        raise FormatError("the file is empty")
    found = next((kind for magic, kind in _BEGINNINGS.items() if data.startswith(magic)), None)
    if data.startswith(b"RIFF"):
        found = "WebP" if data[8:12] == b"WEBP" else "a RIFF file that is no WebP"
    if data[4:8] == b"ftyp":
        brands = data[8:12] + data[16:64]
        if b"avif" in brands or b"avis" in brands:
            found = "AVIF"
        elif any(brand in brands for brand in (b"heic", b"heix", b"mif1", b"hevc", b"heim")):
            found = "HEIC"
        else:
            found = "a video or another ISO media file"
    if found in _KNOWN:
        return str(found)
    known = "PNG, JPEG, TIFF, WebP, HEIC, AVIF and cameras' raw files are known"
    raise FormatError(f"its contents are {found}; {known}" if found else f"not an image; {known}")


def writable_kind(path: Place) -> str | None:
    """The kind to write by a suffix: PNG, JPEG, TIFF, or None."""
    kind = _OPEN.get(path.suffix.lower())
    return kind if kind in ("PNG", "JPEG", "TIFF") else None
