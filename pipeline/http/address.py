"""Addresses taken apart for a connection, and the proxies that the environment names for them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, unquote, urlsplit

from pipeline.errors import OutOfReach
from pipeline.http.model import shown
from pipeline.noun import noun

_LOOPBACK = re.compile(r"127(\.[0-9]{1,3}){3}")
_PORTS = {"http": 80, "https": 443}
# What RFC 3986 allows in a path and a query, and "%", for these are encoded already.
_TARGET_SAFE = "%/:?@[]!$&'()*+,;=~|"


@noun
class Address:
    """Where a connection leads: a scheme, a host in ASCII without brackets, and a port."""

    scheme: str
    host: str
    port: int

    @property
    def netloc(self) -> str:
        """`host:port` as the Host header and CONNECT have it; a port that goes without saying is left out."""
        return self.name if self.port == _PORTS[self.scheme] else f"{self.name}:{self.port}"

    @property
    def name(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}"


def parsed(url: str) -> tuple[Address, str]:
    """An address, and the request's target: path and query in ASCII. OutOfReach for what is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname or ""
        if not host.isascii():
            host = host.encode("idna").decode("ascii")
    except ValueError:
        parts, port, host = None, None, ""
    if parts is None or parts.scheme not in _PORTS or not host or not all(c.isalnum() or c in "-._:%" for c in host):
        raise OutOfReach(f"{_safely(url)} is no address", remedy="check the host's name and port", lasting=True)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Address(parts.scheme, host, port or _PORTS[parts.scheme]), quote(target, safe=_TARGET_SAFE)


def _safely(url: str) -> str:
    try:
        return shown(url)
    except ValueError:
        return "what was named as the registry"


def is_loopback(netloc: str) -> bool:
    """Whether `host` or `host:port` is this machine itself. A name that only begins like its number is not."""
    name = urlsplit(f"//{netloc}").hostname or ""
    return name in ("localhost", "::1") or _LOOPBACK.fullmatch(name) is not None


@noun
class Proxy:
    """A proxy that is spoken to by plain HTTP; `login` is USER:PASSWORD, or empty."""

    host: str
    port: int
    login: str = ""

    def __repr__(self) -> str:
        return f"Proxy({self.host}:{self.port})"


def proxy_for(environ: Mapping[str, str], to: Address) -> Proxy | None:
    """The proxy between this machine and an address: HTTPS_PROXY and the like, in either case. OutOfReach for one
    that cannot be used. This machine itself is never asked by a proxy.
    """
    named = (f"{to.scheme}_proxy", f"{to.scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY")
    value = next((environ[name] for name in named if environ.get(name)), "")
    if not value or _direct(environ.get("no_proxy") or environ.get("NO_PROXY") or "", to):
        return None
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.scheme != "http" or not host:
        fact = f"the proxy for {to} is to be reached by {parts.scheme or 'nothing known'}"
        raise OutOfReach(fact, remedy=f"give it as http://HOST:PORT, or name {to.host} in no_proxy", lasting=True)
    login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}" if parts.username else ""
    return Proxy(host, port or 80, login)


def _direct(no_proxy: str, to: Address) -> bool:
    """Whether `no_proxy`, hosts and domains with commas between, has this one; `*` has all."""
    if is_loopback(to.netloc):
        return True
    for entry in (entry.strip().lower() for entry in no_proxy.split(",")):
        name = entry.lstrip("*.")
        if entry == "*" or (name and name in (to.host, f"{to.name}:{to.port}", to.name)):
            return True
        if name and name[0].isalpha() and to.host.endswith(f".{name}"):
            return True
        if "/" in name and _within(to.host, name):
            return True
    return False


def _within(host: str, network: str) -> bool:
    """Whether a host given by its number lies in a network, such as 10.0.0.0/8."""
    import ipaddress

    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
