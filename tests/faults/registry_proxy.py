"""A proxy before a registry that breaks the n-th answer in a chosen way, on raw sockets: what no server would do."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate

SILENCE = 600.0
"""Seconds that a stalled connection is kept open at most; whoever waits gives up long before."""


@dataclass
class Asked:
    """A request that came in: its head; the body follows when it is read."""

    method: str
    target: str
    headers: Mapping[str, str]
    socket: socket.socket
    rest: bytes
    upstream: str
    over: threading.Event

    @property
    def shape(self) -> str:
        """What is asked, without names and digests."""
        path, _, query = self.target.partition("?")
        path = re.sub(r"sha256:[0-9a-f]{64}", "DIGEST", path)
        path = re.sub(r"/blobs/uploads/.+", "/blobs/uploads/ID", path)
        found = re.search(r"/(manifests|blobs|tags)/.*|/v2/$|/token$", path)
        where = re.sub(r"^/manifests/(?!DIGEST).*", "/manifests/TAG", found[0] if found else path)
        return f"{self.method} {where}{' mount' if 'mount=' in query else ''}"

    def body(self) -> bytes:
        length = int(self.headers.get("content-length") or 0)
        data = bytearray(self.rest)
        while len(data) < length and (piece := self.socket.recv(1 << 16)):
            data += piece
        return bytes(data)

    def forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """The registry's own answer."""
        connection = http.client.HTTPConnection(self.upstream, timeout=SILENCE)
        with contextlib.closing(connection):
            connection.request(self.method, self.target, body, dict(self.headers))
            answer = connection.getresponse()
            data = answer.read()
            left_out = ("transfer-encoding", "connection", "keep-alive", "date")
            headers = {name: value for name, value in answer.getheaders() if name.lower() not in left_out}
            return answer.status, headers, data

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reset(self) -> None:
        """Ends the connection as a crash does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def silence(self) -> None:
        """Says nothing more, and does not close either."""
        self.over.wait(SILENCE)


Fault = Callable[[Asked], None]


def head(status: int, headers: Mapping[str, str], length: int | None = None) -> bytes:
    given = {**headers, **({} if length is None else {"Content-Length": str(length)})}
    lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'Odd')}", *(f"{k}: {v}" for k, v in given.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def replied(asked: Asked, status: int, headers: Mapping[str, str], data: bytes = b"") -> None:
    kept = {name: value for name, value in headers.items() if name.lower() != "content-length"}
    length = int(headers["Content-Length"]) if asked.method == "HEAD" and "Content-Length" in headers else len(data)
    asked.send(head(status, kept, length) + (b"" if asked.method == "HEAD" else data))


def passed(asked: Asked) -> None:
    replied(asked, *asked.forward(asked.body()))


# -- faults ---------------------------------------------------------------------------------------------------------


def answered(status: int, data: bytes = b"", **headers: str) -> Fault:
    """An answer that the registry did not give."""

    def fault(asked: Asked) -> None:
        asked.body()
        replied(asked, status, {name.replace("_", "-"): value for name, value in headers.items()}, data)

    return fault


def refused(status: int, code: str, **headers: str) -> Fault:
    data = json.dumps({"errors": [{"code": code, "message": code.lower().replace("_", " ")}]}).encode()
    return answered(status, data, Content_Type="application/json", **headers)


def raw(data: bytes, close: bool = True) -> Fault:
    def fault(asked: Asked) -> None:
        asked.body()
        asked.send(data)
        if close:
            asked.socket.close()
        else:
            asked.silence()

    return fault


def changed(change: Callable[[int, dict[str, str], bytes], tuple[int, dict[str, str], bytes]]) -> Fault:
    """The registry's answer, altered."""

    def fault(asked: Asked) -> None:
        replied(asked, *change(*asked.forward(asked.body())))

    return fault


def reset_before(asked: Asked) -> None:
    asked.body()
    asked.reset()


def reset_unread(asked: Asked) -> None:
    asked.reset()


def closed_before(asked: Asked) -> None:
    asked.body()
    asked.socket.close()


def lost_answer(asked: Asked) -> None:
    """The registry has done it, and nobody is told."""
    asked.forward(asked.body())
    asked.reset()


def reset_in_upload(asked: Asked) -> None:
    asked.socket.recv(1 << 12)
    asked.reset()


def _half(asked: Asked, of_head: bool) -> None:
    status, headers, data = asked.forward(asked.body())
    headers.pop("Content-Length", None)
    start = head(status, headers, len(data))
    asked.send(start[: len(start) // 2] if of_head else start + data[: len(data) // 2])


def reset_in_head(asked: Asked) -> None:
    _half(asked, True)
    asked.reset()


def truncated(asked: Asked) -> None:
    _half(asked, False)
    asked.socket.close()


def stall_in_body(asked: Asked) -> None:
    _half(asked, False)
    asked.silence()


def stall_in_head(asked: Asked) -> None:
    _half(asked, True)
    asked.silence()


def stall_before(asked: Asked) -> None:
    asked.body()
    asked.silence()


def stall_unread(asked: Asked) -> None:
    asked.silence()


def stall_after_doing(asked: Asked) -> None:
    asked.forward(asked.body())
    asked.silence()


def drip(asked: Asked) -> None:
    """A byte now and then: never a time-out between two."""
    status, headers, data = asked.forward(asked.body())
    for byte in head(status, headers, len(data)) + data:
        asked.send(bytes([byte]))
        if asked.over.wait(0.05):
            return


def drip_body(asked: Asked) -> None:
    status, headers, data = asked.forward(asked.body())
    headers.pop("Content-Length", None)
    asked.send(head(status, headers, len(data)))
    for byte in data:
        asked.send(bytes([byte]))
        if asked.over.wait(0.05):
            return


def short_length(status: int, headers: dict[str, str], data: bytes) -> tuple[int, dict[str, str], bytes]:
    return status, headers, data[: len(data) // 2]


def flipped(status: int, headers: dict[str, str], data: bytes) -> tuple[int, dict[str, str], bytes]:
    middle = len(data) // 2
    return status, headers, data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :] if data else data


def other_bytes(status: int, headers: dict[str, str], data: bytes) -> tuple[int, dict[str, str], bytes]:
    return status, headers, b"{}" if data else data


def longer(status: int, headers: dict[str, str], data: bytes) -> tuple[int, dict[str, str], bytes]:
    return status, headers, data + b"\0" * 100_000 if data else data


def lying_digest(status: int, headers: dict[str, str], data: bytes) -> tuple[int, dict[str, str], bytes]:
    return status, {**headers, "Docker-Content-Digest": "sha256:" + "0" * 64}, data


def zipped(status: int, headers: dict[str, str], data: bytes) -> tuple[int, dict[str, str], bytes]:
    return status, {**headers, "Content-Encoding": "gzip"}, gzip.compress(data) if data else data


def bomb(_status: int, headers: dict[str, str], data: bytes) -> tuple[int, dict[str, str], bytes]:
    return 200, {**headers, "Content-Encoding": "gzip"}, gzip.compress(b"\0" * 50_000_000) if data else data


def without_location(status: int, headers: dict[str, str], data: bytes) -> tuple[int, dict[str, str], bytes]:
    return status, {name: value for name, value in headers.items() if name.lower() != "location"}, data


def odd_location(status: int, headers: dict[str, str], data: bytes) -> tuple[int, dict[str, str], bytes]:
    return status, {**headers, "Location": "http://[::bad/"}, data


def lying_range(status: int, headers: dict[str, str], data: bytes) -> tuple[int, dict[str, str], bytes]:
    return status, {**headers, "Range": "0-99999999"}, data


def chunked_garbage(asked: Asked) -> None:
    status, headers, _ = asked.forward(asked.body())
    headers.pop("Content-Length", None)
    asked.send(head(status, {**headers, "Transfer-Encoding": "chunked"}) + b"zz\r\nxx\r\n")
    asked.socket.close()


def redirect_loop(asked: Asked) -> None:
    asked.body()
    replied(asked, 307, {"Location": asked.target})


NOTHING = "http://127.0.0.1:1/"
"""Where nobody listens."""
ALWAYS = ("reset_before", "stall_before", "status_500", "status_503", "garbage", "redirect_loop", "status_429")
FAULTS: dict[str, Fault] = {
    "reset_before": reset_before,
    "reset_unread": reset_unread,
    "reset_in_upload": reset_in_upload,
    "reset_in_head": reset_in_head,
    "closed_before": closed_before,
    "lost_answer": lost_answer,
    "truncated": truncated,
    "stall_before": stall_before,
    "stall_unread": stall_unread,
    "stall_in_head": stall_in_head,
    "stall_in_body": stall_in_body,
    "stall_after_doing": stall_after_doing,
    "drip": drip,
    "drip_body": drip_body,
    "status_500": answered(500),
    "status_502": answered(502, b"<html>Bad Gateway</html>", Content_Type="text/html"),
    "status_503": refused(503, "UNAVAILABLE"),
    "status_507": answered(507),
    "status_408": answered(408),
    "status_429": refused(429, "TOOMANYREQUESTS", Retry_After="1"),
    "status_429_date": answered(429, Retry_After=formatdate(time.time() + 1, usegmt=True)),
    "status_429_bare": answered(429),
    "status_429_years": answered(429, Retry_After="315360000"),
    "status_429_huge": answered(429, Retry_After="9" * 400),
    "status_429_negative": answered(429, Retry_After="-5"),
    "status_429_odd": answered(503, Retry_After="soon"),
    "status_401": answered(401),
    "status_401_basic": answered(401, WWW_Authenticate='Basic realm="tests"'),
    "status_403": refused(403, "DENIED"),
    "status_404": refused(404, "NAME_UNKNOWN"),
    "status_404_upload": refused(404, "BLOB_UPLOAD_UNKNOWN"),
    "status_405": refused(405, "UNSUPPORTED"),
    "status_413": answered(413),
    "status_416": refused(416, "BLOB_UPLOAD_INVALID"),
    "status_400_digest": refused(400, "DIGEST_INVALID"),
    "status_400_blob": refused(400, "MANIFEST_BLOB_UNKNOWN"),
    "status_418": answered(418),
    "status_999": answered(999),
    "status_200_html": answered(200, b"<html>Welcome</html>", Content_Type="text/html"),
    "status_200_empty": answered(200),
    "status_204": raw(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "status_201_empty": answered(201),
    "status_202_bare": answered(202),
    "errors_odd": answered(400, b'{"errors": [1, null, {"code": {"a": 1}, "message": "\x1b[2J"}]}'),
    "flipped": changed(flipped),
    "other_bytes": changed(other_bytes),
    "short_length": changed(short_length),
    "longer": changed(longer),
    "lying_digest": changed(lying_digest),
    "zipped": changed(zipped),
    "bomb": changed(bomb),
    "without_location": changed(without_location),
    "odd_location": changed(odd_location),
    "lying_range": changed(lying_range),
    "redirect_loop": redirect_loop,
    "redirect_nowhere": answered(307, Location=NOTHING),
    "redirect_odd": answered(307, Location="http://[::bad/"),
    "redirect_file": answered(302, Location="file:///etc/passwd"),
    "garbage": raw(b"\x00\xff\x16\x03 nothing of HTTP\r\n\r\n"),
    "garbage_headers": raw(b"HTTP/1.1 200 OK\r\n" + b"x" * 200_000),
    "many_headers": raw(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 5000 + b"\r\n"),
    "endless_interim": raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "odd_length": raw(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
    "two_lengths": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    "huge_length": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999\r\n\r\nab"),
    "endless_length": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nab", close=False),
    "chunked_garbage": chunked_garbage,
}


# -- the proxy ------------------------------------------------------------------------------------------------------


@dataclass
class Proxy:
    """Passes requests on to `upstream`, breaks the one numbered `at` (from 1) by `fault`, and all after with `always`.

    `seen` has the shape of each request; `credentials` what was shown to whom.
    """

    upstream: str
    address: str = ""
    fault: Fault | None = None
    at: int = 0
    always: bool = False
    seen: list[str] = field(default_factory=list)
    moved: int = 0
    over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def arm(self, fault: Fault | None = None, at: int = 0, always: bool = False) -> None:
        """What is to go wrong from now on; ends what stalls still."""
        self.over.set()
        self.over = threading.Event()
        self.seen, self.fault, self.at, self.always, self.moved = [], fault, at, always, 0

    def serve(self, connection: socket.socket) -> None:
        connection.settimeout(SILENCE)
        with contextlib.suppress(OSError, http.client.HTTPException), connection:
            while self._one(connection):
                pass

    def _one(self, connection: socket.socket) -> bool:
        data = b""
        while b"\r\n\r\n" not in data:
            if not (piece := connection.recv(1 << 16)):
                return False
            data += piece
        start, _, rest = data.partition(b"\r\n\r\n")
        first, *lines = start.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        asked = Asked(method, target, headers, connection, rest, self.upstream, self.over)
        with self.lock:
            self.seen.append(asked.shape)
            number, fault = len(self.seen), self.fault
            self.moved += int(headers.get("content-length") or 0)
        broken = fault is not None and (number == self.at or (self.always and number > self.at))
        (fault if fault and broken else passed)(asked)
        return not broken


@contextlib.contextmanager
def proxied(upstream: str) -> Iterator[Proxy]:
    """A proxy on a free port of this machine."""
    proxy = Proxy(upstream)
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        proxy.address = f"127.0.0.1:{server.getsockname()[1]}"

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    threading.Thread(target=proxy.serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.over.set()
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
