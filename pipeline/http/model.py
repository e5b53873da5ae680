"""Requests and answers as whoever sends them sees them, whatever carries them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import field
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from pipeline.errors import OutOfReach
from pipeline.noun import noun


class NoTLS(OutOfReach):
    """There is a server, and it speaks plain HTTP or something else."""


Body = bytes | Iterable[bytes] | None
LONGEST = 100 * 365 * 86400.0
"""Seconds: nobody waits longer, whatever a server asks for."""


@noun
class Response:
    """An answer; `headers` by lower-case name. The body is read once, by `chunks` or `read`."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    chunks: Callable[[], Iterator[bytes]] = lambda: iter(())

    def read(self, limit: int = 1 << 20) -> bytes:
        """The body's first `limit` bytes; for small bodies."""
        data = bytearray()
        for chunk in self.chunks():
            data += chunk
            if len(data) >= limit:
                break
        return bytes(data[:limit])


class Transport(Protocol):
    """What sends one request: the network, or a registry in memory."""

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: Body = None
    ) -> AbstractContextManager[Response]:
        """The answer, whatever its status. A body of chunks needs a Content-Length header.

        OutOfReach, transient where trying again may help, when there is none or it breaks off.
        """
        ...


def shown(url: str) -> str:
    """An address as it may be printed: without credentials, and without its query, which may carry a signature."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def retry_after(value: str, now: float) -> float:
    """Seconds to wait by a Retry-After header (RFC 9110, section 10.2.3), a number or a date; 0 for nonsense."""
    if value.strip().isdecimal():
        return min(float(value), LONGEST)
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return 0.0


def long(seconds: float) -> str:
    """A time to wait in words: `20 s`, `5 min`, `3 h`, `40 days`."""
    for whole, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * whole:
            return f"{seconds / whole:.0f} {unit}"
    return f"{seconds:.0f} s"


def after(seconds: float, now: float) -> str:
    """When a wait that begins at the Unix time `now` is over, in words: `after 21:05 UTC`, with the day if not soon."""
    import time

    form = "%H:%M UTC" if seconds < 43200 else "%Y-%m-%d %H:%M UTC"
    return f"after {time.strftime(form, time.gmtime(now + seconds))}"
