"""What every command that takes pictures may be told of how they were taken."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from respectra.errors import ConfigError

if TYPE_CHECKING:
    from respectra.cameras import Capture, InputKind, PictureOptions, References
    from respectra.inference import Reconstructor


class QuantityName(StrEnum):
    """What a cube holds."""

    REFLECTANCE = "reflectance"
    RADIANCE = "radiance"


CameraOption = Annotated[
    str | None,
    typer.Option(
        "--camera",
        metavar="NAME|FILE",
        help="Camera that took the pictures: a name that 'respectra cameras' lists, srgb for "
        "developed photos, or a CSV, NPZ or MATLAB file of its response.",
    ),
]
LightOption = Annotated[
    str | None,
    typer.Option(
        "--light",
        metavar="NAME|FILE",
        help="Light on the scene: A, D50, FL2, LED-B3, ..., planck:2856, daylight:5200, or a file.",
    ),
]
WhiteOption = Annotated[
    str | None,
    typer.Option(
        "--white",
        metavar="X,Y,W,H|R,G,B|auto",
        help="What a perfect white gives: a rectangle of the (first) picture, linear R,G,B in "
        "shares of full scale, or auto: estimated from the (first) picture.",
    ),
]
ReferencesOption = Annotated[
    Path | None,
    typer.Option(
        "--references",
        metavar="CSV",
        help="Known spectra of the (first) picture: y,x[,height,width],400,410,...,700.",
    ),
]
ReferencesFromOption = Annotated[
    Path | None,
    typer.Option(
        "--references-from",
        metavar="CUBE",
        help="A cube of the same place, whose spectra serve as references.",
    ),
]
MaterialsOption = Annotated[
    Path | None,
    typer.Option(
        "--materials",
        metavar="CSV",
        help="Spectra of what is in the scene, as a prior: name,400,410,...,700.",
    ),
]
CaptureOption = Annotated[
    Path | None,
    typer.Option("--capture", metavar="JSON", help="A capture, as Capture.save writes it."),
]
QuantityOption = Annotated[
    QuantityName | None,
    typer.Option(
        "--quantity",
        help="What comes out; by default reflectance of photos and where the light is known.",
    ),
]


@dataclass(frozen=True)
class Told:
    """What a command line tells of the pictures."""

    capture: Capture | None = None
    quantity: Any = None
    references: References | None = None
    references_from: Path | None = None
    materials: Path | None = None

    def __bool__(self) -> bool:
        return any(
            fact is not None
            for fact in (
                self.capture,
                self.quantity,
                self.references,
                self.references_from,
                self.materials,
            )
        )

    def facts(self) -> dict[str, Any]:
        """As plain values, on which finished cubes depend."""
        if not self:
            return {}
        return {
            "capture": None if self.capture is None else self.capture.to_json(),
            "quantity": self.quantity,
            "references": None if self.references is None else self.references.to_json(),
            "references_from": self.references_from and str(self.references_from),
            "materials": self.materials and str(self.materials),
        }

    def bind(
        self,
        reconstructor: Reconstructor,
        path: Path,
        kind: InputKind,
        picture_options: PictureOptions | None = None,
    ) -> Reconstructor:
        """The reconstructor for pictures of a kind, of which this is the first.

        Raises:
            RespectraError: what is told cannot be, or not of this picture.
        """
        from respectra.inference.video_reader import CLIP_SUFFIXES

        if not self and path.suffix.lower() in CLIP_SUFFIXES:
            return reconstructor.for_kind(kind)
        from respectra.inference.capture import for_first_picture

        bound = for_first_picture(
            reconstructor,
            path,
            kind,
            self.capture,
            self.quantity,
            self.references,
            picture_options,
        )
        if self.references_from is None and self.materials is None:
            return bound
        from respectra.inference.libraries import correct_by_cube, correct_by_materials

        if self.references_from is not None:
            return correct_by_cube(bound, path, kind, self.references_from)
        assert self.materials is not None
        return correct_by_materials(bound, path, kind, self.materials)


def read_told(
    *,
    camera: str | None = None,
    light: str | None = None,
    white: str | None = None,
    capture: Path | None = None,
    quantity: QuantityName | None = None,
    references: Path | None = None,
    references_from: Path | None = None,
    materials: Path | None = None,
) -> Told:
    """What these options tell; single facts win over those of a capture file.

    Raises:
        ConfigError: options that exclude each other, or a white that is none.
        RespectraError: a file or a name that is not known.
    """
    from respectra.cameras import Capture, References

    sources = [x for x in (references, references_from, materials) if x is not None]
    if len(sources) > 1:
        raise ConfigError(
            "--references, --references-from and --materials exclude each other; give one"
        )
    facts: dict[str, Any] = {}
    if camera is not None:
        facts["camera"] = camera
    if light is not None:
        facts["light"] = light
    if white is not None:
        facts["white"] = white if white == "auto" else _numbers(white)
    told = None if capture is None else Capture.load(capture)
    if facts:
        told = Capture(**facts) if told is None else told.replace(**facts)
    return Told(
        told,
        None if quantity is None else quantity.value,
        None if references is None else References.from_csv(references),
        references_from,
        materials,
    )


def _numbers(text: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in (3, 4):
        raise ConfigError(
            f"--white takes R,G,B in shares of full scale, or x,y,width,height of a rectangle in "
            f"pixels; got {text!r}"
        )
    return numbers
