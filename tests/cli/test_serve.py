"""serve, as a person at the terminal meets it."""

import re
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("uvicorn", reason="needs the extra serve")

from tests.viewer.conftest import Client
from tests.viewer.test_killed import serving

from respectra.cli import serve as _  # noqa: F401 - registers the command
from respectra.cli.app import run


def test_other_addresses_need_a_token():
    with serving("--host", "0.0.0.0") as (_process, url):
        match = re.fullmatch(r"(http://127.0.0.1:\d+/)\?token=([\w-]{20,})", url)
        assert match
        bare, token = match.groups()
        with Client(base_url=bare) as client:
            assert client.get("/api/openapi.json").status_code == 401
            headers = {"Authorization": f"Bearer {token}"}
            assert client.get("/api/openapi.json", headers=headers).status_code == 200


def test_a_port_in_use_is_one_clear_line(capsys):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert run(["serve", "--port", port]) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "choose another port" in errors[0]


def test_a_missing_weights_file_is_one_clear_line(capsys):
    assert run(["serve", "--weights", str(Path("none.safetensors"))]) == 1
    assert "there is no weights file" in capsys.readouterr().err
