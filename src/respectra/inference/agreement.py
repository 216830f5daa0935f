"""The contract, enforced: weights on an image that says it is another one's are refused.

An image of a track carries the track's name, whatever it went through; weights name the track that
they were made for. Where they differ the cube is wrong without looking it (the clean track's
weights double the error on images of the real-world track), so that whoever means it has to say
so. An image that says nothing, and one whose capture is stated, are taken as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from respectra.errors import DataError
from respectra.methods.shipped import list_shipped

if TYPE_CHECKING:
    from respectra.inference.reconstructor import Reconstructor

R = TypeVar("R", bound="Reconstructor")

#: Names of tracks that state none: of images from elsewhere, and of a capture's camera.
_NO_TRACKS = ("", "unknown", "capture")


def agreeing(reconstructor: R, attrs: Mapping[Any, Any], *, force: bool = False) -> R:
    """The reconstructor, if its weights are for an image of these attributes.

    Args:
        reconstructor: for a capture or not.
        attrs: of the image.
        force: let it pass, as a reconstructor that was made with ``force`` does; its cubes say so.

    Raises:
        DataError: the image is of another track; says what would fit.
    """
    track = str(attrs.get("track", ""))
    own = reconstructor.contract.track
    if reconstructor.capture is not None or track in (*_NO_TRACKS, own):
        return reconstructor
    if force or reconstructor.force:
        note = f"weights for the track {own!r}, image of the track {track!r}"
        return reconstructor.with_mismatch(note)
    raise DataError(
        f"these weights of {reconstructor.name} are for images of the track {own!r}, and this one "
        f"says that it is of {track!r}: the cube would be wrong; {what_fits(track)}, or state "
        "which camera took it (capture=..., --camera); for those who mean it, force=True (--force)"
    )


def what_fits(track: str) -> str:
    """Which weights are for images of a track."""
    if track in list_shipped():
        return f"use weights for it: respectra.load(track={track!r}) (--input {track}) has some"
    return f"use weights that were trained for {track!r}"
