"""Who may come in, and what they may do: the rule of the server's settings, and the person behind a request."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from hashlib import sha256
from ipaddress import ip_network
from typing import Literal
from urllib.parse import urlsplit

from pipeline.noun import noun
from pipeline.serve.hosts.text import one_line
from pipeline.serve.settings import Access, Oidc, Role, Settings, Token
from pipeline.serve.web.address import Caller, host_name, is_address, is_loopback

SHORTEST = 16
"""Characters of a token: what is shorter can be guessed."""


@noun
class Person:
    """Somebody: a name, what they may do (empty: nothing), and how that is known. `binding` is what the CSRF token of
    their forms is bound to.
    """

    name: str = ""
    role: Role | Literal[""] = ""
    by: Literal["nobody", "open", "token", "session", "proxy"] = "nobody"
    binding: str = ""

    def may(self, role: Role) -> bool:
        return self.role == "act" or self.role == role


NOBODY = Person()


def is_open(access: Access) -> bool:
    """Whether nobody has to sign in: then everybody may act, and it must not be reachable from elsewhere."""
    return not access.tokens and access.oidc is None and not (access.proxy and access.proxy.user)


def access_flaws(settings: Settings) -> list[str]:
    """Why a server with these settings must not start: each what is wrong, and what would be right."""
    access, away = settings.access, not is_loopback(settings.host)
    where = f"listen: {settings.host}:{settings.port}"
    found: list[str] = []
    if away and is_open(access):
        found.append(f"{where} can be reached from elsewhere, and nobody has to sign in: set access.tokens or oidc")
    if away and access.proxy is None and access.certificate is None:
        found.append(f"{where} can be reached from elsewhere without TLS: set access.tls, or access.proxy behind one")
    if not away and access.proxy and is_open(access):
        found.append("access.proxy leads to others, and nobody has to sign in: set access.tokens, oidc or proxy.user")
    if (access.certificate is None) != (access.key is None):
        found.append("access.tls needs both: certificate and key")
    return [*found, *_token_flaws(access.tokens), *_oidc_flaws(settings), *_proxy_flaws(access)]


def _token_flaws(tokens: tuple[Token, ...]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for token in tokens:
        value = token.value.reveal()
        if len(value) < SHORTEST:
            yield f"access.tokens.{token.name} has {len(value)} characters: give it {SHORTEST} or more, by chance"
        elif value in seen:
            yield f"access.tokens.{token.name} is the same as {seen[value]}: nobody could tell who acted"
        seen.setdefault(value, token.name)


def _oidc_flaws(settings: Settings) -> Iterator[str]:
    oidc = settings.access.oidc
    if oidc is None:
        return
    issuer = urlsplit(oidc.issuer)
    if issuer.scheme != "https" and not is_loopback(issuer.hostname or ""):
        yield "access.oidc.issuer is not https://: whoever is on the way could sign in as anybody"
    if not settings.url:
        yield "access.oidc needs url: where people come back to after they signed in"
    if not oidc.act and not oidc.look:
        yield 'access.oidc lets nobody in: set act and look to groups, or look: ["*"] for all who can sign in'


def _proxy_flaws(access: Access) -> Iterator[str]:
    for text in access.proxy.addresses if access.proxy else ():
        try:
            range_ = ip_network(text, strict=False)
        except ValueError:
            yield f"access.proxy.addresses: '{text}' is no address range, as in 10.0.0.0/8"
            continue
        if not range_.prefixlen:
            yield f"access.proxy.addresses: {text} is everybody: anyone could say who they are"


def hosts(settings: Settings) -> frozenset[str] | None:
    """The host names that it answers to, beside addresses; None for all.

    A page elsewhere whose name is led to this machine (DNS rebinding) must not be taken for one of ours.
    """
    own = settings.host.lower().strip("[]")
    named = host_name(urlsplit(settings.url).netloc) if settings.url else ""
    if not is_loopback(settings.host) and named in ("", own):
        # Nobody has said how people reach it; whoever comes has to sign in.
        return None
    return frozenset({"localhost", own, named} - {""})


def is_host(host: str, allowed: frozenset[str] | None) -> bool:
    name = host_name(host)
    return allowed is None or name in allowed or is_address(name)


def by_token(value: str, tokens: tuple[Token, ...]) -> Token | None:
    """The token of this value; each is compared, whichever it is, in the same time."""
    given, found = sha256(value.encode()).digest(), None
    for token in tokens:
        if hmac.compare_digest(sha256(token.value.reveal().encode()).digest(), given):
            found = token
    return found


def role_of(groups: object, oidc: Oidc) -> Role | Literal[""]:
    """What somebody with these groups may do; a claim is a list of names, or one name."""
    if isinstance(groups, str):
        groups = [groups]
    held = {each for each in groups if isinstance(each, str)} if isinstance(groups, list | tuple) else set()
    if "*" in oidc.act or held & set(oidc.act):
        return "act"
    return "look" if "*" in oidc.look or held & set(oidc.look) else ""


def by_proxy(who: Caller, headers: Mapping[str, str], access: Access) -> Person | None:
    """Whom the proxy has signed in; only what comes through it counts."""
    proxy = access.proxy
    name = one_line(headers.get(proxy.user.lower(), ""), 200) if proxy and proxy.user and who.proxied else ""
    return Person(name, proxy.role, "proxy", f"proxy:{name}") if proxy and name else None


def bearer(headers: Mapping[str, str]) -> str | None:
    """The credentials of an Authorization header (RFC 6750, section 2.1); empty for another scheme, None for none."""
    given = headers.get("authorization")
    if given is None:
        return None
    scheme, _, value = given.partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


__all__ = [
    "NOBODY",
    "Person",
    "access_flaws",
    "bearer",
    "by_proxy",
    "by_token",
    "hosts",
    "is_host",
    "is_open",
    "role_of",
]
