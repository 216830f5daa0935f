"""Options of every command that takes pictures: how they were taken."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from respectra.cli.help import CUBE_FILES, TOLD
from respectra.cli.options import option
from respectra.errors import ConfigError

if TYPE_CHECKING:
    from respectra.inference.known import KnownFacts


class QuantityName(StrEnum):
    """What a cube holds."""

    REFLECTANCE = "reflectance"
    RADIANCE = "radiance"


CameraOption = Annotated[
    str | None,
    option(
        "NAME|FILE",
        "Camera that took the pictures: a name that 'respectra cameras' lists, srgb for "
        "developed photos, or a CSV, NPZ or MATLAB file of its response.",
        TOLD,
        unset="not known",
    ),
]
LightOption = Annotated[
    str | None,
    option(
        "NAME|FILE",
        "Light on the scene: A, D50, FL2, LED-B3, ..., planck:2856 or "
        "daylight:5200 (kelvin), or a file.",
        TOLD,
        unset="not known",
    ),
]
WhiteOption = Annotated[
    str | None,
    option(
        "X,Y,W,H|R,G,B|auto",
        "What a perfect white gives: a rectangle of the (first) picture, linear R,G,B in "
        "shares of full scale, or auto: estimated from the (first) picture.",
        TOLD,
        unset="not known",
    ),
]
ReferencesOption = Annotated[
    Path | None,
    option(
        "CSV",
        "Known spectra of the (first) picture: y,x[,height,width],400,410,...,700 (nm).",
        TOLD,
        unset="none",
    ),
]
ReferencesFromOption = Annotated[
    Path | None,
    option(
        "CUBE", "A cube of the same place, whose spectra serve as references.", TOLD, unset="none"
    ),
]
ReferencesQuantityOption = Annotated[
    QuantityName | None,
    option(None, "What the values of --references-from are.", CUBE_FILES, unset="as the file says"),
]
MaterialsOption = Annotated[
    Path | None,
    option(
        "CSV",
        "Spectra of what is in the scene, as a prior: name,400,410,...,700 (nm).",
        TOLD,
        unset="none",
    ),
]
CaptureOption = Annotated[
    Path | None,
    option("JSON", "A capture, as Capture.save or calibrate writes it.", TOLD, unset="none"),
]
QuantityOption = Annotated[
    QuantityName | None,
    option(
        None, "What comes out.", TOLD, unset="reflectance of photos and where the light is known"
    ),
]


def known_facts(
    *,
    camera: str | None = None,
    light: str | None = None,
    white: str | None = None,
    capture: Path | None = None,
    quantity: QuantityName | None = None,
    references: Path | None = None,
    references_from: Path | None = None,
    materials: Path | None = None,
    key: str | None = None,
    axes: str | None = None,
    references_quantity: QuantityName | None = None,
) -> KnownFacts:
    """What these options say; single facts win over those of a capture file.

    ``key``, ``axes`` and ``references_quantity`` are of the cube of ``references_from``.

    Raises:
        ConfigError: options that exclude each other, or a white that is none.
        RespectraError: a file or a name that is not known.
    """
    from respectra.cameras import Capture, References
    from respectra.datasets.scenes import Opening
    from respectra.inference.known import KnownFacts

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
    stated = None if capture is None else Capture.load(capture)
    if facts:
        stated = Capture(**facts) if stated is None else stated.replace(**facts)
    return KnownFacts(
        stated,
        None if quantity is None else quantity.value,
        None if references is None else References.from_csv(references),
        references_from,
        materials,
        Opening(key, axes, None if references_quantity is None else references_quantity.value),
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
