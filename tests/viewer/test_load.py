"""The load of benchmarks/service_load.py, in its shortest form."""

import pytest
from benchmarks.service_load import measure


@pytest.mark.slow
def test_more_clients_than_places_are_served_or_told_to_come_back():
    result = measure(clients=20, seconds=6.0, warm_s=12.0, settle_s=0.0, least=15)
    counts = result["counts"]
    assert counts["done"] >= 15
    assert not [what for what in counts if what.startswith(("broken", "failed", "read refused"))]
    refused = {what for what in counts if "refused" in what}
    assert refused <= {"submit refused (429)", "submit refused (503)", "upload refused (503)"}
    assert result["memory_ratio"] < 1.25
