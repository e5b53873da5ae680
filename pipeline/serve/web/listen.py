"""How the web server listens: uvicorn's settings, and clients that are too slow to be waited for."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipeline.serve.settings import Settings

HEAD = 15.0
"""Seconds that a client has for a request's first line and headers."""
_CONNECTIONS = 1000


class Patient(H11Protocol):
    """HTTP/1.1 that closes connections on which no whole request comes in time (RFC 9110, section 15.5.9)."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._deadline: asyncio.TimerHandle | None = self.loop.call_later(HEAD, self._late)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._deadline and self.scope is not None:
            # The first request is there; later ones are under the keep-alive's time.
            self._deadline.cancel()
            self._deadline = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _late(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


def config(settings: Settings, app: Any) -> uvicorn.Config:
    """For uvicorn.Server; X-Forwarded-* are read by the guard, which knows whom to trust."""
    access = settings.access
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=Patient,
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


class _Server(uvicorn.Server):
    """Ends what pages listen to first: it would go on for as long as they are open."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.config.app.state.hub.close()  # type: ignore[union-attr]
        await super().shutdown(sockets)


def serve(settings: Settings, app: Any, listening: socket.socket) -> None:
    """Serves at a socket until SIGTERM or SIGINT, which it raises again at its end."""
    _Server(config(settings, app)).run(sockets=[listening])


__all__ = ["HEAD", "config", "serve"]
