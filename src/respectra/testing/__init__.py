"""The tests that our own methods, formats, tracks and metrics pass, for those of other packages.

Each function runs a battery of checks over one entry and raises an AssertionError that names every
check that failed and what was seen. They need no test framework:

    from respectra.testing import check_network

    def test_my_network():
        check_network("my-network")
"""

from respectra.testing.base import Check, NotApplicable, run_checks
from respectra.testing.cameras import TRACK_CHECKS, check_track
from respectra.testing.classical import CLASSICAL_CHECKS, check_classical
from respectra.testing.formats import FORMAT_CHECKS, check_format
from respectra.testing.network import NETWORK_CHECKS, check_network
from respectra.testing.scores import METRIC_CHECKS, TEST_CHECKS, check_metric, check_test

__all__ = [
    "CLASSICAL_CHECKS",
    "FORMAT_CHECKS",
    "METRIC_CHECKS",
    "NETWORK_CHECKS",
    "TEST_CHECKS",
    "TRACK_CHECKS",
    "Check",
    "NotApplicable",
    "check_classical",
    "check_format",
    "check_metric",
    "check_network",
    "check_test",
    "check_track",
    "run_checks",
]
