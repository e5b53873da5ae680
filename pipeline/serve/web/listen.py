"""How the web server listens: uvicorn's settings, and clients that are too slow to be waited for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipeline.serve.settings import Access, Settings
from pipeline.serve.web.accepting import Accepting, Loop, most_connections
from pipeline.serve.web.tls import Renewal

HEAD = 15.0
"""Seconds that a client has for a request's first line and headers."""
STALL = 30.0
"""Seconds in which a client has to take something of its answer."""
RENEWAL = 20.0
"""Seconds between looks at the certificate."""


class Patient(H11Protocol):
    """HTTP/1.1 that closes a connection on which a request has begun and its head does not come in time, or whose
    client does not take its answer: many such would take all that the server has. A connection that is silent between
    requests is under uvicorn's own limit. Where there are `most` of them, the one that was silent longest makes room.
    """

    head, stall, most = HEAD, STALL, 1000
    silent_since = 0.0
    _deadline: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.silent_since = time.monotonic()
        self._arm()
        if len(self.connections) > self.most:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.is_at_work:
            self._disarm()
        elif self._deadline is None:
            self._arm()

    def on_response_complete(self) -> None:
        self.silent_since = time.monotonic()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._flows()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self._flows()
        super().resume_writing()

    @property
    def is_at_work(self) -> bool:
        """Whether a request is answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def _make_room(self) -> None:
        others = (one for one in self.connections if isinstance(one, Patient) and one is not self)
        silent = [one for one in others if not one.is_at_work and not one.transport.is_closing()]
        min(silent, key=lambda one: one.silent_since, default=self).transport.abort()

    def _watch(self, left: int) -> None:
        self._stalled = self.loop.call_later(self.stall, self._look, left)

    def _look(self, before: int) -> None:
        left = self.transport.get_write_buffer_size()
        if left >= before:
            self.transport.abort()
        else:
            self._watch(left)

    def _flows(self) -> None:
        if self._stalled:
            self._stalled.cancel()
            self._stalled = None

    def _arm(self) -> None:
        self._deadline = self.loop.call_later(self.head, self.transport.close)

    def _disarm(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None


def config(
    settings: Settings, app: Any, head: float = HEAD, stall: float = STALL, most: int | None = None
) -> uvicorn.Config:
    """For uvicorn.Server; X-Forwarded-* are read by the guard, which knows whom to trust. `head` and `stall` are in
    seconds, `most` is how many connections there may be.
    """
    access = settings.access
    most = most or most_connections()
    patient = type("Patient", (Patient,), {"head": head, "stall": stall, "most": most})
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=patient,
        ws="none",
        loop=f"{Loop.__module__}:{Loop.__qualname__}",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        # Nobody may write the operator's log by sending nonsense.
        log_level=logging.ERROR,
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

    def __init__(self, config: uvicorn.Config, access: Access, say: Callable[[str], None]) -> None:
        super().__init__(config)
        self._access, self._say = access, say
        self._ending = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        renewal = Renewal(self.config.ssl, self._access, self._say) if self.config.ssl else None
        look = time.monotonic() + RENEWAL
        while not await self.on_tick(0):
            if renewal and time.monotonic() > look:
                renewal.look()
                look = time.monotonic() + RENEWAL
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), 1.0)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self._loop:
            self._loop.call_soon_threadsafe(self._ending.set)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.config.app.state.hub.close()  # type: ignore[union-attr]
        await super().shutdown(sockets)


def serve(settings: Settings, app: Any, listening: socket.socket, say: Callable[[str], None]) -> None:
    """Serves at a socket until SIGTERM or SIGINT, which it raises again then. `say` is told of the certificate."""
    Server(config(settings, app), settings.access, say).run(sockets=[Accepting.of(listening)])


__all__ = ["HEAD", "Server", "config", "serve"]
