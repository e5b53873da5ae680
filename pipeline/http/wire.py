"""HTTP/1.1 on one connection: requests written, answers read (RFC 9112)."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pipeline import limit
from pipeline.http.model import Body

if TYPE_CHECKING:
    import socket

_CHUNK = 1 << 17
_LONGEST_LINE = 1 << 16
_MOST_HEADERS = 256
_MOST_INTERIM = 16
_MOST_DIGITS = 18
_HEXADECIMAL = frozenset(b"0123456789abcdefABCDEF")
_WORTH_READING_ON = 1 << 14
"""Bytes: so much of an answer that nobody reads is read to its end, which costs less than another connection."""
_WORTH_WAITING = 0.5
"""Seconds that this may take."""
_TAKEN_IN = 16 << 20
"""Bytes of an upload that a server puts away in a second at least, before it answers."""


class Malformed(OSError):
    """What came is no HTTP, or breaks off."""


class Unwritable(ValueError):
    """A header that would end the line it is in. The text does not quote it: it may be a credential."""


def head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    """The head of a request. Raises Unwritable for control codes, which could begin another header or request."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if any(not line.isprintable() for line in lines):
        raise Unwritable("control codes in a header")
    try:
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    except UnicodeEncodeError:
        raise Unwritable("no Latin-1 in a header") from None


class _Incoming(io.RawIOBase):
    """What a socket receives, each wait for it bounded, as by the limit of the step that waits."""

    def __init__(self, sock: socket.socket, read: float) -> None:
        self._socket = sock
        self.patience(read, None)

    def patience(self, read: float, whole: float | None) -> None:
        """From now on: the longest time without a byte, and for all that comes (None: any)."""
        self._read = read
        self._until = float("inf") if whole is None else time.monotonic() + whole

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        rest = self._until - time.monotonic()
        if rest <= 0:
            raise TimeoutError
        self._socket.settimeout(limit.left(min(self._read, rest)))
        return self._socket.recv_into(buffer)


class Connection:
    """One connection, for one exchange at a time. `reusable` tells whether another one may follow.

    `read` is the longest time without a byte, in seconds, and for all of an answer's head.
    """

    def __init__(self, sock: socket.socket, read: float) -> None:
        self._socket = sock
        self._read = read
        self._incoming = _Incoming(sock, read)
        self._file = io.BufferedReader(self._incoming, _CHUNK)
        self._sent = 0
        self._left: int | None = 0
        self._chunked = False
        self.reusable = False
        self.answered = False
        """Whether the first byte of an answer to the latest request has come."""

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def dropped(self) -> bool:
        """Whether the other side has closed, or said something unasked: then no request may be sent here."""
        import select

        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    # -- requests -----------------------------------------------------------------------------------------------

    def ask(self, start: bytes, body: Body) -> None:
        """Writes a request. One that the other side stops reading may be answered all the same: 401, 413."""
        self.answered = self.reusable = False
        whole = True
        self._sent = 0
        pieces = [body] if isinstance(body, bytes) else (body or ())
        try:
            self._write(start)
        except ConnectionError:
            return
        for piece in pieces:
            try:
                self._write(piece)
            except ConnectionError:
                whole = False
                break
        self.reusable = whole

    def _write(self, data: bytes) -> None:
        # In pieces: a time-out is for all that one call sends.
        view = memoryview(data)
        for start in range(0, len(view), _CHUNK):
            self._socket.settimeout(limit.left(self._read))
            self._socket.sendall(view[start : start + _CHUNK])
        self._sent += len(view)

    # -- answers ------------------------------------------------------------------------------------------------

    def answer(self, method: str) -> tuple[int, dict[str, str]]:
        """Reads an answer's status and headers. Raises OSError, Malformed among them."""
        patience = self._read + self._sent / _TAKEN_IN
        self._incoming.patience(patience, patience)
        for _ in range(_MOST_INTERIM):
            version, status = self._status()
            headers = self._headers()
            if status >= 200:
                break
        else:
            raise Malformed("the answer does not come to an end")
        kept = headers.get("connection", "").lower()
        self.reusable = self.reusable and ("close" not in kept if version == b"HTTP/1.1" else "keep-alive" in kept)
        self._incoming.patience(self._read, None)
        self._frame(method, status, headers)
        return status, headers

    def _status(self) -> tuple[bytes, int]:
        line = self._file.readline(_LONGEST_LINE)
        if not line:
            raise Malformed("the connection was closed without an answer")
        self.answered = True
        version, _, rest = line.partition(b" ")
        code = rest[:3]
        if version not in (b"HTTP/1.1", b"HTTP/1.0") or not code.isdigit() or not line.endswith(b"\n"):
            raise Malformed("the answer is no HTTP")
        return version, int(code)

    def _headers(self) -> dict[str, str]:
        """By lower-case name; several of one name are one, with commas between (RFC 9110, section 5.3)."""
        found: dict[str, str] = {}
        for _ in range(_MOST_HEADERS):
            line = self._file.readline(_LONGEST_LINE)
            if not line.endswith(b"\n"):
                raise Malformed("the answer's headers break off")
            if line in (b"\r\n", b"\n"):
                return found
            name, colon, value = line.decode("latin-1").partition(":")
            key, text = name.strip().lower(), value.strip()
            if colon:
                found[key] = f"{found[key]}, {text}" if key in found else text
        raise Malformed("the answer has too many headers")

    def _frame(self, method: str, status: int, headers: Mapping[str, str]) -> None:
        """How long the body is (RFC 9112, section 6.3): `_left` bytes, or until the end of the connection for None."""
        # Several of them may say the same (section 6.3, rule 5).
        lengths = {length.strip() for length in headers.get("content-length", "").split(",")}
        length = max(lengths)
        self._chunked = False
        if method == "HEAD" or status in (204, 304):
            self._left = 0
        elif headers.get("transfer-encoding"):
            self._left, self._chunked = 0, True
            if headers["transfer-encoding"].lower() != "chunked":
                raise Malformed("the answer is encoded in an unknown way")
        elif length:
            if len(lengths) > 1 or not length.isdecimal() or len(length) > _MOST_DIGITS:
                raise Malformed("the answer's length is no number")
            self._left = int(length)
        else:
            self._left, self.reusable = None, False

    def body(self) -> Iterator[bytes]:
        """The answer's body as it comes. Raises OSError where it breaks off, or does not get on."""
        return limit.paced(self._pieces(), self._read)

    def _pieces(self) -> Iterator[bytes]:
        if self._chunked:
            yield from self._chunks()
        elif self._left is None:
            while data := self._file.read1(_CHUNK):
                yield data
        else:
            yield from self._rest()

    def _rest(self) -> Iterator[bytes]:
        while self._left:
            data = self._file.read1(min(_CHUNK, self._left))
            if not data:
                raise Malformed(f"the answer broke off, {self._left} bytes short")
            self._left -= len(data)
            yield data

    def _chunks(self) -> Iterator[bytes]:
        """RFC 9112, section 7.1: sizes in hexadecimal, each before its bytes; then trailers, which are left."""
        while True:
            size = self._file.readline(_LONGEST_LINE).partition(b";")[0].strip()
            # `int` alone takes a sign, and underscores.
            if not size or len(size) > _MOST_DIGITS or not _HEXADECIMAL.issuperset(size):
                raise Malformed("the answer broke off between its chunks")
            self._left = int(size, 16)
            if not self._left:
                break
            yield from self._rest()
            if self._file.readline(_LONGEST_LINE) not in (b"\r\n", b"\n"):
                raise Malformed("the answer broke off between its chunks")
        self._headers()
        self._chunked = False

    def finish(self) -> bool:
        """Reads what little may be left of an answer; whether the connection can be used again."""
        if self.reusable and not self._chunked and self._left and self._left <= _WORTH_READING_ON:
            self._incoming.patience(_WORTH_WAITING, _WORTH_WAITING)
            for _ in self._rest():
                pass
        return self.reusable and not self._chunked and not self._left
