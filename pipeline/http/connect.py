"""Opens connections in bounded time, the look-up of the host's name included."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

_NUMERIC = frozenset(b"0123456789.")


def connected(host: bytes, port: int, timeout: float, lookup: Callable[..., Any] | None = None) -> socket.socket:
    """A connection, opened within `timeout` seconds; its addresses are tried in turn. Raises OSError.

    `lookup` stands in for socket.getaddrinfo.
    """
    import socket

    until = time.monotonic() + timeout
    find = lookup or socket.getaddrinfo
    found = _looked_up(host, port, timeout, find) if _is_name(host) else find(host, port, 0, socket.SOCK_STREAM)
    failure = OSError("its name has no address")
    for number, (family, type_, protocol, _, address) in enumerate(found):
        # One that swallows everything leaves time for the others.
        rest = (until - time.monotonic()) / (len(found) - number)
        sock = socket.socket(family, type_, protocol)
        try:
            sock.settimeout(max(rest, 0.001))
            sock.connect(address)
            return sock
        except OSError as error:
            failure = error
            sock.close()
        except BaseException:
            sock.close()
            raise
    raise failure


def _is_name(host: bytes) -> bool:
    return b":" not in host and not _NUMERIC.issuperset(host) and host != b"localhost"


def _looked_up(host: bytes, port: int, timeout: float, find: Callable[..., Any]) -> Any:
    """The system's look-up knows no time-out of ours, and may take minutes where a name server is silent."""
    import queue
    import socket

    answer: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def work() -> None:
        try:
            answer.put(find(host, port, 0, socket.SOCK_STREAM))
        except OSError as error:
            answer.put(error)

    threading.Thread(target=work, name="look-up", daemon=True).start()
    try:
        found = answer.get(timeout=timeout)
    except queue.Empty:
        raise OSError(f"its name was not looked up within {timeout:g} s") from None
    if isinstance(found, OSError):
        raise found
    return found
