"""The list of methods: a table on a terminal, lines in a pipe, JSON, one in full."""

from __future__ import annotations

import importlib
import io
import json

import pytest
from rich.console import Console

from respectra.cli import app as application
from respectra.methods import Score, get_card, list_methods
from respectra.methods.measure import get_facts

run = importlib.import_module("respectra.cli.app").run
command = importlib.import_module("respectra.cli.methods")


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, width: int, *arguments: str) -> str:
    screen = io.StringIO()
    console = Console(
        file=screen, width=width, force_terminal=True, color_system=None, soft_wrap=True
    )
    monkeypatch.setattr(command, "out", console)
    assert run(["methods", *arguments]) == 0
    return screen.getvalue()


def test_is_a_command() -> None:
    assert "methods" in [
        info.name or info.callback.__name__  # type: ignore[union-attr]
        for info in application.registered_commands
    ]


@pytest.mark.parametrize("width", [80, 120])
def test_table_names_every_method_once_and_fits(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    lines = on_a_terminal(monkeypatch, width).splitlines()
    assert max(map(len, lines)) <= width
    starts = [line.split()[0] for line in lines if line and not line.startswith(" ")]
    for name in list_methods():
        assert starts.count(name) == 1


def test_networks_are_listed_by_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    text = on_a_terminal(monkeypatch, 120)
    ranked = sorted((get_card(n).rank.get("clean", 99), n) for n in list_methods("network"))
    places = [text.index(f"\n{name} ") for rank, name in ranked if rank < 99]
    assert places == sorted(places)


def test_one_method_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(on_a_terminal(monkeypatch, 100, "rpan").split())
    card = get_card("rpan")
    for piece in (card.summary, card.tiling_reason, "2,559,104", "631.5 GMAC", "141 px"):
        assert piece in text
    for decision in card.decisions:
        assert f"{decision.origin.value} {decision.what}" in text
    assert "real-world 2,565,791" in text
    assert "bias = True" in text


def test_classical_method_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list_methods("classical"):
        assert get_card(name).title in on_a_terminal(monkeypatch, 80, name)


def test_pipe_gets_one_line_a_method(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["methods"]) == 0
    heading, *lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == list_methods()
    assert {len(line) for line in lines} == {len(heading)}
    row = dict(zip(heading, lines[list_methods().index("rpan")], strict=True))
    assert row["parameters"] == "2559104"
    assert row["mrae_clean"] == "0.03601"
    assert row["mrae_arad_1k"] == "-"


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["methods", "lfb", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(get_facts("lfb").as_dict()))
    assert run(["methods", "--json"]) == 0
    assert [entry["name"] for entry in json.loads(capsys.readouterr().out)] == list_methods()


def test_unknown_method_is_one_line_with_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["methods", "rpna"]) == 1
    captured = capsys.readouterr()
    assert "did you mean 'rpan'" in captured.err
    assert captured.out == ""


def test_counts_are_short() -> None:
    shown = [command.short_count(v) for v in (None, 0, 999, 1000, 99_949, 99_999, 999_600, 17.46e6)]
    assert shown == ["", "0", "999", "1.0k", "99.9k", "100k", "1.0M", "17.5M"]


def test_scores_of_the_challenge_go_before_those_of_2022() -> None:
    card = get_card("rpan")
    both = card.model_copy(update={"reported": {**card.reported, "arad-1k": Score(mrae=0.25)}})
    assert command.mrae_text(both) == ".0360/.0678"
    later = card.model_copy(update={"reported": {"arad-1k": Score(mrae=0.1645)}})
    assert command.mrae_text(later) == "(.1645)"
    assert command.rank_text(card.model_copy(update={"rank": {"real-world": 4}})) == "–/4"
