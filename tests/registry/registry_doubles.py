"""Servers on real sockets for the registry's tests: registries in memory, a token server, a proxy that fails."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from pipeline.http import Body, Response
from pipeline.manifest.model import Registry, Retry, Secret
from pipeline.registry import Registries
from pipeline.registry.memory import MemoryRegistry

USERS = {"bob": "s3cret-of-bob"}
Handler = Callable[["Exchange"], None]


def opened(address: str, transport: object = None, password: str = USERS["bob"], **more: object) -> Registries:
    """Registries as bob sees them; waits take no time."""
    given = [Registry("prod", address, "bob", Secret(password))]
    more.setdefault("sleep", lambda _seconds: None)
    return Registries({"PATH": ""}, given, transport=transport, retry=Retry(3, 0.01, 0.02), **more)  # type: ignore[arg-type]


class Exchange(BaseHTTPRequestHandler):
    """One request, to be answered by the function that the server was made with."""

    protocol_version = "HTTP/1.1"
    answer: Handler

    def do_GET(self) -> None:
        type(self).answer(self)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def log_message(self, *_: object) -> None:
        pass

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def reply(self, status: int, headers: Mapping[str, str], data: bytes = b"") -> None:
        self.send_response_only(status)
        given = {name.lower() for name in headers}
        for name, value in headers.items():
            self.send_header(name, value)
        if "content-length" not in given:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def cut(self) -> None:
        """Ends the connection as a crash does: with a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.wfile.flush()
        self.close_connection = True
        self.connection.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def served(answer: Handler) -> Iterator[str]:
    """A server on a free port; gives its address as host:port."""
    handler = type("Handler", (Exchange,), {"answer": staticmethod(answer)})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Recorder:
    """A transport that keeps what passes through it: method, address, and the headers sent."""

    inner: object
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    @contextlib.contextmanager
    def send(self, method: str, url: str, headers: Mapping[str, str], body: Body = None) -> Iterator[Response]:
        self.seen.append((method, url, dict(headers)))
        with self.inner.send(method, url, headers, body) as response:  # type: ignore[attr-defined]
            yield response

    def lines(self) -> list[str]:
        return [f"{method} {urlsplit(url).path}" for method, url, _ in self.seen]


# -- a registry whose users are known to a token server -------------------------------------------------------------


@dataclass
class TokenRegistry:
    """A registry in memory behind bearer tokens. `rights` are the actions each user may have; `asked` lists the token
    requests as (method, grant or "basic" or "anonymous", scopes).
    Tokens last `life` seconds by the server's word; whoever asks for the repository `private` gets none at all.
    """

    users: Mapping[str, str]
    rights: Mapping[str, set[str]]
    refresh_tokens: dict[str, str] = field(default_factory=dict)
    entra_tokens: dict[str, str] = field(default_factory=dict)
    life: int = 300
    get_allowed: bool = True
    private: str = ""
    memory: MemoryRegistry = field(default_factory=MemoryRegistry)
    asked: list[tuple[str, str, frozenset[str]]] = field(default_factory=list)
    tokens: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    realm: str = ""

    def answer(self, exchange: Exchange) -> None:
        path = urlsplit(exchange.path).path
        host = exchange.headers["Host"]
        if path == "/oauth2/exchange":
            self._exchange(exchange)
        elif path == "/oauth2/token":
            self._token(exchange)
        elif refusal := self._refusal(exchange, path):
            exchange.body()
            realm = self.realm or f"http://{host}/oauth2/token"
            challenge = f'Bearer realm="{realm}",service="{host}"{refusal}'
            data = json.dumps({"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}).encode()
            exchange.reply(401, {"WWW-Authenticate": challenge}, data)
        else:
            send = self.memory.send(
                exchange.command, f"http://{host}{exchange.path}", dict(exchange.headers.items()), exchange.body()
            )
            with send as response:
                exchange.reply(response.status, response.headers, b"".join(response.chunks()))

    def _refusal(self, exchange: Exchange, path: str) -> str:
        token = (exchange.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in self.tokens:
            return ',error="invalid_token"' if token else " "
        if path == "/v2/":
            return ""
        name = re.split(r"/(?:manifests|blobs|tags)/", path.removeprefix("/v2/"))[0]
        needed = "pull" if exchange.command in ("GET", "HEAD") else "push"
        return "" if needed in self.tokens[token].get(name, set()) else ',error="insufficient_scope"'

    def _exchange(self, exchange: Exchange) -> None:
        form = {name: values[0] for name, values in parse_qs(exchange.body().decode()).items()}
        self.asked.append(("POST", f"exchange {form.get('tenant', '')} {form.get('service', '')}".strip(), frozenset()))
        user = self.entra_tokens.get(form.get("access_token", ""))
        if form.get("grant_type") != "access_token" or user is None:
            exchange.reply(401, {}, b"{}")
            return
        token = f"refresh-of-{user}"
        self.refresh_tokens[token] = user
        exchange.reply(200, {}, json.dumps({"refresh_token": token}).encode())

    def _token(self, exchange: Exchange) -> None:
        text = exchange.body().decode() if exchange.command == "POST" else urlsplit(exchange.path).query
        form = parse_qs(text)
        scopes = frozenset(scope for value in form.get("scope", []) for scope in value.split(" "))
        how, user = self._who(exchange, form)
        self.asked.append((exchange.command, how, scopes))
        if exchange.command == "GET" and not self.get_allowed:
            exchange.reply(405, {}, b"")
        elif user is None or (self.private and any(f":{self.private}:" in scope for scope in scopes)):
            exchange.reply(401, {}, b'{"errors":[{"code":"UNAUTHORIZED"}]}')
        else:
            token = f"token-{len(self.tokens)}"
            self.tokens[token] = {
                scope.split(":")[1]: set(scope.split(":")[2].split(",")) & self.rights.get(user, set())
                for scope in scopes
            }
            exchange.reply(200, {}, json.dumps({"access_token": token, "expires_in": self.life}).encode())

    def _who(self, exchange: Exchange, form: Mapping[str, list[str]]) -> tuple[str, str | None]:
        if "refresh_token" in form:
            return "refresh_token", self.refresh_tokens.get(form["refresh_token"][0])
        if "password" in form:
            name = form["username"][0]
            return "password", name if self.users.get(name) == form["password"][0] else None
        if basic := exchange.headers.get("Authorization"):
            name, _, password = base64.b64decode(basic.removeprefix("Basic ")).decode().partition(":")
            return "basic", name if self.users.get(name) == password else None
        return "anonymous", ""


# -- a proxy that fails ---------------------------------------------------------------------------------------------


@dataclass
class Fault:
    """What goes wrong with requests of a method whose path matches: the first `times` of them."""

    method: str
    path: str
    do: Callable[[Exchange, FaultyProxy], None]
    times: int = 1


@dataclass
class FaultyProxy:
    """Passes requests on to `upstream` (host:port), but for its faults; `seen` lists them as "METHOD PATH"."""

    upstream: str
    faults: list[Fault] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def answer(self, exchange: Exchange) -> None:
        path = urlsplit(exchange.path).path
        self.seen.append(f"{exchange.command} {path}")
        for fault in self.faults:
            if fault.times and fault.method == exchange.command and re.search(fault.path, path):
                fault.times -= 1
                fault.do(exchange, self)
                return
        exchange.reply(*self.forward(exchange, exchange.body()))

    def forward(self, exchange: Exchange, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.upstream)
        headers = dict(exchange.headers.items())
        connection.request(exchange.command, exchange.path, body, headers)
        response = connection.getresponse()
        data = response.read()
        drop = ("transfer-encoding", "connection")
        found = {name: value for name, value in response.getheaders() if name.lower() not in drop}
        connection.close()
        return response.status, found, data


def status(code: int, **headers: str) -> Callable[[Exchange, FaultyProxy], None]:
    """Answers with a status and nothing else."""

    def do(exchange: Exchange, _proxy: FaultyProxy) -> None:
        exchange.body()
        exchange.reply(code, {name.replace("_", "-"): value for name, value in headers.items()})

    return do


def cut_upload(after: int) -> Callable[[Exchange, FaultyProxy], None]:
    """Passes on the first bytes of what is sent, and then breaks both connections."""

    def do(exchange: Exchange, proxy: FaultyProxy) -> None:
        first = exchange.rfile.read(min(after, int(exchange.headers["Content-Length"]) - 1))
        host, _, port = proxy.upstream.partition(":")
        with socket.create_connection((host, int(port))) as up:
            lines = [f"{exchange.command} {exchange.path} HTTP/1.1"]
            lines += [f"{name}: {value}" for name, value in exchange.headers.items()]
            up.sendall("\r\n".join([*lines, "", ""]).encode() + first)
            up.shutdown(socket.SHUT_WR)
            while up.recv(1 << 16):
                pass
        exchange.cut()

    return do


def lose_answer(exchange: Exchange, proxy: FaultyProxy) -> None:
    """Passes the request on, and breaks off instead of answering."""
    proxy.forward(exchange, exchange.body())
    exchange.cut()


def cut_answer(after: int) -> Callable[[Exchange, FaultyProxy], None]:
    """Announces all of the answer, and breaks off after its first bytes."""

    def do(exchange: Exchange, proxy: FaultyProxy) -> None:
        code, headers, data = proxy.forward(exchange, exchange.body())
        exchange.reply(code, {**headers, "Content-Length": str(len(data))}, data[:after])
        exchange.close_connection = True

    return do


def altered(exchange: Exchange, proxy: FaultyProxy) -> None:
    """Changes one byte of the answer."""
    code, headers, data = proxy.forward(exchange, exchange.body())
    middle = len(data) // 2
    exchange.reply(code, headers, data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])


def longer(exchange: Exchange, proxy: FaultyProxy) -> None:
    """Adds bytes to the answer."""
    code, headers, data = proxy.forward(exchange, exchange.body())
    exchange.reply(code, {n: v for n, v in headers.items() if n.lower() != "content-length"}, data + b"more")


def silent(exchange: Exchange, proxy: FaultyProxy) -> None:
    """Answers nothing until the test is over."""
    exchange.body()
    proxy.released.wait(60)
    exchange.close_connection = True


@contextlib.contextmanager
def failing(upstream: str, *faults: Fault) -> Iterator[tuple[str, FaultyProxy]]:
    """A proxy before a registry; gives its address."""
    proxy = FaultyProxy(upstream, list(faults))
    with served(proxy.answer) as address:
        try:
            yield address, proxy
        finally:
            proxy.released.set()


def in_memory(registry: MemoryRegistry) -> Handler:
    """A registry in memory, on a socket; it keeps what it got of an upload that broke off."""

    def answer(exchange: Exchange) -> None:
        url, body = f"http://{exchange.headers['Host']}{exchange.path}", exchange.body()
        broken = len(body) < int(exchange.headers.get("Content-Length") or 0)
        method = "PATCH" if broken else exchange.command
        with registry.send(method, url, dict(exchange.headers.items()), body) as response:
            exchange.reply(response.status, response.headers, b"".join(response.chunks()))

    return answer
