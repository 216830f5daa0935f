"""Blocks cover what is divided once, on any number of threads."""

import pytest

from respectra.threads import available_cores, for_blocks


@pytest.mark.parametrize("threads", [1, 3, None])
@pytest.mark.parametrize(("length", "block"), [(0, 4), (3, 4), (4, 4), (10, 4)])
def test_blocks_are_the_same_for_any_number_of_threads(length, block, threads):
    seen = []
    for_blocks(lambda start, stop: seen.append((start, stop)), length, block, threads=threads)
    expected = [(i, min(i + block, length)) for i in range(0, length, block)]
    assert sorted(seen) == expected


@pytest.mark.parametrize("threads", [1, 2])
def test_errors_are_raised_where_it_was_called(threads):
    def work(start, stop):
        if start == 4:
            raise ValueError("five")

    with pytest.raises(ValueError, match="five"):
        for_blocks(work, 10, 2, threads=threads)


def test_there_is_at_least_one_core():
    assert available_cores() >= 1
