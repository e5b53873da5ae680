"""Sign-in by OpenID Connect: the code flow with PKCE, state and nonce (Core 1.0, section 3.1; RFC 7636), by Authlib."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from pipeline.errors import PipelineError
from pipeline.serve.hosts.text import one_line
from pipeline.serve.settings import Oidc

_SCOPES = "openid profile email"
_PATIENCE = 10.0
"""Seconds that a provider has for an answer."""


class NotSignedIn(PipelineError):
    """The provider does not answer, or says something else than that somebody has signed in."""


class Provider:
    """An OpenID provider. What is between the way there and the way back, `memory`, is for the browser to keep."""

    def __init__(self, oidc: Oidc, back: str) -> None:
        """`back` is the address where people come back to; no request is sent yet."""
        # Its words about the HTTP library that it uses are for its own developers.
        with warnings.catch_warnings(record=True):
            from authlib.integrations.starlette_client import OAuth

        self._oidc, self._back = oidc, back
        self._client: Any = OAuth().register(
            "oidc",
            client_id=oidc.client_id,
            client_secret=oidc.client_secret.reveal(),
            server_metadata_url=f"{oidc.issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs={"scope": _SCOPES, "code_challenge_method": "S256", "timeout": _PATIENCE},
        )

    async def there(self) -> tuple[str, dict[str, Any]]:
        """Where a browser is to go, and what it is to keep. Raises NotSignedIn."""
        visit = _Visit({}, {})
        try:
            metadata = await self._metadata()
            scopes = [*_SCOPES.split(), *({"groups"} & set(metadata.get("scopes_supported") or ()))]
            answer = await self._client.authorize_redirect(visit, self._back, scope=" ".join(scopes))
        except Exception as error:
            raise _refused(self._oidc, error) from error
        return answer.headers["location"], visit.session

    async def back(self, query: Mapping[str, str], memory: Mapping[str, Any]) -> tuple[str, object]:
        """Who has signed in, and the groups of whoever it is. Raises NotSignedIn."""
        try:
            metadata = await self._metadata()
            options = {"iss": {"values": [metadata["issuer"]]}, "aud": {"values": [self._oidc.client_id]}}
            token = await self._client.authorize_access_token(_Visit(dict(memory), query), claims_options=options)
            claims = dict(token.get("userinfo") or {})
            if not claims.get("sub"):
                raise ValueError("no ID token with a nonce came")
            groups = _at(claims, self._oidc.claim)
            if groups is None and metadata.get("userinfo_endpoint"):
                more = dict(await self._client.userinfo(token=token))
                # Core 1.0, section 5.3.4: else it may be somebody else's.
                groups = _at(more, self._oidc.claim) if more.get("sub") == claims["sub"] else None
        except Exception as error:
            raise _refused(self._oidc, error) from error
        named = (claims.get(name) for name in ("preferred_username", "email", "name", "sub"))
        lines = (one_line(name, 200) for name in named if isinstance(name, str))
        return next((line for line in lines if line), "somebody"), groups

    async def _metadata(self) -> dict[str, Any]:
        found: dict[str, Any] = await self._client.load_server_metadata()
        if str(found.get("issuer", "")).rstrip("/") != self._oidc.issuer.rstrip("/"):
            # Discovery 1.0, section 4.3.
            self._client.server_metadata.pop("_loaded_at", None)
            raise ValueError(f"its discovery document is of issuer {found.get('issuer')!r}")
        # Anybody could sign with these: none needs no key, and HS… the secret of a client.
        given = found.get("id_token_signing_alg_values_supported") or ["RS256"]
        found["id_token_signing_alg_values_supported"] = [
            each for each in given if each[:2] in ("RS", "PS", "ES", "Ed")
        ]
        return found


class _Visit:
    """What Authlib asks of a request."""

    def __init__(self, session: dict[str, Any], query: Mapping[str, str]) -> None:
        self.session, self.query_params, self.scope = session, query, {"method": "GET"}


def _at(claims: Mapping[str, Any], path: str) -> object:
    """A claim by its name, or by names with dots between: `realm_access.roles`."""
    if path in claims:
        return claims[path]
    value: Any = claims
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _refused(oidc: Oidc, error: Exception) -> NotSignedIn:
    words = " ".join(str(error).split())[:300] or type(error).__name__
    remedy = "see access.oidc in the server's settings, and the provider's own log"
    return NotSignedIn(f"sign-in by {oidc.issuer} failed: {words}", remedy=remedy)


__all__ = ["NotSignedIn", "Provider"]
