"""Fetches files of package archives, with the user's proxies, certificates and credentials; the only `import httpx`."""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from pipeline import limit
from pipeline.errors import OutOfReach, ResolveError, StoreError
from pipeline.indexes.debian_apt import AptSettings, login_for
from pipeline.manifest.model import Timeouts

if TYPE_CHECKING:
    import httpx

CHUNK = 1 << 18
_CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class NotThere(ResolveError):
    """The archive answers, but does not have this file."""


def shown(url: str) -> str:
    """An address as it may be printed: without a user's name and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


@contextmanager
def atomic_file(target: Path) -> Iterator[IO[bytes]]:
    """A file to write, put in `target`'s place by one rename if all went well. StoreError if it cannot be written.

    Until then it has a name of its own, which is always the same: what a killed process has left is written anew.
    """
    staging = target.with_name(f".incoming-{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(staging) as file:
            try:
                yield file
                file.flush()
                staging.chmod(0o644)
                staging.replace(target)
            except BaseException:
                staging.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror}", remedy="check the folder and the disk") from None


def _locked(path: Path) -> IO[bytes]:
    """An empty file that no other thread or process writes until it is closed."""
    while True:
        file = path.open("ab")
        fcntl.flock(file, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                file.truncate(0)
                return file
        # Who had it has put it in its place.
        file.close()


class Fetcher:
    """Reads http, https and file addresses. One client is shared by all threads and made when first needed."""

    def __init__(self, settings: AptSettings, environ: Mapping[str, str], timeouts: Timeouts | None = None) -> None:
        self._timeouts = timeouts or Timeouts()
        self._settings = settings
        self._environ = environ
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None

    def read(self, url: str, limit: int = 64 << 20) -> bytes:
        """A small file. ResolveError when it is over `limit` bytes."""
        data = bytearray()
        with self._open(url) as chunks:
            for chunk in chunks:
                data += chunk
                if len(data) > limit:
                    raise ResolveError(f"{shown(url)} is larger than {limit >> 20} MB", remedy="check the mirror")
        return bytes(data)

    def download(self, url: str, target: Path, sha256: str, size: int) -> None:
        """A file into `target`, hashed on its way, put there by one rename. ResolveError when it is not as promised."""
        digest, received = hashlib.sha256(), 0
        with atomic_file(target) as file:
            with self._open(url) as chunks:
                for chunk in chunks:
                    received += len(chunk)
                    if received > size:
                        break
                    digest.update(chunk)
                    file.write(chunk)
            if received != size or digest.hexdigest() != sha256:
                raise ResolveError(
                    f"{shown(url)} is not the file that the signed index promises (size or SHA-256 differ)",
                    remedy="a mirror in the middle of an update may be to blame: try again, or another mirror",
                    transient=True,
                )

    @contextmanager
    def _open(self, url: str) -> Iterator[Iterator[bytes]]:
        parts = urlsplit(url)
        if parts.scheme in ("file", "copy"):
            with _open_local(Path(unquote(parts.path))) as chunks:
                yield chunks
            return
        if parts.scheme not in ("http", "https"):
            raise ResolveError(f"cannot fetch {shown(url)}", remedy="a mirror's address is http, https or file")
        import httpx

        try:
            with self._client_for().stream("GET", url, auth=self._auth(url)) as response:
                _check_status(response.status_code, url)
                yield limit.paced(response.iter_bytes(), self._timeouts.read)
        except httpx.InvalidURL as error:
            raise ResolveError(f"{shown(url)} is no address: {error}", remedy="check `mirror`") from None
        except (httpx.HTTPError, TimeoutError) as error:
            limit.check()
            late = isinstance(error, httpx.TimeoutException | TimeoutError)
            reason = "no answer in time" if late else str(error) or type(error).__name__
            raise OutOfReach(
                f"{parts.scheme}://{parts.netloc.rpartition('@')[2]} does not answer: {reason}",
                remedy="check the network and the proxy settings, or name another `mirror`",
                transient=True,
            ) from None

    def _auth(self, url: str) -> tuple[str, str] | None:
        login = login_for(url, self._settings.logins)
        return (login.user, login.password) if login else None

    def _client_for(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                self._client = self._make_client()
            return self._client

    def _make_client(self) -> httpx.Client:
        import httpx

        verify: Any = self._certificates()
        mounts: dict[str, httpx.BaseTransport | None] = {}
        for pattern, proxy in proxies(self._settings.options, self._environ).items():
            mounts[pattern] = httpx.HTTPTransport(verify=verify, proxy=proxy) if proxy else None
        timeout = httpx.Timeout(self._timeouts.read, connect=self._timeouts.connect)
        headers = {"User-Agent": "pipeline", "Accept-Encoding": "identity"}
        return httpx.Client(
            verify=verify, mounts=mounts, trust_env=False, timeout=timeout, follow_redirects=True, headers=headers
        )

    def _certificates(self) -> Any:
        import ssl

        file = self._settings.options.get("acquire::https::cainfo")
        file = file or next((self._environ[name] for name in _CERTIFICATES if self._environ.get(name)), None)
        folder = self._environ.get("SSL_CERT_DIR")
        try:
            if file and Path(file).is_dir():
                return ssl.create_default_context(capath=file)
            return ssl.create_default_context(cafile=file, capath=folder if file or folder else None)
        except OSError as error:
            raise ResolveError(f"cannot read the certificates in {file}: {error.strerror}") from None


def _check_status(status: int, url: str) -> None:
    if status in (404, 410):
        raise NotThere(
            f"{shown(url)} is not there ({status})", remedy="check the suite, the mirror and the architecture"
        )
    if status in (401, 403, 407):
        remedy = "put credentials into .netrc or apt's auth.conf"
        raise OutOfReach(f"{shown(url)} is not allowed ({status})", remedy=remedy, lasting=True)
    if status >= 500 or status in (408, 429):
        raise OutOfReach(f"{shown(url)} answers {status}", remedy="try again later", transient=True)
    if status != 200:
        raise ResolveError(f"{shown(url)} answers {status}", remedy="check the mirror's address")


@contextmanager
def _open_local(path: Path) -> Iterator[Iterator[bytes]]:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise NotThere(f"{path} is not there", remedy="check the suite and the mirror") from None
    except OSError as error:
        raise ResolveError(f"cannot read {path}: {error.strerror}", remedy="check the mirror") from None
    with file:
        yield iter(lambda: file.read(CHUNK), b"")


def proxies(options: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str | None]:
    """URL patterns to proxies, None for none: apt's settings, which come first in apt too, then the environment's."""
    found: dict[str, str | None] = {}
    for scheme in ("http", "https"):
        proxy = environ.get(f"{scheme}_proxy") or environ.get(f"{scheme.upper()}_PROXY")
        proxy = proxy or environ.get("all_proxy") or environ.get("ALL_PROXY")
        if scheme == "https":
            proxy = options.get("acquire::http::proxy") or proxy
        proxy = options.get(f"acquire::{scheme}::proxy") or proxy
        if proxy and proxy.upper() not in ("DIRECT", "FALSE"):
            found[f"{scheme}://"] = proxy if "://" in proxy else f"http://{proxy}"
        for key, value in options.items():
            start = f"acquire::{scheme}::proxy::"
            if key.startswith(start):
                found[f"{scheme}://{key.removeprefix(start)}"] = None if value.upper() == "DIRECT" else value
    for host in (environ.get("no_proxy") or environ.get("NO_PROXY") or "").split(","):
        name = host.strip().lstrip(".")
        if name == "*":
            return {}
        if name:
            found[f"all://{name}"] = None
            found[f"all://*.{name}"] = None
    return found
