"""HTTP/1.1 with pooled connections, the user's proxies and certificates, and failures as OutOfReach (httpx underneath).

It follows no redirect and adds no credential: both are decided by whoever knows which host may see what.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import urlsplit, urlunsplit

from pipeline.errors import OutOfReach

if TYPE_CHECKING:
    import ssl

    import httpx

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 60.0
"""Seconds to connect, and without a byte."""
_CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class NoTLS(OutOfReach):
    """There is a server, and it speaks plain HTTP or something else."""


Body = bytes | Iterable[bytes] | None


@dataclass(frozen=True, slots=True)
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


class Http:
    """The network. `environ` names proxies and certificate bundles; `ca_file` is trusted as well (PEM).

    Threads share it; connections are kept and reused. Its client is made when the first request goes out.
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
        self._clients: dict[str, httpx.Client] = {}
        self._lock = threading.Lock()

    @contextmanager
    def send(self, method: str, url: str, headers: Mapping[str, str], body: Body = None) -> Iterator[Response]:
        httpx = _httpx()
        try:
            with self._client(urlsplit(url).scheme).stream(method, url, headers=dict(headers), content=body) as answer:
                yield Response(answer.status_code, answer.headers, answer.iter_raw)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise OutOfReach(f"{shown(url)} is no address", remedy="check the host's name and port") from None
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise failure(error, url) from None

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def _client(self, scheme: str) -> httpx.Client:
        with self._lock:
            if scheme not in self._clients:
                self._clients[scheme] = self._make_client(scheme)
            return self._clients[scheme]

    def _make_client(self, scheme: str) -> httpx.Client:
        httpx_ = _httpx()
        connect, read = self._timeouts
        verify: Any = certificates(self._environ, self._ca_file) if scheme == "https" else False
        mounts = {
            pattern: httpx_.HTTPTransport(verify=verify, proxy=proxy) if proxy else None
            for pattern, proxy in proxies(self._environ).items()
        }
        client: httpx.Client = httpx_.Client(
            verify=verify,
            mounts=mounts,
            # The environment is an argument here; httpx would read .netrc as well.
            trust_env=False,
            timeout=httpx_.Timeout(read, connect=connect, pool=None),
            limits=httpx_.Limits(max_connections=None, max_keepalive_connections=32, keepalive_expiry=60),
            headers={"User-Agent": "pipeline", "Accept-Encoding": "identity"},
        )
        return client


def _httpx() -> Any:
    """httpx without its command-line program, whose imports take as long as all the rest of it."""
    modules = cast("dict[str, ModuleType | None]", sys.modules)
    hidden = "httpx" not in modules and modules.setdefault("httpx._main", None) is None
    import httpx

    if hidden:
        modules.pop("httpx._main", None)
        # Their records hold addresses with signatures, which must reach no log.
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
    return httpx


def failure(error: Exception, url: str) -> OutOfReach:
    """What a failed exchange means to the user."""
    httpx = _httpx()
    parts = urlsplit(url)
    where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    if isinstance(error, httpx.LocalProtocolError):
        # Its text quotes the header, and so perhaps a credential.
        return OutOfReach(f"the request to {where} cannot be written", remedy="check the credentials for control codes")
    reason = str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        reason = reason.partition("CERTIFICATE_VERIFY_FAILED] ")[2].partition(" (_ssl")[0]
        remedy = "name the file of its certificate authority, or set SSL_CERT_FILE"
        return OutOfReach(f"{where} is not trusted: {reason}", remedy=remedy)
    if "WRONG_VERSION_NUMBER" in reason or "RECORD_LAYER_FAILURE" in reason:
        remedy = "write http:// before its address if that is meant"
        return NoTLS(f"{where} does not speak TLS", remedy=remedy)
    if isinstance(error, httpx.TimeoutException):
        reason = "no answer in time"
    remedy = "check the address, the network and the proxy settings"
    return OutOfReach(f"{where} does not answer: {reason}", remedy=remedy, transient=True)


def certificates(environ: Mapping[str, str], ca_file: Path | None = None) -> ssl.SSLContext:
    """Whom to trust: the bundle that `environ` names, else the system's, and `ca_file`."""
    import ssl

    file = next((environ[name] for name in _CERTIFICATES if environ.get(name)), None)
    wanted = str(ca_file or file or "the system's certificates")
    try:
        folder = file if file and Path(file).is_dir() else environ.get("SSL_CERT_DIR")
        context = ssl.create_default_context(cafile=None if file == folder else file, capath=folder)
        if ca_file:
            context.load_verify_locations(cafile=ca_file)
        return context
    except OSError as error:
        reason = error.strerror or "it holds no certificate in PEM form"
        raise OutOfReach(f"cannot read {wanted}: {reason}", remedy="check the file of certificates") from None


def proxies(environ: Mapping[str, str]) -> dict[str, str | None]:
    """URL patterns, as httpx has them, to proxies; None for none. This machine itself is never asked by a proxy."""
    everywhere = environ.get("all_proxy") or environ.get("ALL_PROXY")
    found: dict[str, str | None] = {}
    for scheme in ("http", "https"):
        if proxy := environ.get(f"{scheme}_proxy") or environ.get(f"{scheme.upper()}_PROXY") or everywhere:
            found[f"{scheme}://"] = proxy if "://" in proxy else f"http://{proxy}"
    if not found:
        return {}
    names = [name.strip() for name in (environ.get("no_proxy") or environ.get("NO_PROXY") or "").split(",")]
    if "*" in names:
        return {}
    for name in filter(None, (name.lstrip("*.") for name in names)):
        found[f"all://{name}"] = None
        if name[0].isalpha():
            found[f"all://*.{name}"] = None
    return found | dict.fromkeys((f"all://{host}" for host in _LOOPBACK), None)


def retry_after(value: str, now: float) -> float:
    """Seconds to wait by a Retry-After header (RFC 9110, section 10.2.3), a number or a date; 0 for nonsense."""
    if value.strip().isdigit():
        return float(value)
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return 0.0
