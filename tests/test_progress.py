"""One way of saying how far work is."""

import os
import pickle
import subprocess
import sys

import pytest

from respectra.cli.app import PlainLines
from respectra.progress import as_progress, tracked, unseen
from respectra.renaming import renamed_arguments


def test_items_are_counted_when_they_are_done():
    seen = []
    items = tracked("ab", lambda *state: seen.append(state), "reading")
    assert next(items) == "a"
    assert seen == [(0, 2, "reading")]
    assert list(items) == ["b"]
    assert seen == [(0, 2, "reading"), (1, 2, "reading"), (2, 2, "reading")]


def test_without_a_length_the_total_is_what_was_done():
    seen = []
    assert list(tracked(iter("ab"), lambda *state: seen.append(state), "reading")) == ["a", "b"]
    assert seen == [(0, 0, "reading"), (1, 1, "reading"), (2, 2, "reading")]


def test_a_function_of_two_is_taken_with_a_warning():
    seen = []
    with pytest.warns(DeprecationWarning, match=r"takes \(done, total, what\)"):
        progress = as_progress(lambda done, total: seen.append((done, total)))
    progress(1, 2, "piece")
    assert seen == [(1, 2)]


def test_what_fits_is_taken_as_it_is():
    assert as_progress(None) is unseen
    for progress in (print, PlainLines(), lambda done, total, what: None, lambda *state: None):
        assert as_progress(progress) is progress


def test_plain_lines_go_to_other_processes_and_are_not_too_many(capsys):
    lines = pickle.loads(pickle.dumps(PlainLines(every_s=3600.0)))
    for done in range(6):
        lines(done, 5, "step")
    assert capsys.readouterr().err == "step 0/5\nstep 5/5\n"


def test_arguments_and_names_of_the_version_before():
    @renamed_arguments(old="new")
    def function(new):
        return new

    assert function(new=1) == function(1) == 1
    with pytest.warns(DeprecationWarning, match=r"function\(old=...\) is now new="):
        assert function(old=2) == 2


def test_names_of_the_version_before():
    import respectra.cubes
    from respectra.colour import illuminant

    with pytest.warns(DeprecationWarning, match=r"cubes\.illuminant is now respectra\.colour"):
        assert respectra.cubes.illuminant is illuminant
    with pytest.raises(AttributeError, match="no attribute 'iluminant'"):
        respectra.cubes.iluminant  # noqa: B018


def test_forced_colours_do_not_make_bars_of_lines_through_a_pipe():
    code = (
        "from respectra.cli.app import show_progress\n"
        "with show_progress() as show:\n"
        "    for done in range(3): show(done, 2, 'counting')\n"
    )
    environment = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm-color"}
    command = [sys.executable, "-c", code]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert told.stderr.splitlines() == ["counting 0/2", "counting 1/2", "counting 2/2"]
