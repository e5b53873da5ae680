"""The network as a transport: connections kept for each host, opened directly or through a proxy."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import limit
from pipeline.errors import OutOfReach
from pipeline.http.address import Address, Proxy, parsed, proxy_for
from pipeline.http.connect import connected
from pipeline.http.model import Body, Response
from pipeline.http.tls import certificates, failure
from pipeline.http.wire import Connection, Unwritable, head

if TYPE_CHECKING:
    import socket
    import ssl

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 30.0
"""Seconds to connect, and without a byte."""
_MOST_KEPT = 32
_ALWAYS = {"User-Agent": "pipeline", "Accept": "*/*", "Accept-Encoding": "identity"}


class Http:
    """The network. `environ` names proxies and certificate bundles; `ca_file` is trusted as well (PEM).

    Threads share it; connections are kept and reused.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        ca_file: Path | None = None,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
    ) -> None:
        self._environ = environ
        self._ca_file = ca_file
        self._timeouts = connect_timeout, read_timeout
        self._idle: dict[Address, list[Connection]] = {}
        self._context: ssl.SSLContext | None = None
        self._lock = threading.Lock()

    @contextmanager
    def send(self, method: str, url: str, headers: Mapping[str, str], body: Body = None) -> Iterator[Response]:
        to, target = parsed(url)
        proxy = proxy_for(self._environ, to)
        start = self._head(method, target, to, proxy, headers, body)
        connection, status, found = self._exchange(to, proxy, method, start, body)
        kept = False
        try:
            yield Response(status, found, lambda: _told(connection.body(), to))
            kept = self._keep(to, connection)
        finally:
            if not kept:
                connection.close()

    def close(self) -> None:
        """Closes the connections that are kept."""
        with self._lock:
            kept, self._idle = [each for idle in self._idle.values() for each in idle], {}
        for connection in kept:
            connection.close()

    # -- one exchange -------------------------------------------------------------------------------------------

    @staticmethod
    def _head(
        method: str, target: str, to: Address, proxy: Proxy | None, headers: Mapping[str, str], body: Body
    ) -> bytes:
        given = {name.lower() for name in headers}
        own = {name: value for name, value in _ALWAYS.items() if name.lower() not in given}
        if (
            "content-length" not in given
            and (body is None or isinstance(body, bytes))
            and method not in ("GET", "HEAD")
        ):
            own["Content-Length"] = str(len(body or b""))
        if proxy and to.scheme == "http":
            target, own = f"{to}{target}", own | _login(proxy)
        try:
            return head(method, target, {"Host": to.netloc, **own, **headers})
        except Unwritable:
            fact, remedy = f"the request to {to} cannot be written", "check the credentials for control codes"
            raise OutOfReach(fact, remedy=remedy, lasting=True) from None

    def _exchange(
        self, to: Address, proxy: Proxy | None, method: str, start: bytes, body: Body
    ) -> tuple[Connection, int, dict[str, str]]:
        """The answer's head. On a kept connection that is closed at this very moment, once more on a new one."""
        kept = self._kept(to)
        try:
            connection = kept or self._open(to, proxy)
            try:
                connection.ask(start, body)
                return connection, *connection.answer(method)
            except BaseException:
                connection.close()
                raise
        except OSError as error:
            if kept and not kept.answered and _repeatable(method, body) and not isinstance(error, TimeoutError):
                return self._exchange(to, proxy, method, start, body)
            raise failure(error, to) from None

    # -- connections --------------------------------------------------------------------------------------------

    def _kept(self, to: Address) -> Connection | None:
        while True:
            with self._lock:
                idle = self._idle.get(to)
                if not idle:
                    return None
                connection = idle.pop()
            if not connection.dropped():
                return connection
            connection.close()

    def _keep(self, to: Address, connection: Connection) -> bool:
        """Keeps a connection for another request; whether it can be."""
        try:
            if not connection.finish():
                return False
        except OSError:
            return False
        with self._lock:
            idle = self._idle.setdefault(to, [])
            if len(idle) < _MOST_KEPT:
                idle.append(connection)
                return True
        return False

    def _open(self, to: Address, proxy: Proxy | None) -> Connection:
        import socket

        connect, read = self._timeouts
        # First of all: that a file of certificates cannot be read is no fault of the network.
        context = self._trust() if to.scheme == "https" else None
        host, port = (proxy.host, proxy.port) if proxy else (to.host, to.port)
        # As bytes: to put a text into ASCII Python would load its tables of all letters of the world.
        name = host.encode("ascii" if host.isascii() else "idna")
        sock = connected(name, port, limit.left(connect))
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if proxy and context:
                _tunnel(sock, to, proxy, connect)
            if context:
                sock = context.wrap_socket(sock, server_hostname=to.host)
            return Connection(sock, read)
        except BaseException:
            sock.close()
            raise

    def _trust(self) -> ssl.SSLContext:
        with self._lock:
            if self._context is None:
                self._context = certificates(self._environ, self._ca_file)
            return self._context


def _repeatable(method: str, body: Body) -> bool:
    """Whether a request that was perhaps read by a server may be sent again unasked (RFC 9110, section 9.2.2)."""
    return method in ("GET", "HEAD", "PUT") and (body is None or isinstance(body, bytes))


def _told(chunks: Iterator[bytes], to: Address) -> Iterator[bytes]:
    try:
        yield from chunks
    except OSError as error:
        raise failure(error, to) from None


def _login(proxy: Proxy) -> dict[str, str]:
    if not proxy.login:
        return {}
    import base64

    return {"Proxy-Authorization": "Basic " + base64.b64encode(proxy.login.encode()).decode()}


def _tunnel(sock: socket.socket, to: Address, proxy: Proxy, patience: float) -> None:
    """Asks a proxy for a connection to a host (CONNECT, RFC 9110, section 9.3.6)."""
    name = f"{to.name}:{to.port}"
    through = Connection(sock, patience)
    through.ask(head("CONNECT", name, {"Host": name, "User-Agent": "pipeline", **_login(proxy)}), None)
    status, _ = through.answer("HEAD")
    if not 200 <= status < 300:
        remedy = (
            "it wants a name and a password" if status == 407 else "ask whoever runs it, or name the host in no_proxy"
        )
        fact = f"the proxy {proxy.host}:{proxy.port} leads to no {to.host} ({status})"
        raise OutOfReach(fact, remedy=remedy, lasting=status < 500)
