"""What is known of pictures on disk, and the reconstructor that each of them gets by it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from respectra.cameras import (
    Capture,
    InputKind,
    PictureOptions,
    References,
    described_capture,
    open_picture,
    track_of_kind,
)
from respectra.cubes import Quantity
from respectra.cubes.parts import cube_hash
from respectra.datasets.scenes import AS_THE_FILES_SAY, Opening
from respectra.errors import ConfigError, DataError, RespectraWarning
from respectra.identity import content_hash
from respectra.inference.ensembles import ModelEnsemble, Recovers
from respectra.inference.jobs import is_clip
from respectra.inference.loading import load
from respectra.inference.reconstructor import Reconstructor

PathLike = str | os.PathLike[str]
#: What can recover pictures, or be loaded to.
Method = PathLike | Sequence[PathLike] | Recovers | Callable[[str], Recovers]
#: Reconstructors for other cameras, whites or colour spaces that are kept ready.
_KEPT_READY = 8


@dataclass(frozen=True)
class KnownFacts:
    """What is known of how pictures were taken and of what they show.

    Raises:
        ConfigError: spectra from more than one source.

    Example:
        >>> import respectra as rs
        >>> bool(rs.inference.KnownFacts(rs.Capture(light="A")))
        True
    """

    capture: Capture | None = None
    quantity: Quantity | None = None
    references: References | None = None
    """Known spectra of the (first) picture."""
    references_from: Path | None = None
    """A cube of the same place, whose spectra serve as references."""
    materials: Path | None = None
    """Spectra of what is in the scene, as a prior."""
    references_opening: Opening = AS_THE_FILES_SAY
    """How that cube is opened, where its file does not say."""

    def __post_init__(self) -> None:
        given = (self.references, self.references_from, self.materials)
        if sum(one is not None for one in given) > 1:
            raise ConfigError("references, references_from and materials exclude each other")

    def __bool__(self) -> bool:
        return self != KnownFacts()

    @property
    def has_places(self) -> bool:
        """Whether something is said of places or of the contents of the first picture."""
        spectra = (self.references, self.references_from, self.materials)
        told = self.capture is not None and (
            self.capture.needs_picture or self.capture.references is not None
        )
        return told or any(one is not None for one in spectra)

    def plain(self) -> dict[str, Any]:
        """As plain values, on which finished cubes depend."""
        if not self:
            return {}
        opening = self.references_opening.to_dict()
        return {
            "capture": None if self.capture is None else self.capture.to_json(),
            "quantity": self.quantity,
            "references": None if self.references is None else self.references.to_json(),
            "references_from": self.references_from and cube_hash(self.references_from),
            "materials": self.materials and content_hash(self.materials),
            **({"references_opening": opening} if opening else {}),
        }

    def bind(
        self,
        reconstructor: Recovers,
        path: Path,
        kind: InputKind,
        picture_options: PictureOptions | None = None,
    ) -> Recovers:
        """What recovers pictures of a kind, of which this is the first.

        Raises:
            RespectraError: what is known cannot be, or not of this picture.
        """
        return reconstructor.mapped(lambda member: self._bound(member, path, kind, picture_options))

    def _bound(
        self,
        reconstructor: Reconstructor,
        path: Path,
        kind: InputKind,
        picture_options: PictureOptions | None,
    ) -> Reconstructor:
        if is_clip(path):
            if not self:
                return reconstructor.for_kind(kind)
            from respectra.inference.video import first_frame

            with first_frame(path, kind) as picture:
                return self._bound(reconstructor, picture, kind, picture_options)
        from respectra.inference.binding import for_first_picture

        facts = self.capture, self.quantity, self.references
        bound = for_first_picture(reconstructor, path, kind, *facts, picture_options)
        if self.references_from is None and self.materials is None:
            return bound
        from respectra.inference.references import correct_by_cube, correct_by_materials

        if self.references_from is not None:
            return correct_by_cube(
                bound, path, kind, self.references_from, **self.references_opening.to_dict()
            )
        assert self.materials is not None
        return correct_by_materials(bound, path, kind, self.materials)


def stated_capture(file: Path | None, **facts: Any) -> Capture | None:
    """The capture that somebody states: single facts win over those of a capture file.

    Args:
        file: as ``Capture.save`` writes it; None: none.
        facts: by the names that ``Capture`` has for them; None: not stated.

    Returns:
        None where nothing is stated.

    Raises:
        RespectraError: a file or a value that cannot be one.
    """
    said = {name: value for name, value in facts.items() if value is not None}
    stated = None if file is None else Capture.load(file)
    if not said:
        return stated
    return Capture(**said) if stated is None else stated.replace(**said)


class Chosen:
    """The reconstructor for a picture: by its kind, and what its file says of its camera."""

    def __init__(
        self,
        method: Method,
        known: KnownFacts,
        reading: PictureOptions,
        options: Mapping[str, Any],
    ) -> None:
        self.method, self.known, self.reading, self.options = method, known, reading, options
        self._plain: dict[str, Recovers] = {}
        self._bound: dict[tuple[str, Any], Recovers] = {}
        self._failed: dict[tuple[str, Any], DataError] = {}

    def check(self, kind: InputKind) -> None:
        """Refuse what is stated where it can be of no picture.

        Raises:
            RespectraError: the camera or the light do not cover the bands, or are none.
        """
        capture = self.known.capture
        if capture is None or (capture.camera is None and kind == "camera"):
            return
        if capture.camera is None and kind in ("srgb", "linear"):
            capture = Capture.photograph(**capture.known())
        told, quantity = capture, self.known.quantity
        plain = self._for_track(track_of_kind(kind))
        with warnings.catch_warnings():  # they are said when the first picture is bound
            warnings.simplefilter("ignore", RespectraWarning)
            plain.mapped(lambda member: member.with_capture(told, quantity=quantity))

    def __call__(self, path: Path, kind: InputKind) -> Recovers:
        """The reconstructor for a picture or clip.

        Raises:
            RespectraError: what is stated cannot be, or not of the first picture of its kind.
        """
        key = kind, _said_of(path, kind, self.reading)
        if key in self._failed:  # no other picture has the places of the first one
            raise self._failed[key]
        if key not in self._bound:
            plain = self._for_track(track_of_kind(kind))
            # The first picture of a kind is the one in which places are stated: what was learned
            # from it stays.
            while len(self._bound) >= _KEPT_READY and not self.known:
                self._bound.pop(next(iter(self._bound)))
            try:
                self._bound[key] = self.known.bind(plain, path, kind, self.reading)
            except DataError as error:
                if self.known.has_places:
                    self._failed[key] = error
                raise
        return self._bound[key]

    def own_capture(self) -> Capture | None:
        """What a reconstructor or a weights file that is for one capture says of its pictures."""
        made = isinstance(self.method, Reconstructor | ModelEnsemble)
        if not made and not (
            isinstance(self.method, str | os.PathLike) and Path(self.method).is_file()
        ):
            return None
        plain = self._for_track("clean")
        return (plain.members[0] if isinstance(plain, ModelEnsemble) else plain).capture

    def _for_track(self, track: str) -> Recovers:
        if track not in self._plain:
            if isinstance(self.method, Reconstructor | ModelEnsemble):
                self._plain[track] = self.method
            elif callable(self.method):
                self._plain[track] = self.method(track)
            elif isinstance(self.method, str | os.PathLike):
                self._plain[track] = load(self.method, track=track, **self.options)
            else:
                members = [load(one, track=track, **self.options) for one in self.method]
                self._plain[track] = ModelEnsemble(members)
        return self._plain[track]


def _said_of(path: Path, kind: InputKind, options: PictureOptions) -> Any:
    """What the file says of its camera or colour space: pictures that differ in it are apart."""
    if kind not in ("srgb", "camera") or is_clip(path):
        return None
    return described_capture(open_picture(path, kind, **options.model_dump()).attrs)
