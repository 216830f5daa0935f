"""What the laws share: they need a library that draws examples."""

import pytest

pytest.importorskip("hypothesis", reason="laws are tested with hypothesis, of the extra dev")

from hypothesis import HealthCheck, settings

# The same examples everywhere, and no haste: a busy machine draws them slowly.
settings.register_profile(
    "suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")
