"""What is written down with a recovered cube."""

from __future__ import annotations

from typing import TypedDict

from respectra.cameras import Capture
from respectra.cubes import Quantity
from respectra.inference.tiling import Layout
from respectra.methods import Contract, Tiling


class CubeFacts(TypedDict, total=False):
    """Attributes of a recovered cube."""

    quantity: Quantity
    source: str
    method: str
    track: str
    tiling: str
    capture: str
    camera: str
    light: str
    assumed: str
    camera_matrix: str
    contract_mismatch: str
    ensemble: str


def cube_facts(
    name: str, contract: Contract, capture: Capture | None, layout: Layout | None = None
) -> CubeFacts:
    """Quantity, source, method, track, capture, and how the picture was cut.

    Args:
        name: of the method.
        contract: of its weights.
        capture: that the contract is for.
        layout: of the picture; None: as one.
    """
    facts: CubeFacts = {
        "quantity": contract.quantity,
        "source": f"reconstructed by {name}",
        "method": name,
        "track": contract.track,
    }
    if layout is not None and layout.policy is Tiling.APPROXIMATE and not layout.whole:
        facts["tiling"] = Tiling.APPROXIMATE.value
    if capture is None:
        return facts
    assert contract.capture is not None
    light = capture.light
    if light is None:
        light = capture.assumed_light(contract.wavelengths_nm)
    facts["capture"], facts["light"] = contract.capture, str(light.attrs["name"])
    if capture.camera_name is not None:
        facts["camera"] = capture.camera_name
    if assumed := capture.describe():
        facts["assumed"] = assumed
    if contract.camera_matrix is not None:
        facts["camera_matrix"] = (
            f"the picture was brought to the camera of {name} by a 3 x 3 matrix"
        )
    return facts
