"""Every reader with damaged files; the whole of it is ``benchmarks/fuzz.py``."""

import os

import pytest

pytest.importorskip("resource", reason="needs limits of a process's memory")

from benchmarks.fuzz import fuzz
from benchmarks.fuzz_kinds import kinds

#: RESPECTRA_FUZZ=1000 reads that many new damaged files of each kind.
COUNT = int(os.environ.get("RESPECTRA_FUZZ", "0"))


def test_damaged_files_end_in_one_clear_error():
    report = fuzz(COUNT or 10)
    assert report.problems == []
    assert len(report.tried) >= 30


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", [kind.name for kind in kinds()])
def test_two_thousand_damaged_files_of_each_kind(name):
    report = fuzz(2000, seed=1, only=(name,))
    assert report.problems == []
    assert report.tried[name] == 2000
