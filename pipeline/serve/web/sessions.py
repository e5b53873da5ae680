"""Sessions of browsers: signed cookies that end by themselves, on signing out, and when the settings change."""

from __future__ import annotations

import base64
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from pipeline.errors import StoreError
from pipeline.serve.database import Database
from pipeline.serve.settings import Access, Oidc
from pipeline.serve.web.access import Person, by_token, role_of

LASTS = 12 * 3600.0
"""Seconds that a session lasts."""
KEY = "session.key"
"""The file with the key that signs sessions; who removes it ends all of them."""
_SIGNED_OUT = "web:signed-out"


def session_key(folder: Path) -> bytes:
    """The key that signs sessions and forms, made at the first start; only this user may read it. Raises StoreError."""
    path = folder / KEY
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            # Whole or not at all: a kill between leaves nothing that would be read.
            staged = folder / f".{KEY}.{os.getpid()}"
            with os.fdopen(os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(secrets.token_bytes(32))
            staged.replace(path)
        key = path.read_bytes()
    except OSError as error:
        raise StoreError(f"cannot use {path}: {error.strerror}", remedy="it signs browsers' sessions") from error
    if len(key) < 32:
        raise StoreError(f"{path} is damaged", remedy="remove it: everybody signs in again")
    return key


# -- signed values ----------------------------------------------------------------------------------------------------


def seal(key: bytes, purpose: str, value: Mapping[str, Any]) -> str:
    """The value as text that only holders of the key can make, and that counts for this purpose alone."""
    body = base64.urlsafe_b64encode(json.dumps(dict(value), separators=(",", ":")).encode()).rstrip(b"=").decode()
    return f"{body}.{_mac(key, purpose, body)}"


def unseal(key: bytes, purpose: str, text: str, now: float) -> dict[str, Any] | None:
    """What was sealed; None where it was not, or where its `until` (Unix time) is over."""
    body, _, mac = text.partition(".")
    if not hmac.compare_digest(_mac(key, purpose, body).encode(), mac.encode()):
        return None
    try:
        value = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except ValueError:
        return None
    return value if isinstance(value, dict) and value.get("until", 0) > now else None


def _mac(key: bytes, purpose: str, body: str) -> str:
    return hmac.new(key, f"{purpose}\n{body}".encode(), sha256).hexdigest()


# -- sessions ---------------------------------------------------------------------------------------------------------


class Sessions:
    """Makes and reads sessions. What they may do is asked of the settings each time: a token that is taken out of them,
    or another rule for groups, ends the sessions that came of it.
    """

    def __init__(self, key: bytes, access: Access, database: Database) -> None:
        self._key, self._access, self._database = key, access, database

    def of_token(self, value: str, now: float) -> str | None:
        """A new session's cookie for whoever holds a token; None where it is none."""
        token = by_token(value, self._access.tokens)
        if token is None:
            return None
        return self._made({"name": token.name, "how": f"token:{token.name}", "is": self._print(value)}, now)

    def of_oidc(self, name: str, groups: object, now: float) -> str | None:
        """A new session's cookie for whom the provider signed in; None where such a person may not come in."""
        oidc = self._access.oidc
        if oidc is None or not role_of(groups, oidc):
            return None
        kept = [each for each in _list(groups) if each in {*oidc.act, *oidc.look}]
        return self._made({"name": name[:200], "how": "oidc", "is": self._rule(oidc), "groups": kept}, now)

    def person(self, cookie: str, now: float) -> Person | None:
        """Whose session it is; None for one that does not count any more."""
        value = unseal(self._key, "session", cookie, now)
        if value is None or value["id"] in self._signed_out():
            return None
        role = self._role(value)
        return Person(value["name"], role, "session", f"session:{value['id']}") if role else None

    def sign_out(self, cookie: str, now: float) -> None:
        """Ends a session, wherever its cookie was copied to."""
        value = unseal(self._key, "session", cookie, now)
        if value is None:
            return
        with self._database.transaction():
            kept = {id_: until for id_, until in self._signed_out().items() if until > now}
            self._database.keep(_SIGNED_OUT, {**kept, value["id"]: value["until"]})

    def csrf(self, person: Person) -> str:
        """The token that this person's forms carry: nobody else's page knows it."""
        return _mac(self._key, "csrf", person.binding)

    def is_csrf(self, person: Person, given: str) -> bool:
        return hmac.compare_digest(self.csrf(person).encode(), given.encode())

    def _made(self, value: Mapping[str, Any], now: float) -> str:
        return seal(self._key, "session", {**value, "id": secrets.token_hex(16), "until": now + LASTS})

    def _role(self, value: Mapping[str, Any]) -> Any:
        how, oidc = value["how"], self._access.oidc
        if how == "oidc":
            return role_of(value["groups"], oidc) if oidc and value["is"] == self._rule(oidc) else ""
        held = [each for each in self._access.tokens if f"token:{each.name}" == how]
        return held[0].role if held and self._print(held[0].value.reveal()) == value["is"] else ""

    def _print(self, secret: str) -> str:
        return _mac(self._key, "token", secret)

    def _rule(self, oidc: Oidc) -> str:
        return _mac(self._key, "oidc", json.dumps([oidc.issuer, oidc.client_id, oidc.claim, oidc.act, oidc.look]))

    def _signed_out(self) -> dict[str, float]:
        return self._database.fact(_SIGNED_OUT) or {}


def _list(groups: object) -> list[str]:
    if isinstance(groups, str):
        return [groups]
    return [each for each in groups if isinstance(each, str)] if isinstance(groups, list | tuple) else []


__all__ = ["KEY", "LASTS", "Sessions", "seal", "session_key", "unseal"]
