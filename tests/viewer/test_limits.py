"""What a server keeps, and for how long."""

import asyncio
import contextlib
import socket
import time
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

import httpx
import pytest
from tests.viewer.conftest import BYTES, PATIENCE_S, Client, wait_until

from respectra.viewer.app import create_app
from respectra.viewer.jobs import ServiceJob
from respectra.viewer.models import NewJob, State
from respectra.viewer.settings import Limits, Settings
from respectra.viewer.store import JobStore, new_id

MIB = 2**20


@pytest.fixture
def app(tmp_path):
    """A service without a worker, over a disk of 3 MiB."""
    limits = Limits(upload_bytes=2 * MIB, stored_bytes=3 * MIB, expire_s=60)
    app = create_app(Settings(folder=tmp_path / "store", limits=limits))
    yield app
    app.state.service.store.close()


def finished(service, kind, size):
    """A job that has ended, with a result of some bytes."""
    request = NewJob(upload=None, truth=None, method="default", guarantees=[])
    entry = ServiceJob("a", kind, request, {}, state=State.DONE)
    folder = service.store.job_folder(entry.id)
    folder.mkdir()
    (folder / "cube.nc").write_bytes(bytes(size))
    service.jobs.entries[entry.id] = entry
    return entry


def send(app, *requests):
    """Answers to requests (method, path, body), one after the other."""

    async def talk():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return [await client.request(m, p, content=b, headers=BYTES) for m, p, b in requests]

    return asyncio.run(talk())


def used(app):
    root = app.state.service.store.root
    return sum(path.stat().st_size for path in root.rglob("*/*") if path.is_file())


def test_uploads_count_against_the_disk(app):
    result = finished(app.state.service, "scene", MIB)
    data = bytes(MIB)
    answers = send(app, *[("POST", f"/api/uploads?name={k}.png", data) for k in range(5)])
    assert [a.status_code for a in answers] == [201] * 5
    assert used(app) <= 3 * MIB
    assert result.id not in app.state.service.jobs.entries  # the first to make room
    ids = list(app.state.service.store.uploads)
    assert ids == [a.json()["id"] for a in answers[2:]]


def test_what_is_in_use_is_not_removed_and_the_rest_is_refused(app):
    service = app.state.service
    for answer in send(app, *[("POST", f"/api/uploads?name={k}.png", bytes(MIB)) for k in "ab"]):
        service.store.uploads[answer.json()["id"]].busy += 1
    (answer,) = send(app, ("POST", "/api/uploads?name=c.png", bytes(2 * MIB)))
    assert answer.status_code == 507
    assert "disk limit" in answer.json()["detail"]
    assert len(service.store.uploads) == 2
    assert used(app) <= 2.1 * MIB


def test_a_refused_file_of_an_upload_is_not_counted(app):
    (first,) = send(app, ("POST", "/api/uploads?name=a.hdr", b"x"))
    path = f"/api/uploads/{first.json()['id']}"
    answers = send(
        app,
        ("PUT", f"{path}?name=a.img", bytes(3 * MIB)),
        ("PUT", f"{path}?name=a.hdr", b"x"),
        ("PUT", f"{path}?name=a.img", bytes(MIB)),
    )
    assert [a.status_code for a in answers] == [413, 422, 200]
    assert answers[2].json()["bytes"] == MIB + 1


def test_exports_end_with_their_time_and_with_the_server(app, tmp_path):
    service = app.state.service
    entry = finished(service, "export", 1000)
    path = f"/api/jobs/{entry.id}/file"
    assert send(app, ("GET", path, b""))[0].status_code == 200
    entry.touched = time.monotonic() - 61
    assert send(app, ("GET", path, b""))[0].status_code == 404
    assert not service.store.job_folder(entry.id).exists()
    finished(service, "export", 1000)
    half = service.store.job_folder(new_id())
    half.mkdir()
    service.store.close()
    again = JobStore(tmp_path / "store")
    assert list((tmp_path / "store" / "jobs").iterdir()) == []
    again.close()


def closed(connection):
    """Whether the other side hangs up, without an answer."""
    try:
        return connection.recv(100) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("said", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\nX: "])
def test_a_connection_that_does_not_say_what_it_wants_is_closed(impatient, said):
    url = urlsplit(impatient.url)
    place = (url.hostname, url.port)
    with socket.create_connection(place, timeout=PATIENCE_S) as connection:
        with contextlib.suppress(ConnectionError):  # it may be closed before all is said
            connection.sendall(said)
        assert closed(connection)


def test_the_next_request_of_a_connection_is_not_waited_for_either(impatient):
    url = urlsplit(impatient.url)

    def kept():
        """A connection that has had an answer; none where this machine was too slow to ask."""
        connection = HTTPConnection(url.hostname, url.port, timeout=PATIENCE_S)
        try:
            connection.request("GET", "/static/none")
            answer = connection.getresponse()
            answer.read()  # all of it: its head and its body may arrive one after the other
        except (OSError, HTTPException):
            connection.close()
            return None
        assert answer.status == 404
        return connection

    with contextlib.closing(wait_until(kept)) as connection:
        assert connection.sock is not None  # kept for the next request
        with contextlib.suppress(ConnectionError):
            connection.sock.sendall(b"GET /api")
        assert closed(connection.sock)


def test_a_slow_answer_is_not_cut_off(impatient):
    """The patience is for requests; a job's events take as long as the job."""
    patience_s = impatient.app.state.service.settings.limits.idle_s

    def asked(ask):
        """An answer, once this machine was quick enough to ask for it in time."""

        def once():
            with contextlib.suppress(httpx.TransportError):
                return ask()

        return wait_until(once)

    with Client(base_url=impatient.url) as client:
        job = asked(lambda: client.submit())["id"]

        def follow():
            with client.stream("GET", f"/api/jobs/{job}/events") as stream:
                lines = (line for line in stream.iter_lines() if line.startswith("data: "))
                assert '"queued"' in next(lines)
                time.sleep(3 * patience_s)
                asked(lambda: client.delete(f"/api/jobs/{job}"))
                return list(lines)

        assert '"cancelled"' in asked(follow)[-1]
