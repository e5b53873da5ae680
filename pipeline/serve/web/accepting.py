"""Accepts connections only as far as descriptors last: jobs, Git and the database need theirs."""

from __future__ import annotations

import asyncio
import resource
import socket
from typing import Any

MOST = 1000
"""Connections at a time."""
_UNLIMITED = 1 << 16


def most_connections() -> int:
    """How many connections there may be: half of the descriptors that this process may have, at most MOST."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(MOST, (_UNLIMITED if soft == resource.RLIM_INFINITY else soft) // 2)


class Accepting(socket.socket):
    """A listening socket that hangs up on whoever would get one of the last quarter of descriptors: such are those
    who never end their TLS handshake, for others are counted elsewhere. A new descriptor is the lowest that is free.
    """

    most = _UNLIMITED
    """Where those that are left over begin."""

    @classmethod
    def of(cls, listening: socket.socket) -> Accepting:
        """The same socket; the other object is not to be used any more."""
        made = cls(listening.family, listening.type, listening.proto, listening.detach())
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        made.most = (_UNLIMITED if soft == resource.RLIM_INFINITY else soft) * 3 // 4
        return made

    def accept(self) -> tuple[socket.socket, Any]:
        made, address = super().accept()
        if made.fileno() >= self.most:
            made.close()
            # What asyncio takes for a client that has gone again (accept(2), ECONNABORTED).
            raise ConnectionAbortedError
        return made, address


class Loop(asyncio.SelectorEventLoop):
    """Waits for a TLS handshake no longer than for the head of a request."""

    handshake = 15.0
    """Seconds."""

    async def create_server(self, *given: Any, **more: Any) -> asyncio.Server:
        if more.get("ssl"):
            more["ssl_handshake_timeout"] = self.handshake
        made: asyncio.Server = await super().create_server(*given, **more)
        return made


__all__ = ["MOST", "Accepting", "Loop", "most_connections"]
