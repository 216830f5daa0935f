"""Pictures on disk: JPEG, PNG, TIFF, WebP, AVIF, HEIC and cameras' raw files.

One way in for all of them: the size is judged before pixels are decoded, the file's own words on
orientation, colour and camera are heeded, and whoever reads by rows gets what a reader of the whole
gets. Each kind has a reader ``open_…`` that gives a ``PictureSource``: ``upright`` says whether to
apply the orientation that the file states, ``max_pixels`` which is the largest picture to read. It
raises FormatError of a file that is damaged, cut short, too large or of several pictures, DataError
where the memory does not suffice, and MissingExtraError where the library is not installed.
"""

from respectra.cameras.pictures.opening import (
    PICTURE_SUFFIXES,
    RAW_SUFFIXES,
    Picture,
    open_image,
    open_picture,
)
from respectra.cameras.pictures.saving import save_image
from respectra.cameras.pictures.source import MAX_PIXELS
from respectra.cameras.pictures.tone import Tone
from respectra.cameras.pictures.values import PictureOptions

__all__ = [
    "MAX_PIXELS",
    "PICTURE_SUFFIXES",
    "RAW_SUFFIXES",
    "Picture",
    "PictureOptions",
    "Tone",
    "open_image",
    "open_picture",
    "save_image",
]
