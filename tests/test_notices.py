"""What takes a moment the first time is said, once."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import numba
import pytest

from respectra import notices
from respectra.cli import app, load_commands  # noqa: F401
from respectra.cli.app import run
from respectra.inference.cache import remember


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "_said", set())


def test_a_measurement_is_said_once_and_not_when_it_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RESPECTRA_CACHE", str(tmp_path))
    caplog.set_level(logging.INFO, "respectra.notices")
    assert remember("memory", "a", lambda: 1) == 1
    assert remember("memory", "b", lambda: 2) == 2
    assert [record.getMessage() for record in caplog.records] == [
        "measuring how much memory a tile takes on this machine; it takes some seconds, once"
    ]
    notices._said.clear()
    caplog.clear()
    assert remember("memory", "a", lambda: 3) == 1
    assert not caplog.records


def test_compiling_is_said_for_our_functions_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "respectra.notices")
    notices.watch_compiler()
    notices.watch_compiler()

    def double(x: int) -> int:
        return 2 * x

    double.__module__ = "another.package"
    assert numba.njit(double)(2) == 4
    assert not caplog.records
    double.__module__ = "respectra.somewhere"
    assert numba.njit(double)(2) == 4
    assert ["compiling" in record.getMessage() for record in caplog.records] == [True]


def test_the_command_line_shows_notices_on_standard_error(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert run(["--version"]) == 0
    notices.say_once("measuring something")
    shown = capfd.readouterr()
    assert "measuring something" in shown.err
    assert "measuring" not in shown.out


@pytest.mark.parametrize("prompt", [False, True])
def test_a_person_at_a_prompt_sees_them_and_a_script_stays_silent(
    prompt: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(notices.logger, "handlers", [])
    monkeypatch.setattr(notices.logger, "level", logging.NOTSET)
    monkeypatch.setattr(notices.logger, "_cache", {})
    if prompt:
        monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    else:
        monkeypatch.delattr(sys, "ps1", raising=False)
    notices.say_once("measuring something")
    notices.say_once("measuring something")
    assert capsys.readouterr().err == ("measuring something\n" if prompt else "")
