"""Every reader with damaged files; the whole of it is ``benchmarks/fuzz.py``."""

import os

import pytest

pytest.importorskip("resource", reason="needs limits of a process's memory")

from benchmarks.fuzz import fuzz
from benchmarks.fuzz_kinds import kinds

#: RESPECTRA_FUZZ=1000 reads that many new damaged files of each kind.
COUNT = int(os.environ.get("RESPECTRA_FUZZ", "0"))


def test_damaged_files_end_in_one_clear_error():
    report = fuzz(COUNT or 4)
    assert report.problems == []
    assert len(report.tried) >= 30


NAMES = [kind.name for kind in kinds()]
#: Files of these take 5 to 20 milliseconds each; the 2 000 of each are a test of their own.
LONG = {"cube tiff", "image heic", "image raw"}.intersection(NAMES)
LONG |= {name for name in NAMES if name.startswith("cube zarr")}
QUICK = [name for name in NAMES if name not in LONG]
PARTS = 6
IN_ALL = 100_000


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_two_thousand_damaged_files_of_each_quick_kind(part):
    report = fuzz(2000, only=tuple(QUICK[part::PARTS]))
    assert report.problems == []
    assert set(report.tried.values()) == {2000}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(LONG))
def test_two_thousand_damaged_files_of_each_other_kind(name):
    report = fuzz(2000, seed=1, only=(name,))
    assert report.problems == []
    assert report.tried == {name: 2000}


@pytest.mark.exhaustive
@pytest.mark.parametrize("part", range(PARTS))
def test_a_hundred_thousand_damaged_files_over_all(part):
    each = -(-IN_ALL // len(NAMES))
    assert fuzz(each, seed=2, only=tuple(NAMES[part::PARTS])).problems == []


def test_kinds_are_chosen_by_their_names():
    assert fuzz(0, only=("journal", "cube matlab 5")).tried == {"cube matlab 5": 0, "journal": 0}
