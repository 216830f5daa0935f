"""The package passes what Respectra's own parts pass."""

from __future__ import annotations

from respectra.testing import (
    check_classical,
    check_format,
    check_metric,
    check_network,
    check_test,
    check_track,
)


def test_network() -> None:
    check_network("small-net", slow=False)


def test_classical_method() -> None:
    check_classical("ratios")


def test_cube_format() -> None:
    check_format("plain-cube")


def test_track() -> None:
    check_track("rounded")


def test_metric() -> None:
    check_metric("largest_error")


def test_auxiliary_test() -> None:
    check_test("mirrored")
