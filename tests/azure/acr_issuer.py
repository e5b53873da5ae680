"""A token server that speaks as Azure's registries do, for a real registry that takes its word and nobody else's.

Sources: distribution's spec/auth/jwt.md and token.md; Azure/acr, docs/AAD-OAuth.md.
"""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from registry_doubles import Exchange, served
from registry_server import RealRegistry, running

ZEROS = "00000000-0000-0000-0000-000000000000"
SERVICE = "registry.test"
LEEWAY = 60
"""Seconds after its end for which the registry still takes a token (docker/libtrust, token.Leeway)."""


@dataclass
class Issuer:
    """Knows `users` (name → password) and their `rights`; `entra` are access tokens of Entra → user.

    `life` is told of access tokens; the next `stale` of them have run out for the registry when they are given.
    Refresh tokens that are not in `refresh` are refused; one that is used is replaced where it `rotates`.
    `asked` has (endpoint, how, scopes) of every request.
    """

    key: RSAPrivateKey
    certificate: str
    users: dict[str, str] = field(default_factory=dict)
    rights: dict[str, set[str]] = field(default_factory=dict)
    entra: dict[str, str] = field(default_factory=dict)
    refresh: dict[str, str] = field(default_factory=dict)
    life: int = 4500
    stale: int = 0
    get_allowed: bool = True
    rotates: bool = False
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)

    def reset(self) -> None:
        self.users = {"pusher": "s3cret-of-pusher", "puller": "s3cret-of-puller"}
        self.rights = {"pusher": {"pull", "push"}, "puller": {"pull"}, "": set()}
        self.entra, self.refresh = {}, {}
        self.life, self.stale, self.get_allowed, self.rotates = 4500, 0, True, False
        self.asked.clear()
        self.headers.clear()

    def answer(self, exchange: Exchange) -> None:
        url, body = urlsplit(exchange.path), exchange.body().decode()
        form = {name: values[0] for name, values in parse_qs(url.query or body).items()}
        self.headers.append(dict(exchange.headers.items()))
        if url.path == "/oauth2/exchange" and exchange.command == "POST":
            self._exchange(exchange, form)
        elif url.path == "/oauth2/token":
            self._token(exchange, form)
        else:
            exchange.reply(404, {}, b"{}")

    def _exchange(self, exchange: Exchange, form: Mapping[str, str]) -> None:
        self.asked.append(("exchange", form.get("tenant", ""), ""))
        user = self.entra.get(form.get("access_token", ""))
        if form.get("grant_type") != "access_token" or form.get("service") != SERVICE or user is None:
            self._refuse(exchange, "the access token is not of this tenant")
            return
        token = f"refresh-{len(self.refresh)}-of-{user}"
        self.refresh[token] = user
        self._reply(exchange, {"refresh_token": token})

    def _token(self, exchange: Exchange, form: Mapping[str, str]) -> None:
        how, user = self._who(exchange, form)
        scope = form.get("scope", "")
        self.asked.append(("token", how, scope))
        if exchange.command == "GET" and not self.get_allowed:
            exchange.reply(405, {}, b"")
            return
        if form.get("service") != SERVICE or user is None:
            self._refuse(exchange, "authentication required, visit https://aka.ms/acr/authorization")
            return
        if not user and not self.rights[""]:
            self._refuse(exchange, "authentication required")
            return
        access = []
        for one in scope.split(" ") if scope else ():
            kind, name, actions = one.split(":")
            allowed = sorted(set(actions.split(",")) & self.rights[user])
            access.append({"type": kind, "name": name, "actions": allowed})
        newer = {}
        if self.rotates and how == "refresh_token":
            del self.refresh[form["refresh_token"]]
            newer = {"refresh_token": f"refresh-{len(self.asked)}-of-{user}"}
            self.refresh[newer["refresh_token"]] = user
        self._reply(exchange, {"access_token": self._signed(user, access), "expires_in": self.life, **newer})

    def _who(self, exchange: Exchange, form: Mapping[str, str]) -> tuple[str, str | None]:
        basic = exchange.headers.get("Authorization")
        if form.get("grant_type") == "refresh_token":
            return "refresh_token", self.refresh.get(form["refresh_token"])
        if form.get("grant_type") == "password":
            return "password", self._known(form["username"], form["password"])
        if basic:
            name, _, password = base64.b64decode(basic.removeprefix("Basic ")).decode().partition(":")
            return "basic", self.refresh.get(password) if name == ZEROS else self._known(name, password)
        return "nobody", ""

    def _known(self, name: str, password: str) -> str | None:
        return name if self.users.get(name) == password else None

    def _signed(self, user: str, access: list[object]) -> str:
        end = int(time.time()) + 300
        if self.stale:
            self.stale -= 1
            end = int(time.time()) - LEEWAY - 5
        head = {"typ": "JWT", "alg": "RS256", "x5c": [self.certificate]}
        claims = {"iss": "acr", "sub": user, "aud": SERVICE, "exp": end, "nbf": end - 7200, "iat": end - 7200}
        text = f"{_base64(head)}.{_base64({**claims, 'jti': str(len(self.asked)), 'access': access})}"
        signature = self.key.sign(text.encode(), PKCS1v15(), SHA256())
        return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"

    @staticmethod
    def _refuse(exchange: Exchange, words: str) -> None:
        errors = {"errors": [{"code": "UNAUTHORIZED", "message": words, "detail": None}]}
        exchange.reply(401, {"Content-Type": "application/json"}, json.dumps(errors).encode())

    @staticmethod
    def _reply(exchange: Exchange, value: Mapping[str, object]) -> None:
        exchange.reply(200, {"Content-Type": "application/json"}, json.dumps(value).encode())


@contextlib.contextmanager
def registry_of() -> Iterator[tuple[RealRegistry, Issuer]]:
    """A registry with `auth: token`, and its token server."""
    with tempfile.TemporaryDirectory() as name:
        key, bundle = Path(name) / "key.pem", Path(name) / "bundle.pem"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=acr"]
        subprocess.run([*command, "-keyout", str(key), "-out", str(bundle)], check=True, capture_output=True)
        private = load_pem_private_key(key.read_bytes(), None)
        assert isinstance(private, RSAPrivateKey)
        issuer = Issuer(private, "".join(bundle.read_text().splitlines()[1:-1]))
        issuer.reset()
        with served(issuer.answer) as address:
            realm = f"http://{address}/oauth2/token"
            auth = f"{{realm: '{realm}', service: {SERVICE}, issuer: acr, rootcertbundle: {bundle}}}"
            with running(auth=f"{{token: {auth}}}") as registry:
                yield registry, issuer


def _base64(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
