"""Pictures on disk: JPEG, PNG, TIFF, WebP, AVIF, HEIC and cameras' raw files.

One way in for all of them: the size is judged before pixels are decoded, the file's own words on
orientation, colour and camera are heeded, and whoever reads by rows gets what a reader of the whole
gets.
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
