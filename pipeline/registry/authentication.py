"""Proves to one registry who one is: basic, or bearer tokens kept until they expire.

Sources: distribution-spec 1.1; distribution's spec/auth/token.md and oauth.md; RFC 6749; for Azure, ACR's AAD-OAuth.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

from pipeline.digest import parsed
from pipeline.errors import OutOfReach, UsageError
from pipeline.http import Body, Response, is_loopback, shown
from pipeline.manifest.model import Secret
from pipeline.manifest.secrets import mask
from pipeline.noun import noun
from pipeline.reference import is_azure
from pipeline.registry.challenge import Challenge, parse
from pipeline.registry.credentials import ACR_USER, Credential
from pipeline.registry.problems import Unauthorized, problem, said

CLIENT_ID = "pipeline"
_DEFAULT_LIFE = 60.0
_MARGIN = 10.0
"""Seconds: a token's life where the server names none (token.md), and how long before its end it is renewed."""

Scopes = frozenset[str]


class Send(Protocol):
    """One request to any host, tried again for passing reasons and counted."""

    def __call__(
        self, method: str, url: str, headers: dict[str, str], body: Body = None
    ) -> AbstractContextManager[Response]: ...


@noun
class _Token:
    value: Secret
    scopes: Scopes
    expires: float


class Authentication:
    """The credentials of one registry at work; threads share it."""

    def __init__(self, registry: str, credential: Credential | None, send: Send, clock: Callable[[], float]) -> None:
        self._registry = registry
        self._credential = credential
        self._send = send
        self._clock = clock
        self._challenge: Challenge | None = None
        self._tokens: list[_Token] = []
        self._refresh = credential.identity_token if credential else Secret("")
        self._nobody = credential is not None and credential.last_resort
        self._lock = threading.RLock()

    @property
    def who(self) -> str:
        """The credentials in words, without secrets; empty for none."""
        return str(self._credential) if self._credential else ""

    @property
    def by_azure(self) -> bool:
        """Whether Azure says who may do what."""
        by_entra = self._credential is not None and self._credential.entra is not None
        return by_entra or is_azure(self._registry)

    def learn(self, header: str, origin: str) -> bool:
        """Takes a challenge; whether it is one that can be answered. The strongest scheme known here wins."""
        by_scheme = {challenge.scheme: challenge for challenge in parse(header)}
        challenge = by_scheme.get("bearer") or by_scheme.get("basic")
        if challenge is None:
            return False
        realm = challenge.parameters.get("realm", "")
        if challenge.scheme == "bearer" and not _may_hear(realm, origin):
            raise OutOfReach(
                f"{self._registry} sends its users for tokens to {_where(realm)}",
                remedy="credentials go to https addresses only: mend the registry's token settings",
                lasting=True,
            )
        with self._lock:
            self._challenge = challenge
        return True

    def header(self, scopes: Scopes) -> str:
        """The Authorization header for `scopes`; empty while the registry wants none, or there is nothing to show."""
        with self._lock:
            if self._challenge is None:
                return ""
            if self._challenge.scheme == "basic":
                return _basic(self._credential) if self._credential else ""
            now = self._clock()
            self._tokens = [token for token in self._tokens if token.expires > now]
            token = next((token for token in self._tokens if token.scopes >= scopes), None)
            if token is None:
                token = self._fetch(scopes, now)
                self._tokens.append(token)
            return f"Bearer {token.value.reveal()}"

    def refused(self, header: str, scopes: Scopes, sent: str, origin: str) -> bool:
        """What to do about a 401 to a request that carried `sent`: True to try once more, with another header."""
        with self._lock:
            self._tokens = [token for token in self._tokens if f"Bearer {token.value.reveal()}" != sent]
            self._nobody = self._nobody and not sent
            if not self.learn(header, origin):
                return False
            return self.header(scopes) not in ("", sent)

    def identity_token(self) -> Secret:
        """The refresh token of the user that Entra vouches for; empty where the registry wants no tokens."""
        with self._lock:
            if self._challenge is None or self._challenge.scheme == "basic" or self._credential is None:
                return Secret("")
            if not self._refresh.reveal() and self._credential.entra is not None:
                self._refresh = self._exchange(self._credential)
            return self._refresh

    def wrong(self, says: str = "") -> Unauthorized:
        """The error for credentials that the registry, or its token server, does not take; `says` are its words."""
        if self._credential is None:
            return Unauthorized(
                f"{self._registry} wants credentials, and there are none for it in the manifest or in Docker's config",
                remedy=f"log in: pipeline login {self._registry}; or name it under registries",
            )
        words = f": {mask(says, self._secrets())}" if says else ""
        if self._credential.entra is not None:
            fact, remedy = (
                f"{self._registry} does not take {self._credential}{words}",
                "check the tenant, and the roles",
            )
            return Unauthorized(fact, remedy=remedy)
        return Unauthorized(
            f"{self._registry} refuses the name or the password of {self._credential}{words}",
            remedy=f"correct them there, or log in again: pipeline login {self._registry}",
        )

    def _secrets(self) -> list[str]:
        return [self._credential.password, self._credential.identity_token, self._refresh] if self._credential else []

    # -- tokens -------------------------------------------------------------------------------------------------

    def _fetch(self, scopes: Scopes, now: float) -> _Token:
        return self._token(self._asked(scopes), scopes, now)

    def _asked(self, scopes: Scopes) -> dict[str, Any]:
        credential = self._credential
        if credential and self._nobody:
            # Whoever may be read by all learns of nobody who reads it.
            try:
                if not any("push" in scope or "delete" in scope for scope in scopes):
                    return self._by_get(scopes, None)
            except Unauthorized:
                pass
            self._nobody = False
        if credential and credential.entra is not None:
            return self._by_entra(scopes, credential)
        if credential and credential.username == ACR_USER and not self._refresh.reveal():
            self._refresh = credential.password
        return self._by_refresh(scopes) if self._refresh.reveal() else self._by_get(scopes, credential)

    def _by_entra(self, scopes: Scopes, credential: Credential) -> dict[str, Any]:
        """With a refresh token that an identity of Entra was given; a new one when it has run out (after 3 hours)."""
        if self._refresh.reveal():
            try:
                return self._by_refresh(scopes)
            except Unauthorized:
                self._refresh = Secret("")
        self._refresh = self._exchange(credential)
        return self._by_refresh(scopes)

    def _token(self, value: dict[str, Any], scopes: Scopes, now: float) -> _Token:
        token = value.get("access_token") or value.get("token")
        if not isinstance(token, str) or not token.isprintable():
            raise OutOfReach(f"the token server of {self._registry} gives no token", remedy="see its log")
        life = value.get("expires_in")
        seconds = float(life) if isinstance(life, int | float) and life > 0 else _DEFAULT_LIFE
        return _Token(Secret(token), scopes, now + max(seconds - _MARGIN, seconds / 2))

    def _by_get(self, scopes: Scopes, credential: Credential | None) -> dict[str, Any]:
        """token.md: GET with basic authentication, or without any."""
        query = [*self._service(), *(("scope", scope) for scope in sorted(scopes)), ("client_id", CLIENT_ID)]
        headers = {}
        if credential:
            headers["Authorization"] = _basic(credential)
            query.append(("account", credential.username))
        realm = self._realm()
        url = realm + ("&" if "?" in realm else "?") + urlencode(query)
        with self._send("GET", url, headers) as response:
            if credential is None or response.status not in (404, 405):
                return self._answer(response, realm)
        password = {"grant_type": "password", "username": credential.username}
        return self._post(realm, password | {"password": credential.password.reveal()}, scopes)

    def _by_refresh(self, scopes: Scopes) -> dict[str, Any]:
        """oauth.md: POST of a refresh token, which the server may replace."""
        fields = {"grant_type": "refresh_token", "refresh_token": self._refresh.reveal()}
        value = self._post(self._realm(), fields, scopes)
        if isinstance(newer := value.get("refresh_token"), str) and newer:
            self._refresh = Secret(newer)
        return value

    def _exchange(self, credential: Credential) -> Secret:
        """ACR's POST /oauth2/exchange: an Entra ID access token for a refresh token of the registry."""
        assert credential.entra is not None
        realm = urlsplit(self._realm())
        try:
            token = credential.entra()
        except (OutOfReach, UsageError) as error:
            if error.transient or not credential.last_resort:
                raise
            fact = (
                f"{self._registry} wants credentials, and there are none for it in the manifest or in Docker's config"
            )
            raise Unauthorized(f"{fact}; {error.message}", remedy=error.remedy) from error
        fields = {"grant_type": "access_token", "access_token": token.reveal()}
        if credential.tenant:
            fields["tenant"] = credential.tenant
        value = self._post(f"{realm.scheme}://{realm.netloc}/oauth2/exchange", fields, frozenset())
        return Secret(value.get("refresh_token") or "")

    def _post(self, url: str, fields: dict[str, str], scopes: Scopes) -> dict[str, Any]:
        form = dict(self._service()) | {"client_id": CLIENT_ID} | fields
        if scopes:
            # One field for all of them, with spaces between: RFC 6749, section 3.3.
            form["scope"] = " ".join(sorted(scopes))
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode(form).encode()
        with self._send("POST", url, headers | {"Content-Length": str(len(body))}, body) as response:
            return self._answer(response, url)

    def _answer(self, response: Response, url: str) -> dict[str, Any]:
        if response.status in (400, 401, 403):
            raise self.wrong(said(response))
        if response.status != 200:
            raise problem(response, shown(url), self.who, self._clock)
        try:
            value = parsed(response.read())
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise OutOfReach(f"the token server {shown(url)} answers nonsense", remedy="check the registry's settings")
        return value

    def _realm(self) -> str:
        return self._challenge.parameters.get("realm", "") if self._challenge else ""

    def _service(self) -> list[tuple[str, str]]:
        service = self._challenge.parameters.get("service", "") if self._challenge else ""
        return [("service", service)] if service else []


def _basic(credential: Credential) -> str:
    import base64

    # ACR takes an identity token as the password of a user of all zeros; so does Docker send it.
    password = credential.password.reveal() or credential.identity_token.reveal()
    return "Basic " + base64.b64encode(f"{credential.username}:{password}".encode()).decode()


def _may_hear(realm: str, origin: str) -> bool:
    """Whether a token server may be told secrets: over TLS, or no less safely than the registry itself."""
    try:
        server, registry = urlsplit(realm), urlsplit(origin)
    except ValueError:
        return False
    # What stays on this machine says nothing of what may leave it.
    plain = is_loopback(server.netloc) or not is_loopback(registry.netloc)
    return server.scheme == "https" or (server.scheme == registry.scheme == "http" and plain)


def _where(realm: str) -> str:
    try:
        return shown(realm) or "nowhere"
    except ValueError:
        return "an address that is none"
