"""What people with bad intentions, bad files or bad connections send."""

import socket
import struct
import zlib
from urllib.parse import urlsplit

import httpx
import pytest
from tests.viewer.conftest import BYTES, PATIENCE_S, Client, npz, png, wait_until

from respectra.errors import DataError, OutputError
from respectra.viewer.security import is_loopback
from respectra.viewer.server import BackgroundServer, secured
from respectra.viewer.settings import Settings
from respectra.viewer.store import JobStore, safe_path


def bomb(height: int, width: int) -> bytes:
    """A PNG of a few bytes that claims to be enormous."""

    def part(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + part(b"IHDR", header)
        + part(b"IDAT", zlib.compress(b"\0" * 1000))
        + part(b"IEND", b"")
    )


def test_every_answer_carries_the_headers(client, photo_job):
    for path in (
        "/",
        "/api/options",
        f"/api/jobs/{photo_job['id']}",
        "/nowhere",
        "/static/js/main.js",
    ):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


def test_the_page_has_no_inline_script(client):
    page = client.get("/").text
    assert "<script>" not in page
    assert " onclick=" not in page
    assert "http://" not in page
    assert "https://" not in page


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::"])
def test_rebound_host_names_are_refused(client, host):
    assert client.get("/api/openapi.json", headers={"host": host}).status_code == 400


def test_other_sites_are_refused(client):
    wrong = ("http://evil.example", "http://[", "http://[::1", "null", "")
    for headers in (*({"origin": one} for one in wrong), {"sec-fetch-site": "cross-site"}):
        answer = client.post("/api/jobs", json={}, headers=headers)
        assert answer.status_code == 403
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "name",
    [
        "../../escape.png",
        "/etc/passwd.png",
        "..\\..\\x.png",
        "a/../../b.png",
        ".hidden.png",
        "\0x.png",
    ],
)
def test_hostile_names_stay_in_their_folder(client, service, name):
    answer = client.post("/api/uploads", params={"name": name}, content=png(), headers=BYTES)
    assert answer.status_code == 201
    files = service.store.uploads[answer.json()["id"]]
    (path,) = [p for p in files.folder.rglob("*") if p.is_file()]
    assert path.resolve().is_relative_to(files.folder)
    assert not path.name.startswith(".")


def test_names_of_nothing_are_refused():
    for name in ("..", "///", "a/b/c/d/e/f/g/h.png", "\u202e"):
        with pytest.raises(DataError, match="needs a name"):
            safe_path(name)


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/vendor/..%2f..%2fx.js",
        "/static/vendor/../app.js",
        "/static/js",
    ],
)
def test_files_beside_the_page_are_not_served(server, path):
    address = urlsplit(server.url)
    place = (address.hostname, address.port)
    with socket.create_connection(place, timeout=PATIENCE_S) as connection:
        request = f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: close\r\n\r\n"
        connection.sendall(request.encode())
        status = connection.makefile("rb").readline()
    assert b" 404 " in status


@pytest.mark.parametrize(
    ("data", "name", "words"),
    [
        (bomb(60_000, 60_000), "bomb.png", "claims 60000"),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 50, "torn.png", "cut short"),
        (b"GIF89a" + b"x" * 50, "photo.png", "GIF"),
        (b"#!/bin/sh\nrm -rf /\n", "run.sh", "neither a picture"),
        (b"\x80\x04\x95cposix\nsystem\n", "cube.npy", "cube.npy"),
    ],
)
def test_damaged_and_hostile_files_fail_in_words_without_paths(client, service, data, name, words):
    state = client.done(data, name)
    assert state["state"] == "failed"
    assert words in state["error"]
    assert str(service.store.root) not in state["error"]
    assert "/" not in state["error"].replace("and/or", "")
    assert not service.store.job_folder(state["id"]).exists()


def test_a_pickle_in_a_numpy_file_is_never_loaded(client, tmp_path):
    import io
    import pickle

    import numpy as np

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    buffer = io.BytesIO()
    np.save(buffer, np.array([[[Evil()]]], dtype=object), allow_pickle=True)
    assert client.done(buffer.getvalue(), "evil.npy")["state"] == "failed"
    assert client.done(pickle.dumps(Evil()), "evil.mat")["state"] == "failed"
    assert not (tmp_path / "executed").exists()


def test_too_many_bytes_are_refused_and_leave_nothing(client, service):
    before = set(service.store.uploads)
    answer = client.post(
        "/api/uploads", params={"name": "big.png"}, content=b"x" * (5 * 2**20), headers=BYTES
    )
    assert answer.status_code == 413
    assert set(service.store.uploads) == before
    answer = client.post(
        "/api/jobs",
        content=b"{" + b" " * 100_000 + b"}",
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 413


def test_too_many_pixels_are_refused(client):
    state = client.done(png(1004, 1000))
    assert state["state"] == "failed"
    assert "1000000" in state["error"]


@pytest.mark.parametrize(
    "kind", ["text/html", "multipart/form-data; boundary=x", "application/json"]
)
def test_wrong_content_types_are_refused(client, kind):
    answer = client.post(
        "/api/uploads", params={"name": "a.png"}, content=png(), headers={"content-type": kind}
    )
    assert answer.status_code == 415


def test_a_slow_client_is_sent_away_and_others_are_served(impatient):
    """Tried again where this machine itself was too slow to say what it wants in time."""
    address = urlsplit(impatient.url)

    def ask(request):
        place = (address.hostname, address.port)
        connection = socket.create_connection(place, timeout=PATIENCE_S)
        head, _, body = request.partition("\n\n")
        lines = [*head.split("\n"), f"Host: {address.netloc}", "", body]
        connection.sendall("\r\n".join(lines).encode())
        return connection

    def is_answered(connection, status):
        try:
            return status in connection.makefile("rb").readline()
        except ConnectionError:
            return False

    def sent_away():
        upload = "POST /api/uploads?name=a.png HTTP/1.1\nContent-Length: 1000\n"
        with ask(f"{upload}Content-Type: application/octet-stream\n\nxx") as slow:
            with ask("GET / HTTP/1.1\n\n") as other:
                served = is_answered(other, b" 200 ")
            return is_answered(slow, b" 408 ") and served

    wait_until(sent_away)
    wait_until(lambda: not impatient.app.state.service.store.uploads)


def test_a_client_that_dies_leaves_nothing(server, service):
    address = urlsplit(server.url)
    before = set(service.store.uploads)
    place = (address.hostname, address.port)
    with socket.create_connection(place, timeout=PATIENCE_S) as dying:
        dying.sendall(
            f"POST /api/uploads?name=a.png HTTP/1.1\r\nHost: {address.netloc}\r\n"
            "Content-Type: application/octet-stream\r\nContent-Length: 1000\r\n\r\nxx".encode()
        )
        wait_until(lambda: set(service.store.uploads) != before)
    wait_until(lambda: set(service.store.uploads) == before)


def test_clients_that_stop_listening_free_their_stream(client, service):
    job = client.submit(upload=client.upload(png(480, 640)))["id"]
    with client.stream("GET", f"/api/jobs/{job}/events") as stream:
        next(stream.iter_lines())
    client.wait(job)
    wait_until(lambda: not service.event_streams)


def test_markup_in_names_and_metadata_arrives_as_text(client, rng):
    import respectra as rs

    cube = rs.make_cube(rng.random((4, 4, 31)), range(400, 701, 10))
    upload = client.upload(npz(cube), "x.npz")
    state = client.wait(client.submit(upload=upload)["id"])
    assert state["state"] == "done"
    answer = client.post(
        "/api/uploads",
        params={"name": "<img src=x onerror=alert(1)>.png"},
        content=png(),
        headers=BYTES,
    )
    state = client.wait(client.submit(upload=answer.json()["id"])["id"])
    answer = client.get(f"/api/jobs/{state['id']}")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["name"].startswith("<img")


@pytest.mark.parametrize("job", ["0" * 32, "../../etc", "%2e%2e", "x"])
def test_jobs_that_nobody_started_do_not_exist(client, job):
    for path in ("", "/recovered", "/events", "/file", "/recovered/tiles/coefficients/0/0/0"):
        assert client.get(f"/api/jobs/{job}{path}").status_code in (404, 422)


def test_a_token_opens_the_page_once_and_stays_out_of_the_address():
    settings = secured(Settings(uploads=False), "0.0.0.0")
    assert settings.token
    server = BackgroundServer(settings, host="127.0.0.1")
    try:
        with httpx.Client(base_url=server.url.split("?")[0], timeout=PATIENCE_S) as browser:
            assert browser.get("/").status_code == 401
            assert browser.get("/", params={"token": "guess"}).status_code == 401
            assert browser.get("/", params={"token": "ü"}).status_code == 401
            answer = browser.get("/", params={"token": settings.token})
            assert answer.status_code == 303
            assert "HttpOnly" in answer.headers["set-cookie"]
            assert "SameSite=strict" in answer.headers["set-cookie"]
            assert browser.get("/").status_code == 200
    finally:
        server.close()


def test_an_invited_site_may_use_the_service_and_no_other():
    server = BackgroundServer(Settings(uploads=False, origins=("http://friend.example",)))
    try:
        with Client(base_url=server.url) as client:
            friend = client.get("/api/options", headers={"origin": "http://friend.example"})
            assert friend.headers["access-control-allow-origin"] == "http://friend.example"
            other = client.get("/api/options", headers={"origin": "http://evil.example"})
            assert other.status_code == 403
            asked = {
                "access-control-request-method": "POST",
                "access-control-request-headers": "authorization,content-type",
            }
            friend = client.options(
                "/api/jobs", headers={"origin": "http://friend.example", **asked}
            )
            assert friend.headers["access-control-allow-origin"] == "http://friend.example"
            assert "authorization" in friend.headers["access-control-allow-headers"].lower()
            other = client.options("/api/jobs", headers={"origin": "http://evil.example", **asked})
            assert "access-control-allow-origin" not in other.headers
            for site, words in (("friend", "this server shows"), ("evil", "other sites")):
                headers = {"origin": f"http://{site}.example", "sec-fetch-site": "cross-site"}
                answer = client.post("/api/jobs", json={}, headers=headers)
                assert words in answer.json()["detail"]
    finally:
        server.close()


def test_two_servers_cannot_share_a_folder(tmp_path):
    first = JobStore(tmp_path)
    with pytest.raises(OutputError, match="is being written by this process"):
        JobStore(tmp_path)
    first.close()
    JobStore(tmp_path).close()


@pytest.mark.parametrize(
    ("host", "local"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False)]
)
def test_loopback_is_recognised(host, local):
    assert is_loopback(host) is local
