"""Running the service: the addresses it may have, the token it needs, the server behind it."""

from __future__ import annotations

import asyncio
import secrets
import socket
import threading
import time
from typing import Any

from respectra.errors import ConfigError, OutputError
from respectra.viewer.security import is_loopback
from respectra.viewer.settings import Settings


def secured(settings: Settings, host: str) -> Settings:
    """Settings that fit an address: a token wherever others can reach it.

    A server for other machines answers to any host name, because it cannot know its own; the
    token keeps rebound names out.
    """
    if is_loopback(host):
        return settings
    token = settings.token or secrets.token_urlsafe(24)
    return settings.model_copy(update={"token": token, "hosts": None})


def address(host: str, port: int, token: str | None) -> str:
    """The address to open in a browser."""
    name = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    name = f"[{name}]" if ":" in name else name
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one.

    Raises:
        OutputError: the address or the port cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(512)  # whoever reads the address may connect at once
    except OSError as error:
        listener.close()
        raise OutputError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}; choose another port"
        ) from None
    return listener


def make_server(settings: Settings, *, log_level: str = "warning") -> Any:
    """The server, not running yet."""
    import uvicorn

    from respectra.viewer.app import create_app

    config = uvicorn.Config(
        create_app(settings),
        http=_patient_protocol(settings.limits.idle_s),
        log_level=log_level,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=3,
        backlog=512,
        lifespan="on",
    )
    return uvicorn.Server(config)


def _patient_protocol(seconds: float) -> Any:
    """The server's HTTP protocol, with an end to its patience.

    A client has some time from the beginning of a connection, and again from the first byte of a
    further request, to send the whole head of a request. Bodies have limits of their own.

    Args:
        seconds: how long that is.
    """
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    class PatientProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
        """Closes a connection whose request does not come."""

        _alarm: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._expect()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._is_serving():
                self._calm()
            elif self._alarm is None:
                self._expect()

        def connection_lost(self, exc: Exception | None) -> None:
            self._calm()
            super().connection_lost(exc)

        def _is_serving(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def _expect(self) -> None:
            self._alarm = self.loop.call_later(seconds, self._give_up)

        def _calm(self) -> None:
            if self._alarm is not None:
                self._alarm.cancel()
                self._alarm = None

        def _give_up(self) -> None:
            self._alarm = None
            if not self._is_serving():
                self.transport.close()

    return PatientProtocol


class BackgroundServer:
    """A server in a thread of this process, for Python sessions and notebooks.

    Raises:
        ConfigError: it did not start.
    """

    def __init__(self, settings: Settings, *, host: str = "127.0.0.1", port: int = 0) -> None:
        settings = secured(settings, host)
        self._listener = listen(host, port)
        self._server = make_server(settings)
        self.app = self._server.config.app
        self.url = address(host, self._listener.getsockname()[1], settings.token)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listener]}, daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + 120
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise ConfigError("the viewer did not start; see the messages above")
            time.sleep(0.02)

    def close(self) -> None:
        """Stop serving and delete what was temporary."""
        self._server.should_exit = True
        self._thread.join(timeout=10)
        self._listener.close()
