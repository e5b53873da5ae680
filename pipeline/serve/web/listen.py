"""How the web server listens: uvicorn's settings, and clients that are too slow to be waited for."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipeline.serve.settings import Settings

HEAD = 15.0
"""Seconds that a client has for a request's first line and headers."""
_CONNECTIONS = 1000


class Patient(H11Protocol):
    """HTTP/1.1 that closes a connection on which a request has begun and its head does not come in time: many such
    would take all that the server has. A connection that is silent between requests is under uvicorn's own limit.
    """

    head = HEAD
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._arm()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._disarm()
        elif self._deadline is None:
            self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def _arm(self) -> None:
        self._deadline = self.loop.call_later(self.head, self.transport.close)

    def _disarm(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None


def config(settings: Settings, app: Any, head: float = HEAD) -> uvicorn.Config:
    """For uvicorn.Server; X-Forwarded-* are read by the guard, which knows whom to trust. `head` is in seconds."""
    access = settings.access
    patient = type("Patient", (Patient,), {"head": head})
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=patient,
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=5,
        ssl_certfile=access.certificate,
        ssl_keyfile=access.key,
        h11_max_incomplete_event_size=32 << 10,
    )


class Server(uvicorn.Server):
    """Ends what pages listen to first: it would go on for as long as they are open. Idle, it wakes once a second, for
    the date that answers have, and at once to end: uvicorn's own ten times a second are 6 s of a core in an hour.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ending = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), 1.0)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self._loop:
            self._loop.call_soon_threadsafe(self._ending.set)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.config.app.state.hub.close()  # type: ignore[union-attr]
        await super().shutdown(sockets)


def serve(settings: Settings, app: Any, listening: socket.socket) -> None:
    """Serves at a socket until SIGTERM or SIGINT, which it raises again at its end."""
    Server(config(settings, app)).run(sockets=[listening])


__all__ = ["HEAD", "Server", "config", "serve"]
