"""Which reconstructor a picture gets: by what is said of it, and by what its file says.

A capture that is stated wins over what a file says; where neither says anything, the picture is of
the track that the weights were made for.

The contract is enforced: an image of a track carries the track's name, whatever it went through,
and weights name the track that they were made for. Where they differ the cube is wrong without
looking it (the clean track's weights double the error on images of the real-world track), so that
whoever means it has to say so; likewise where weights were saved for a capture of another camera.
An image that says nothing, and one whose capture is stated, are taken as they are.
"""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import xarray as xr

from respectra.cameras import (
    Capture,
    InputKind,
    Picture,
    PictureOptions,
    References,
    described_capture,
    input_encoding,
    open_image,
    open_picture,
    require_capture,
    require_image,
)
from respectra.cameras.tracks import default_response, has_one_camera
from respectra.cubes import Quantity
from respectra.errors import DataError, RespectraWarning
from respectra.inference.capture import capture_of
from respectra.methods import Contract
from respectra.methods.shipped import list_shipped

if TYPE_CHECKING:
    from respectra.inference.reconstructor import Reconstructor

R = TypeVar("R", bound="Reconstructor")

#: Names of tracks that state none: of images from elsewhere, and of a capture's camera.
_NO_TRACKS = ("", "unknown", "capture")


def for_picture(
    reconstructor: R,
    image: xr.DataArray,
    capture: Capture | None = None,
    references: References | None = None,
    quantity: Quantity | None = None,
    force: bool = False,
) -> R:
    """The reconstructor for a picture, with what is said of it; itself where nothing is.

    Places of the white and of references are looked up in the picture. The arguments are those of
    :meth:`Reconstructor.__call__`; the references are those of the capture by default.
    """
    picture = require_image(image)
    said = described_capture(picture.attrs)
    if capture is None and "capture" in picture.attrs and reconstructor.capture is None:
        capture = said
    if capture is None and quantity is not None:
        capture = reconstructor.capture or said or Capture()
    if capture is not None:
        capture = require_capture(capture)
        if said is not None and capture.camera is None:
            capture = said.replace(**capture.known())
        where = str(picture.attrs.get("source", "the picture"))
        warn_of_another_camera(capture, picture.attrs, where)
        capture = capture.resolve(picture)
        references = references or capture.references
        chosen = reconstructor.with_capture(capture, quantity=quantity)
    else:
        chosen = for_described(reconstructor, said)
        asked = reconstructor.asked_quantity
        if said is None and asked not in (None, reconstructor.contract.quantity):
            chosen = reconstructor.with_capture(Capture())
        chosen = agreeing(chosen, picture.attrs, force=force)
    return chosen if references is None else chosen.with_references(picture, references)


def for_described(reconstructor: R, said: Capture | None) -> R:
    """The reconstructor for what a file says of its picture; see ``described_capture``."""
    if said is None or reconstructor.capture is not None:
        return reconstructor
    if said == Capture.photograph():
        return reconstructor.for_photographs
    return reconstructor.replace(capture=said)


def agreeing(reconstructor: R, attrs: Mapping[Any, Any], *, force: bool = False) -> R:
    """The reconstructor, if its weights are for an image of these attributes.

    With ``force``, or of a reconstructor that was made with it, others pass, and its cubes say so.

    Raises:
        DataError: the image is of another track; says what would fit.
    """
    track, contract = str(attrs.get("track", "")), reconstructor.contract
    if reconstructor.is_told or track in _NO_TRACKS or serves(contract, track):
        return reconstructor
    if force or reconstructor.force:
        note = f"weights for {what_for(contract)}, image of the track {track!r}"
        return reconstructor.with_mismatch(note)
    state = ", or state which camera took it (capture=..., --camera)"
    raise DataError(
        f"these weights of {reconstructor.name} are for {what_for(contract)}, and this image says "
        f"that it is of {track!r}: the cube would be wrong; {what_fits(track)}"
        f"{state if contract.capture is None else ''}; for those who mean it, force=True (--force)"
    )


def serves(contract: Contract, track: str) -> bool:
    """Whether weights are for images of a track, as far as that is known.

    Those for a capture are, unless it is of another camera than all images of the track.
    """
    capture = capture_of(contract)
    if capture is None:
        return contract.track == track
    return not has_one_camera(track) or capture.camera_name == default_response(track)


def what_for(contract: Contract) -> str:
    """What weights are for, in words."""
    capture = capture_of(contract)
    if capture is None:
        return f"the track {contract.track!r}"
    return f"pictures of the camera {capture.camera_name!r}"


def what_fits(track: str) -> str:
    """Which weights are for images of a track."""
    if track in list_shipped():
        return f"use weights for it: respectra.load(track={track!r}) (--kind {track}) has some"
    return f"use weights that were trained for {track!r}"


def for_opened(reconstructor: R, picture: Picture) -> R:
    """The reconstructor for what the file of a picture says of it, where nothing else is told."""
    if picture.kind in ("srgb", "camera") and reconstructor.capture is None:
        return for_described(reconstructor, described_capture(picture.attrs))
    return reconstructor.for_kind(picture.kind)


def warn_of_another_camera(capture: Capture, attrs: Mapping[Any, Any], where: str) -> None:
    """Say so where a capture is of another camera than the attributes of the picture name."""
    model = str(attrs.get("camera_model", ""))
    name = capture.taken_by
    if name is None and not capture.is_photograph:
        name = capture.camera_name
    if not model or name is None:
        return
    words = set(re.findall(r"[a-z0-9]+", model.lower()))
    words = {word for word in words if any(c.isdigit() for c in word)} or words
    if not words & set(re.findall(r"[a-z0-9]+", name.lower())):
        warnings.warn(
            f"{where}: the capture is of the camera {name!r}, and the file says that "
            f"{model!r} took it",
            RespectraWarning,
            stacklevel=2,
        )


def for_first_picture(
    reconstructor: Reconstructor,
    path: Path,
    kind: InputKind,
    capture: Capture | None,
    quantity: Quantity | None,
    references: References | None,
    picture_options: PictureOptions | None = None,
) -> Reconstructor:
    """The reconstructor for all pictures of a capture, whose places are those of its first one.

    Args:
        reconstructor: for no capture yet.
        path: a picture, in which the rectangle of a white and the references lie.
        kind: what its values are.
        capture: what is known; None: nothing.
        quantity: what comes out; by default as :meth:`Reconstructor.with_capture` has it.
        references: those of the capture by default.
        picture_options: how to read the picture.
    """
    options = (picture_options or PictureOptions()).model_dump()
    picture = open_picture(path, kind, **options)
    said = described_capture(picture.attrs) if kind in ("srgb", "camera") else None

    photograph = kind in ("srgb", "linear")
    if capture is None and quantity is not None:
        capture = Capture()
    if capture is None:
        bound = for_opened(reconstructor, picture)
    else:
        if said is not None and capture.camera is None:
            capture = said.replace(**capture.known())
        elif photograph and capture.camera is None:
            capture = Capture.photograph(**capture.known())
        warn_of_another_camera(capture, picture.attrs, str(picture.path))
        references = references or capture.references
        capture = capture.replace(references=None)
        if capture.needs_picture:
            capture = capture.resolve(open_image(path, encoding=input_encoding(kind), **options))
        bound = reconstructor.with_capture(capture, quantity=quantity)
    if references is None:
        return bound
    from respectra.inference.references import correct_picture

    picture.convert = functools.partial(bound.values_of, kind=kind)
    return bound.with_correction(correct_picture(bound, picture, references))
