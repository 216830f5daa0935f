"""What every request passes before anything else looks at it."""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
from collections.abc import AsyncIterator, Awaitable
from http.cookies import CookieError, SimpleCookie
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

T = TypeVar("T")

#: Name of the cookie that carries the token after the first visit.
COOKIE = "respectra_token"
_SAFE = ("GET", "HEAD", "OPTIONS")
_LARGEST_JSON = 64 * 1024


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def content_policy(embed: tuple[str, ...] = ()) -> str:
    """The content security policy: scripts and styles from this server's files, none inline."""
    ancestors = " ".join(embed) if embed else "'none'"
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; "
        "img-src 'self' blob: data:; connect-src 'self'; font-src 'self'; base-uri 'none'; "
        f"form-action 'none'; frame-ancestors {ancestors}"
    )


class SecurityMiddleware:
    """Checks the host, the origin and the token, and puts the security headers on every answer.

    Args:
        app: what comes after.
        token: what a client must show, or None where the machine's own users are trusted.
        hosts: names by which the server may be addressed; others are a sign of DNS rebinding.
            None lets any pass, which is for servers that a token protects.
        origins: other sites whose pages may use the service.
        embed: sites that may show the page in a frame.
        connections: requests at the same time; more are told to come back.
        patience_s: longest wait for the next piece of a small body.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str | None,
        hosts: frozenset[str] | None,
        origins: tuple[str, ...] = (),
        embed: tuple[str, ...] = (),
        connections: int = 256,
        patience_s: float = 20.0,
    ) -> None:
        self.app, self.token, self.hosts, self.origins = app, token, hosts, origins
        self._headers = {
            "Content-Security-Policy": content_policy(embed),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
            **({} if embed else {"X-Frame-Options": "DENY"}),
        }
        self._free, self._patience_s = connections, patience_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                answer.update(self._headers)
                answer.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, sealed)
            return
        if self._free <= 0:
            await _problem(503, "too many requests at once; try again", retry=True)(
                scope, receive, sealed
            )
            return
        self._free -= 1
        uploading = scope["path"].startswith("/api/uploads")
        bounded = receive if uploading else _bounded(receive, self._patience_s)
        try:
            await self.app(scope, bounded, sealed)
        finally:
            self._free += 1

    def _refusal(self, scope: Scope, headers: Headers) -> ASGIApp | None:
        host = headers.get("host", "")
        if self.hosts is not None and _hostname(host) not in self.hosts:
            return _problem(400, "this server does not answer to that host name")
        origin = headers.get("origin")
        foreign = origin is not None and _origin_host(origin) != host
        crossing = headers.get("sec-fetch-site") == "cross-site" and scope["method"] not in _SAFE
        if (foreign or crossing) and origin not in self.origins:
            return _problem(403, "requests from other sites are refused")
        if self.token is None:
            return None
        query = parse_qs(scope["query_string"].decode("latin-1"))
        offered = query.get("token", [""])[0]
        if offered and scope["path"] == "/" and _same(offered, self.token):
            answer = RedirectResponse("/", status_code=303)
            # Only a page of this site sends it, and no script can read it.
            answer.set_cookie(COOKIE, self.token, httponly=True, samesite="strict")
            return answer
        if _same(_bearer(headers), self.token) or _same(_cookie(headers), self.token):
            return None
        return _problem(
            401, "a token is needed: open the address that the server printed, or send it as "
            "Authorization: Bearer TOKEN"
        )  # fmt: skip


def _bounded(receive: Receive, patience_s: float) -> Receive:
    """Receive a small body within a set time; what comes after it may take forever."""
    received = 0
    complete = False

    async def bounded() -> Message:
        nonlocal received, complete
        if complete:
            return await receive()
        message = await _within(receive(), patience_s)
        received += len(message.get("body", b""))
        complete = not message.get("more_body", False)
        if received > _LARGEST_JSON:
            text = f"a request of this kind has at most {_LARGEST_JSON} bytes"
            raise HTTPException(413, text)
        return message

    return bounded


async def next_chunk(stream: AsyncIterator[bytes], idle_s: float) -> bytes | None:
    """The next piece of a body, or None at its end.

    Raises:
        HTTPException: 408, the client sends nothing for ``idle_s``.
    """
    return await _within(anext(stream, None), idle_s)


async def _within(coming: Awaitable[T], patience_s: float) -> T:
    try:
        return await asyncio.wait_for(coming, patience_s)
    except TimeoutError:
        raise HTTPException(408, "the request did not arrive in time") from None


def _problem(status: int, detail: str, *, retry: bool = False) -> JSONResponse:
    headers = {"Retry-After": "2"} if retry else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"detail": detail}, status_code=status, headers=headers)


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _origin_host(origin: str) -> str | None:
    """The host of an origin; None for one that is none, and for ``null``."""
    try:
        return urlsplit(origin).netloc or None
    except ValueError:
        return None


def _same(offered: str, expected: str) -> bool:
    return secrets.compare_digest(offered.encode(), expected.encode())


def _bearer(headers: Headers) -> str:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


def _cookie(headers: Headers) -> str:
    try:
        jar = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return jar[COOKIE].value if COOKIE in jar else ""
