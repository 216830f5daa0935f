"""What the laws share: they need a library that draws examples."""

import pytest

pytest.importorskip("hypothesis", reason="laws are tested with hypothesis, of the extra dev")
