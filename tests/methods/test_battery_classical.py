"""What must hold for every classical method: ``respectra.testing`` over the registry."""

from __future__ import annotations

import pytest

from respectra.methods import get_classical, list_methods
from respectra.methods.classical.base import ClassicalEntry
from respectra.testing import CLASSICAL_CHECKS, Check


@pytest.mark.parametrize("check", CLASSICAL_CHECKS, ids=lambda check: check.name)
@pytest.mark.parametrize("name", list_methods("classical"))
def test_classical_method(name: str, check: Check[ClassicalEntry]) -> None:
    check.run(get_classical(name))
