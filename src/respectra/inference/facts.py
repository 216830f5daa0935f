"""What is written down with a recovered cube."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from respectra.cubes import Quantity
from respectra.inference.tiling import Layout
from respectra.methods import Tiling

if TYPE_CHECKING:
    from respectra.inference.reconstructor import Reconstructor


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


def cube_facts(reconstructor: Reconstructor, layout: Layout | None = None) -> CubeFacts:
    """Quantity, source, method, track, capture, and how the picture was cut; None: as one."""
    name, contract = reconstructor.name, reconstructor.contract
    capture = reconstructor.capture
    facts: CubeFacts = {
        "quantity": contract.quantity,
        "source": f"reconstructed by {name}",
        "method": name,
        "track": contract.track,
    }
    if layout is not None and layout.policy is Tiling.APPROXIMATE and not layout.whole:
        facts["tiling"] = Tiling.APPROXIMATE.value
    if reconstructor.mismatch is not None:
        facts["contract_mismatch"] = reconstructor.mismatch
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


def describe(reconstructor: Reconstructor) -> str:
    """A reconstructor in words: method, size, use, bands, guarantees."""
    contract, capture = reconstructor.contract, reconstructor.capture
    grid = contract.wavelengths_nm
    use = f"the track {contract.track}"
    if capture is not None:
        use = f"a capture by {capture.camera_name or 'its own camera'}"
    parts = [
        f"{reconstructor.name}, {reconstructor.weights.parameters:,} values, for {use}",
        f"{len(grid)} bands from {grid[0]:g} to {grid[-1]:g} nm, {contract.quantity}",
    ]
    if reconstructor.guarantees.names:
        parts.append("guarantees: " + ", ".join(sorted(reconstructor.guarantees.names)))
    if reconstructor.self_ensemble != "none":
        parts.append(f"self-ensemble: {reconstructor.self_ensemble}")
    return f"<{type(reconstructor).__name__} {'; '.join(parts)}>"
