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


#: Kinds are read by several processes, some in each.
PARTS = 8


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_two_thousand_damaged_files_of_each_kind(part):
    names = [kind.name for kind in kinds()][part::PARTS]
    report = fuzz(2000, only=tuple(names))
    assert report.problems == []
    assert report.tried == dict.fromkeys(names, 2000)


def test_kinds_are_chosen_by_their_names():
    assert fuzz(0, only=("journal", "cube matlab 5")).tried == {"cube matlab 5": 0, "journal": 0}
