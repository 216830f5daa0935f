"""What must hold for every network: the checks of ``respectra.testing`` over the registry.

A new network gets all of this by being there: ``pytest tests/methods/test_battery.py -k NAME``.
"""

from __future__ import annotations

import pytest

from respectra.methods import get_network, list_methods
from respectra.methods.network import NetworkMethod
from respectra.testing import NETWORK_CHECKS, Check, NotApplicable
from respectra.testing.network_parts import one_thread

#: Cheap by its arithmetic, in which scans have no part, and yet half a minute for a frame.
SCANS = frozenset({"gmsr"})

each_check = pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=check.name, marks=[pytest.mark.slow] if check.slow else [])
        for check in NETWORK_CHECKS
    ],
)


@each_check
@pytest.mark.parametrize("name", list_methods("network"))
def test_network(name: str, check: Check[NetworkMethod]) -> None:
    if name in SCANS and check.name == "memory_of_one_frame_is_below_the_claim":
        pytest.skip("takes too long here; measured by benchmarks/frame.py")
    with one_thread():
        try:
            check.run(get_network(name))
        except NotApplicable as reason:
            pytest.skip(str(reason))
