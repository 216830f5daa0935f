import pytest

from respectra.errors import ConfigError, DataError, FormatError
from respectra.guards import limits
from respectra.guards.limits import refuse_bomb

MB = 2**20


def test_small_and_honest_files_pass():
    refuse_bomb("a", needed_bytes=200 * MB, stored_bytes=1000)  # a constant cube
    refuse_bomb("a", needed_bytes=3000 * MB, stored_bytes=100 * MB)
    refuse_bomb("a", needed_bytes=10, stored_bytes=10, compressed=False)
    refuse_bomb("a", needed_bytes=1, stored_bytes=2**20, pieces=2**17)


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ({"needed_bytes": 4700 * MB, "stored_bytes": MB}, "would grow from 1,048,576"),
        ({"needed_bytes": 11, "stored_bytes": 10, "compressed": False}, "promises 11 bytes"),
        ({"needed_bytes": 0, "stored_bytes": 4096, "pieces": 250_000}, "250,000 pieces"),
        ({"needed_bytes": -1, "stored_bytes": 10}, "negative sizes"),
    ],
)
def test_bombs_are_refused(claim, message):
    with pytest.raises(FormatError, match=message):
        refuse_bomb("a.tif", **claim)


def test_memory_counts_what_is_needed_besides(monkeypatch):
    monkeypatch.setattr(limits, "free_memory", lambda: 100 * MB)
    refuse_bomb("a", needed_bytes=60 * MB, stored_bytes=60 * MB, working_bytes=40 * MB)
    with pytest.raises(DataError, match=r"needs 0\.1 GiB of memory and 0\.1 GiB is free"):
        refuse_bomb("a", needed_bytes=60 * MB, stored_bytes=60 * MB, working_bytes=41 * MB)


def test_those_who_know_their_files_can_raise_the_limit(monkeypatch):
    claim = {"needed_bytes": 300 * MB, "stored_bytes": MB}
    with pytest.raises(FormatError, match="RESPECTRA_MAX_EXPANSION"):
        refuse_bomb("a", **claim)
    monkeypatch.setenv("RESPECTRA_MAX_EXPANSION", "400")
    refuse_bomb("a", **claim)
    for wrong in ("many", "-1", "nan"):
        monkeypatch.setenv("RESPECTRA_MAX_EXPANSION", wrong)
        with pytest.raises(ConfigError, match="is a positive number"):
            refuse_bomb("a", **claim)


def test_free_memory_is_plausible():
    assert 2**20 < limits.free_memory() < 2**50
