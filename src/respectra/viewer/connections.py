"""Connections that do not say what they want are closed."""

from __future__ import annotations

import asyncio
from typing import Any


def patient_protocol(seconds: float) -> Any:
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
