"""The web over real sockets: slow clients, TLS, what a browser or a proxy would see, and what a push takes."""

from __future__ import annotations

import asyncio
import datetime
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection, HTTPSConnection
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from webmaker import ACT, TOKENS, Web

from pipeline.serve.settings import Access
from pipeline.serve.web.accepting import Accepting, Loop
from pipeline.serve.web.listen import config
from pipeline.serve.web.rendering import STATIC

HEAD = 1.0
"""Seconds: more than a busy machine takes for a request that is sent as a whole."""


@contextmanager
def served(web: Web, **limits: Any) -> Iterator[int]:
    """The port that it is served at."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(config(web.settings, web.app, **limits))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    with served(Web(tmp_path).fill()) as found:
        yield found


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[int]:
    """The port of one that does not wait for long."""
    with served(Web(tmp_path).fill(), head=HEAD) as found:
        yield found


def ended(connection: socket.socket) -> bytes:
    """All that comes until the other side closes, which is a reset where it has left something unread."""
    received = b""
    with suppress(ConnectionResetError):
        while data := connection.recv(65536):
            received += data
    return received


def answered(connection: socket.socket) -> bytes:
    """A first answer, after which the connection stays open."""
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    received = b""
    while not received.endswith(b"}"):
        data = connection.recv(65536)
        assert data, received
        received += data
    return received


def test_it_answers_without_saying_what_it_is(port: int) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/api/v1/manifests", headers={"Authorization": f"Bearer {ACT}"})
    answer = connection.getresponse()
    assert answer.status == 200 and json.loads(answer.read())["total"] == 1
    assert answer.getheader("Server") is None
    connection.request("HEAD", "/healthz")
    assert connection.getresponse().status == 200, "the connection is kept"


@pytest.mark.parametrize("begun", [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: "])
def test_a_client_that_does_not_go_on_is_not_waited_for(hasty: int, begun: bytes) -> None:
    with socket.create_connection(("127.0.0.1", hasty), timeout=60) as connection:
        connection.sendall(begun)
        assert ended(connection) == b""


def test_a_second_request_that_does_not_go_on_is_not_waited_for(hasty: int) -> None:
    with socket.create_connection(("127.0.0.1", hasty), timeout=60) as connection:
        answered(connection)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX-")
        assert ended(connection) == b""


def test_nonsense_and_large_heads_are_refused(port: int) -> None:
    for sent in (b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET / HTTP/1.1\r\nX-A: " + b"a" * (1 << 16) + b"\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(sent)
            assert ended(connection).startswith(b"HTTP/1.1 400")


def test_a_body_twice_as_long_as_it_says_smuggles_nothing(port: int) -> None:
    head = f"POST /api/v1/repositories/plain/refresh HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ACT}\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        lengths = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall((head + lengths + "0\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n").encode())
        received = ended(connection)
        assert received.startswith(b"HTTP/1.1 400") and received.count(b"HTTP/1.1 ") == 1


def test_it_serves_tls_itself(tmp_path: Path) -> None:
    certificate, key = certified(tmp_path)
    web = Web(tmp_path, Access(tokens=TOKENS, certificate=certificate, key=key)).fill()
    with served(web) as port:
        trusting = ssl.create_default_context(cafile=str(certificate))
        connection = HTTPSConnection("127.0.0.1", port, context=trusting, timeout=60)
        connection.request("GET", "/api/v1/me", headers={"Authorization": f"Bearer {ACT}"})
        answer = connection.getresponse()
        assert answer.status == 200 and answer.getheader("Strict-Transport-Security")
        connection.close()
        with socket.create_connection(("127.0.0.1", port), timeout=60) as plain:
            plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"200" not in ended(plain)


def certified(folder: Path) -> tuple[Path, Path]:
    """Files of a certificate for this machine, and of its key."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "tls.crt", folder / "tls.key"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, *private))
    return files


def test_whoever_is_silent_longest_makes_room_for_whoever_asks(tmp_path: Path) -> None:
    with ExitStack() as stack:
        port = stack.enter_context(served(Web(tmp_path).fill(), head=60.0, most=4))

        def connected() -> socket.socket:
            return stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))

        silent = [connected() for _ in range(8)]
        others = [connected() for _ in range(4)]
        assert [b" 200 " in answered(one) for one in others] == [True] * 4
        assert [ended(one) for one in silent] == [b""] * 8


def test_a_client_that_does_not_take_its_answer_is_not_waited_for(tmp_path: Path) -> None:
    with served(Web(tmp_path).fill(), stall=0.3) as port, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.settimeout(60)
        connection.connect(("127.0.0.1", port))
        name = next(file.name for file in STATIC.iterdir() if file.suffix == ".css")
        ask = f"GET /static/x/{name} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            # Nothing is read: it ends only when the other side does not wait any longer.
            while True:
                connection.sendall(ask)


def test_a_tls_handshake_that_does_not_go_on_is_not_waited_for(tmp_path: Path) -> None:
    certificate, key = certified(tmp_path)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate, key)
    loop = Loop()
    loop.handshake = 0.2

    async def try_it() -> bytes:
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0, ssl=made)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"\x16\x03\x01\x02\x00")
        received = await reader.read()
        writer.close()
        server.close()
        return received

    try:
        assert loop.run_until_complete(try_it()) == b""
    finally:
        loop.close()


def test_the_last_descriptors_are_not_for_connections() -> None:
    with Accepting.of(socket.create_server(("127.0.0.1", 0))) as listening:
        listening.most = 0
        with socket.create_connection(listening.getsockname(), timeout=60) as connection:
            with pytest.raises(ConnectionAbortedError):
                listening.accept()
            assert ended(connection) == b""
