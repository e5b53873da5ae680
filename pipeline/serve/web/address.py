"""Where a request comes from and which name it asked for, behind a trusted proxy or not."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from pipeline.noun import noun
from pipeline.serve.settings import Proxy


@noun
class Caller:
    """Who is at the other end: the address, whether the way there is encrypted, the host that was asked for (with its
    port), and whether a trusted proxy stands between.
    """

    address: str
    secure: bool
    host: str
    proxied: bool = False

    @property
    def origin(self) -> str:
        """As browsers write it (RFC 6454): scheme and host."""
        return f"{'https' if self.secure else 'http'}://{self.host.lower()}"


def caller(peer: str, scheme: str, headers: Mapping[str, str], proxy: Proxy | None) -> Caller:
    """By the connection's other end; what X-Forwarded-* say counts only from the proxy's addresses."""
    host = headers.get("host", "")
    if proxy is None or not within(peer, proxy.addresses):
        return Caller(peer, scheme == "https", host)
    # Whoever is before the proxy may write the header, too: only what trusted ones added to its end counts.
    hops = [hop.strip() for hop in headers.get("x-forwarded-for", "").split(",") if hop.strip()]
    outside = [hop for hop in hops if not within(hop, proxy.addresses)]
    address = outside[-1] if outside else (hops[0] if hops else peer)
    proto = headers.get("x-forwarded-proto", scheme).rpartition(",")[2].strip()
    named = headers.get("x-forwarded-host", host).rpartition(",")[2].strip()
    return Caller(address if is_address(address) else peer, proto == "https", named, proxied=True)


def within(address: str, ranges: tuple[str, ...]) -> bool:
    """Whether an address is in one of the ranges (CIDR); an IPv4 address that IPv6 carries is what it carries."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    found = getattr(found, "ipv4_mapped", None) or found
    return any(found in ip_network(each, strict=False) for each in ranges)


def is_address(text: str) -> bool:
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host: its name, or its address."""
    return host.lower() == "localhost" or within(host.strip("[]"), ("127.0.0.0/8", "::1/128"))


def neighbourhood(address: str) -> str:
    """What one party holds: an IPv4 address, or the /64 of an IPv6 one (RFC 6177), so that it counts as one."""
    if ":" not in address or not is_address(address):
        return address
    return str(ip_network(f"{address.partition('%')[0]}/64", strict=False))


def host_name(host: str) -> str:
    """A Host header's name, without its port and brackets, in small letters; empty where it makes no sense."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


__all__ = ["Caller", "caller", "host_name", "is_address", "is_loopback", "neighbourhood", "within"]
