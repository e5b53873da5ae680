"""Asks an engine one question over its socket, in milliseconds: without the SDK, which takes longer to import.

Interface: Docker Engine API 1.41, /version and /containers/{id}/json; Podman answers both.
"""

from __future__ import annotations

import json
import os
import socket
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 5.0
"""Seconds to wait for a connection, and for each piece of the answer."""


class NoAnswer(Exception):
    """Nobody answers there; the message says why."""


def ask(address: str, path: str, timeout: float = TIMEOUT) -> tuple[int, Any]:
    """The status and the JSON of `GET path` at an address such as unix:///var/run/docker.sock or tcp://host:2375.

    Raises NoAnswer.
    """
    try:
        with _connected(address, timeout) as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\nHost: engine\r\nUser-Agent: pipeline\r\n\r\n".encode())
            answer = bytearray()
            while piece := connection.recv(65536):
                answer += piece
    except TimeoutError as error:
        raise NoAnswer(f"no answer within {timeout:g} s") from error
    except OSError as error:
        raise NoAnswer((error.strerror or str(error)).lower()) from error
    return _parsed(bytes(answer))


def asks_plainly(address: str) -> bool:
    """Whether an address can be asked this way: neither by ssh nor with TLS."""
    return address.startswith(("unix://", "tcp://", "http://")) and not os.environ.get("DOCKER_TLS_VERIFY")


def _connected(address: str, timeout: float) -> socket.socket:
    parts = urlsplit(address)
    if parts.scheme == "unix":
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout)
        try:
            connection.connect(parts.path)
        except BaseException:
            connection.close()
            raise
        return connection
    return socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 2375), timeout)


def _parsed(answer: bytes) -> tuple[int, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(maxsplit=2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise NoAnswer("the answer is not HTTP")
    if b"transfer-encoding: chunked" in head.lower():
        body = _dechunked(body)
    try:
        return int(words[1]), json.loads(body or b"null")
    except ValueError as error:
        raise NoAnswer("the answer is not JSON") from error


def _dechunked(body: bytes) -> bytes:
    """RFC 9112, section 7.1, for servers that chunk what they answer to HTTP/1.0."""
    whole = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size.split(b";")[0] or b"0", 16)
        whole, body = whole + rest[:length], rest[length + 2 :]
        if not length:
            break
    return whole


def innermost(error: BaseException) -> str:
    """The cause in a few words: requests wraps it three times."""
    inner = [part for part in error.args if isinstance(part, BaseException)]
    if inner:
        return innermost(inner[-1])
    return (getattr(error, "strerror", "") or str(error) or type(error).__name__)[:200]
