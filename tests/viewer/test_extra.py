"""The viewer where its extra is not installed."""

import sys

import pytest

import respectra as rs
from respectra import viewer
from respectra.cli.app import run
from respectra.errors import MissingExtraError


@pytest.mark.parametrize("library", ["fastapi", "starlette", "uvicorn", "sse_starlette", "h11"])
def test_what_is_missing_is_one_clear_line(library, monkeypatch, capsys):
    from respectra.cli import serve  # noqa: F401 - registers the command

    monkeypatch.setitem(sys.modules, library, None)
    for name in viewer.__all__:
        with pytest.raises(MissingExtraError, match=r"respectra\[serve\]"):
            getattr(rs.viewer, name)
    assert run(["serve", "--port", "0"]) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line]
    assert len(errors) == 1
    assert "pip install 'respectra[serve]'" in errors[0]
