"""What a client says of how its picture was taken, for the worker."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from respectra.cameras import Capture, References
from respectra.config import Config
from respectra.inference import Reconstructor
from respectra.inference.known import KnownFacts, stated_capture


class Stated(Config):
    """Facts of a capture. Names are checked by the service, paths are chosen by it."""

    camera: str | None = None
    camera_file: Path | None = None
    light: str | None = None
    light_file: Path | None = None
    white: Literal["auto"] | tuple[float, ...] | None = None
    capture: Path | None = None
    references: Path | None = None
    quantity: Literal["reflectance", "radiance"] | None = None

    def to_capture(self) -> Capture | None:
        """The capture that this makes; single facts win over those of a capture file.

        Raises:
            RespectraError: a file or a value that cannot be one.
        """
        return stated_capture(
            self.capture,
            camera=self.camera_file or self.camera,
            light=self.light_file or self.light,
            white=self.white,
        )

    def known(self) -> KnownFacts:
        """The same with the known spectra, as the command line states it.

        Raises:
            RespectraError: a file or a value that cannot be one.
        """
        table = self.references
        references = None if table is None else References.from_csv(table)
        return KnownFacts(self.to_capture(), self.quantity, references)

    def references_in_picture(self) -> References | None:
        """The known spectra that have a place in the picture, to be shown with the result.

        Raises:
            RespectraError: a table or a capture that is none.
        """
        known = self.known()
        references = known.references
        if references is None and known.capture is not None:
            references = known.capture.references
        return None if references is None or references.points is None else references


#: What the numbers of a cube are, in words.
_QUANTITIES = {
    "reflectance": "reflectance: the share of the light that comes back, relative to white",
    "radiance": "radiance: the light that reached the camera, in relative units",
}


def in_words(reconstructor: Reconstructor) -> dict[str, str]:
    """What comes out and what was assumed, for people; see ``SceneManifest.facts``."""
    contract, capture = reconstructor.contract, reconstructor.capture
    words = {"quantity": _QUANTITIES[contract.quantity]}
    correction = reconstructor.guarantees.correction
    if correction is not None:
        words["references"] = correction.summary
    if capture is None:
        return words
    light, assumed = capture.light, capture.light is None
    if light is None:
        light = capture.assumed_light(contract.wavelengths_nm)
    name = str(light.attrs["name"])
    words["light"] = f"{name}, assumed: nobody said which" if assumed else name
    if capture.camera_name is not None:
        words["camera"] = capture.camera_name
    if capture.is_photograph:
        words["camera"] = f"developed photo, {capture.camera_name}"
    if contract.camera_matrix is not None:
        words["camera"] += f"; brought to the camera of {reconstructor.name} by a 3 × 3 matrix"
    if capture.describe():
        words["assumed"] = capture.describe()
    return words
