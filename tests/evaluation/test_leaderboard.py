"""Ranks: ties, missing entries, tracks; published tables stay apart."""

from __future__ import annotations

import pytest

from respectra.errors import ConfigError
from respectra.evaluation import (
    EvaluationOptions,
    Protocol,
    Results,
    Row,
    make_leaderboard,
    published_table,
)
from respectra.evaluation.leaderboard import to_html, to_markdown
from respectra.evaluation.protocol import SceneRecord


def results(scores: dict[str, list[float]], track: str = "clean", **options: object) -> Results:
    scenes = tuple(SceneRecord(name=f"s{n}", truth="0") for n in range(2))
    protocol = Protocol(
        options=EvaluationOptions(tracks=(track,), **options),
        collections={},
        scenes=scenes,
        versions={},
    )
    rows = tuple(
        Row("main", f"s{n}", track, 0, name, "plain", name, {"mrae": v, "rmse": v / 2})
        for name, values in scores.items()
        for n, v in enumerate(values)
    )
    return Results(protocol, rows)


def test_ranks_share_ties_and_leave_out_who_lacks_scenes():
    scores = {"a": [0.2, 0.4], "b": [0.3, 0.3], "c": [0.1, 0.1], "d": [0.5, 0.5], "e": [0.01]}
    (board,) = make_leaderboard([results(scores)])
    assert [row[:3] for row in board.rows] == [
        ("1", "c", "0.10000"),
        ("2", "a", "0.30000"),
        ("2", "b", "0.30000"),
        ("4", "d", "0.50000"),
        ("–", "e", "0.01000 [1/2]"),
    ]


def test_same_protocol_joins_and_another_stands_apart():
    one, two = results({"a": [0.2, 0.2]}), results({"b": [0.1, 0.1]})
    other = results({"z": [0.1, 0.1]}, floor=0.01)
    boards = make_leaderboard([one, two, other])
    assert [[row[1] for row in board.rows] for board in boards] == [["b", "a"], ["z"]]


def test_tracks_have_boards_of_their_own():
    boards = make_leaderboard(
        [results({"a": [0.2, 0.2]}), results({"a": [0.3, 0.3]}, "real-world")]
    )
    assert [board.title for board in boards] == ["Clean", "Real World"]
    assert [board.rows[0][2] for board in boards] == ["0.20000", "0.30000"]


def test_two_methods_of_one_name_are_refused():
    first, second = results({"a": [0.1, 0.1]}), results({"a": [0.2, 0.2]})
    renamed = Results(
        second.protocol, tuple(Row(**{**vars(row), "fingerprint": "x"}) for row in second.rows)
    )
    with pytest.raises(ConfigError, match="two different methods are called 'a'"):
        make_leaderboard([first, renamed])


def test_an_unknown_metric_or_test_is_refused():
    with pytest.raises(ConfigError, match="mrae"):
        make_leaderboard([results({"a": [0.1, 0.1]})], metric="mare")
    with pytest.raises(ConfigError, match="unknown test"):
        make_leaderboard([results({"a": [0.1, 0.1]})], test="shuffle-5")


def test_formats_hold_the_same():
    boards = make_leaderboard([results({"a|b": [0.1, 0.1], "<i>": [0.2, 0.2]})])
    markdown, page = to_markdown(boards), to_html(boards)
    assert "a\\|b" in markdown
    assert "&lt;i&gt;" in page
    assert "<i>" not in page
    assert "http" not in page
    for text in (markdown, page, boards[0].to_text()):
        assert "0.10000" in text


def test_a_wide_table_is_split_into_ones_that_fit():
    table = published_table("2")
    parts = table.split(60)
    assert len(parts) > 1
    assert [c for part in parts for c in part.columns[1:]] == list(table.columns[1:])
    assert all(part.columns[0] == "Team" for part in parts)
    assert all(len(line) <= 60 for part in parts for line in part.to_text().split("\n")[1:-1])
    assert table.split(500) == (table,)


def test_published_tables_are_the_reports_and_labelled():
    first, second, third = (published_table(n) for n in ("1", "2", "3"))
    assert len(first.rows) == 14
    assert first.rows[0][2:5] == ("0.03010", "1", "0.01293")
    assert second.rows[10][:2] == ("StaffsCVL", "0.034")
    assert third.rows[3] == (
        "IPIC_SSR", "Real World", "0.12556", "0.45796", "0.08000", "0.06598", "0.03290", "0.07944",
    )  # fmt: skip
    assert first.columns == (
        "Team", "User name", "Clean MRAE", "Rank", "RMSE", "Real World MRAE", "Rank", "RMSE",
    )  # fmt: skip
    assert all("published on ARAD" in table.title for table in (first, second, third))


def test_published_ranks_are_those_of_the_published_scores():
    rows = published_table("1").rows
    for score, rank in ((2, 3), (5, 6)):
        entries = sorted((float(r[score]), int(r[rank])) for r in rows if r[score] != "–")
        assert [place for _, place in entries] == list(range(1, len(entries) + 1))
