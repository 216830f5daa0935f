"""A journal is what was written to it, or says that it is not."""

import json
import os

import pytest

from respectra.errors import FormatError, OutputError
from respectra.journal import Journal

FACTS = {"method": "a", "sizes": [1, 2]}


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "journal", FACTS)
    journal.begin()
    for piece in range(3):
        journal.append({"piece": piece, "share": 0.1 * piece})
    return journal


def test_it_is_continued_with_what_it_said(journal):
    again = Journal.resume(journal.path, FACTS)
    assert again.begun
    assert again.records == journal.records
    again.append({"piece": 3})
    assert [r["piece"] for r in Journal.resume(journal.path, FACTS).records] == [0, 1, 2, 3]


def test_other_facts_do_not_continue_it(journal):
    again = Journal.resume(journal.path, {**FACTS, "method": "b"})
    assert not again.begun
    assert again.records == []
    assert not Journal.resume(journal.path.with_name("none"), FACTS).begun


def test_a_line_cut_short_anywhere_counts_as_not_written(journal):
    text = journal.path.read_bytes()
    begin = text[:-1].rfind(b"\n") + 1
    for end in range(begin, len(text)):
        journal.path.write_bytes(text[:end])
        again = Journal.resume(journal.path, FACTS)
        assert [r["piece"] for r in again.records] == [0, 1]
        again.append({"piece": 2, "share": 0.2})
        assert journal.path.read_bytes() == text


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("how", ["edited", "left out", "bare", "garbled", "twice"])
def test_a_changed_line_is_an_error(journal, number, how):
    lines = journal.path.read_text().splitlines()
    entry = json.loads(lines[number])
    line = {
        "edited": [json.dumps({**entry, "piece": 7})],
        "left out": [],
        "bare": [json.dumps({"piece": number})],
        "garbled": ["[" * 5000],
        "twice": [lines[number]] * 2,
    }
    journal.path.write_text("\n".join([*lines[:number], *line[how], *lines[number + 1 :]]) + "\n")
    if (how, number) == ("left out", 3):
        assert len(Journal.resume(journal.path, FACTS).records) == 2
    else:
        with pytest.raises(FormatError, match=r"line \d is not as it was written; delete"):
            Journal.resume(journal.path, FACTS)


def test_lines_without_hashes_are_those_of_earlier_versions(tmp_path):
    path = tmp_path / "manifest.jsonl"
    path.write_text('{"a": 1}\n{"a": \n{"a": 2}\n')
    journal = Journal.resume(path)
    assert journal.records == [{"a": 1}, {"a": 2}]
    journal.append({"a": 3})
    assert Journal.resume(path).records == [{"a": 1}, {"a": 2}, {"a": 3}]
    with path.open("a") as file:
        file.write('{"a": 4}\n{"a": 5}\n')
    with pytest.raises(FormatError, match="line 5"):
        Journal.resume(path)


def test_a_vanished_folder_is_not_made_again(journal):
    journal.path.unlink()
    with pytest.raises(OutputError, match=r"cannot write .*run the same command again"):
        journal.append({"piece": 9})
    assert not journal.path.exists()


def test_a_full_disk_leaves_whole_lines(journal, monkeypatch):
    before = journal.path.read_bytes()
    write = os.write

    def full(fd, data):
        if len(data) < 20:
            raise OSError(28, "No space left on device")
        return write(fd, data[:20])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OutputError, match="No space left"):
        journal.append({"piece": 3, "text": "x" * 50})
    monkeypatch.undo()
    assert journal.path.read_bytes() == before
    journal.append({"piece": 3})
    assert len(Journal.resume(journal.path, FACTS).records) == 4
