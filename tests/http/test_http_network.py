"""The network's transport against servers that say their answers byte by byte."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence

import pytest

from pipeline.errors import OutOfReach
from pipeline.http import Body, Http

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Script:
    """A server: for each connection its answers, one for each request, then it closes. `seen` are the heads."""

    def __init__(self, *connections: Sequence[bytes]) -> None:
        self.seen: list[str] = []
        self.connections = 0
        self._left = list(connections)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.url = f"http://{self.address}/v2/"
        self.closed = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        for answers in self._left:
            with contextlib.suppress(OSError):
                peer, _ = self._socket.accept()
                self.connections += 1
                with peer, peer.makefile("rb") as file:
                    for answer in answers:
                        self._request(file)
                        peer.sendall(answer)
            self.closed.set()

    def _request(self, file: object) -> None:
        lines = list(iter(file.readline, b"\r\n"))  # type: ignore[attr-defined]
        self.seen.append(b"".join(lines).decode())
        length = next((line for line in lines if line.lower().startswith(b"content-length:")), b":0")
        file.read(int(length.partition(b":")[2]))  # type: ignore[attr-defined]

    def close(self) -> None:
        self._socket.close()


@contextlib.contextmanager
def script(*connections: Sequence[bytes]) -> Iterator[Script]:
    server = Script(*connections)
    try:
        yield server
    finally:
        server.close()


def ask(
    http: Http, url: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: Body = None
) -> tuple[int, bytes]:
    with http.send(method, url, headers or {}, body) as response:
        return response.status, response.read()


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (OK, (200, b"ok")),
        (OK.replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n"), (200, b"ok")),
        (b"HTTP/1.1 200\r\ncontent-length:2\r\n\r\nok", (200, b"ok")),
        (b"HTTP/1.1 204 None\r\n\r\n", (204, b"")),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + OK, (200, b"ok")),
        (b"HTTP/1.0 404 No\r\n\r\nuntil the end", (404, b"until the end")),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n1\r\n!\r\n0\r\nT: r\r\n\r\n",
            (200, b"ok!"),
        ),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", (200, b"ok")),
    ],
)
def test_how_answers_end(answer: bytes, found: tuple[int, bytes]) -> None:
    with script([answer]) as server:
        assert ask(Http({}), server.url) == found


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "closed without an answer"),
        (b"SSH-2.0-OpenSSH\r\n", "no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "headers break off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", "broke off, 7 bytes short"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "no number"),
        ("HTTP/1.1 200 OK\r\nContent-Length: \u00b2\r\n\r\nok".encode("latin-1"), "no number"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", "no number"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nok!", "no number"),
        (CHUNKED + b"2\r\nok\r\n", "broke off between"),
        (CHUNKED + b"-2\r\nok\r\n0\r\n\r\n", "broke off between"),
        (CHUNKED + b"0_2\r\nok\r\n0\r\n\r\n", "broke off between"),
        (CHUNKED + b"2\r\nokay\r\n0\r\n\r\n", "broke off between"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 100, "does not come to an end"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 300 + b"\r\n", "too many headers"),
    ],
)
def test_answers_that_are_none(answer: bytes, why: str) -> None:
    with script([answer]) as server, pytest.raises(OutOfReach, match=f"http://{server.address}: the .*{why}") as caught:
        ask(Http({}), server.url)
    assert caught.value.transient


def test_a_connection_is_used_again() -> None:
    with script([OK, OK.replace(b"ok", b""), OK]) as server:
        http = Http({})
        assert ask(http, server.url)[1] == b"ok"
        with http.send("HEAD", server.url, {}) as response:
            assert response.headers["content-length"] == "2"
        ask(http, server.url)
        assert server.connections == 1


def test_an_answer_that_nobody_read_is_in_nobodys_way() -> None:
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + bytes(99999)
    with script([OK, large], [OK]) as server:
        http = Http({})
        for _ in range(2):
            with http.send("GET", server.url, {}):
                pass
        assert ask(http, server.url) == (200, b"ok")
        assert server.connections == 2


def test_a_connection_that_the_server_closed_is_opened_anew() -> None:
    with script([OK], [OK]) as server:
        http = Http({})
        ask(http, server.url)
        server.closed.wait(10)
        assert ask(http, server.url, "POST", body=b"once") == (200, b"ok")


def test_a_server_that_says_it_closes_is_believed() -> None:
    with script([OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")], [OK]) as server:
        http = Http({})
        ask(http, server.url)
        ask(http, server.url)
        assert server.connections == 2


def test_a_request_on_a_connection_that_ends_is_sent_again_when_that_is_harmless() -> None:
    """The second request of the first connection is read, and not answered."""
    for method, good in (("GET", True), ("POST", False)):
        with script([OK, b""], [OK]) as server:
            http = Http({})
            ask(http, server.url)
            if good:
                assert ask(http, server.url, method) == (200, b"ok")
            else:
                with pytest.raises(OutOfReach, match="without an answer"):
                    ask(http, server.url, method)


def test_what_is_sent() -> None:
    with script([OK, OK, OK]) as server:
        http = Http({})
        ask(http, server.url + "?a=b", headers={"Accept": "x/y"})
        ask(http, server.url, "POST")
        ask(http, server.url, "PUT", {"Content-Length": "4"}, iter([b"ab", b"cd"]))
    first, second, third = server.seen
    assert first.splitlines()[:2] == ["GET /v2/?a=b HTTP/1.1", f"Host: {server.address}"]
    assert "Accept: x/y" in first
    assert "*/*" not in first
    assert "Content-Length: 0" in second
    assert third.count("Content-Length") == 1


def test_a_header_cannot_begin_another() -> None:
    with script([OK]) as server, pytest.raises(OutOfReach, match=r"cannot be written.*control codes") as caught:
        ask(Http({}), server.url, headers={"Authorization": "Basic secret\r\nX: y"})
    assert "secret" not in str(caught.value)


def test_an_answer_before_all_was_sent() -> None:
    """A server that refuses an upload answers, and reads no further."""
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

    def pieces() -> Iterator[bytes]:
        yield b"first"
        server.closed.wait(10)
        yield from (bytes(1 << 20) for _ in range(200))

    class Early(Script):
        def _request(self, file: object) -> None:
            list(iter(file.readline, b"\r\n"))  # type: ignore[attr-defined]

    server = Early([refusal])
    try:
        assert ask(Http({}), server.url, "PUT", {"Content-Length": str(5 + (200 << 20))}, pieces())[0] == 413
    finally:
        server.close()


def test_plain_requests_through_a_proxy() -> None:
    with script([OK, OK]) as proxy:
        http = Http({"http_proxy": f"http://me:pw@{proxy.address}"})
        assert ask(http, "http://reg.example.com/v2/?a") == (200, b"ok")
        assert ask(http, "http://reg.example.com/v2/") == (200, b"ok")
    assert proxy.seen[0].splitlines()[0] == "GET http://reg.example.com/v2/?a HTTP/1.1"
    assert "Proxy-Authorization: Basic bWU6cHc=" in proxy.seen[0]
    assert proxy.connections == 1


def test_a_tunnel_through_a_proxy() -> None:
    with script([b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n"]) as proxy:
        http = Http({"https_proxy": proxy.address})
        with pytest.raises(OutOfReach, match=rf"the proxy {proxy.address} leads to no reg.example.com \(407\)"):
            ask(http, "https://reg.example.com/v2/")
    assert proxy.seen[0].splitlines()[0] == "CONNECT reg.example.com:443 HTTP/1.1"
