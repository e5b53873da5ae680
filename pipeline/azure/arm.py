"""Azure Resource Manager: what is asked of it, and what its refusals mean to the user."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from pipeline.azure.extra import extra
from pipeline.azure.identity import Identity, verification
from pipeline.errors import OutOfReach, ResolveError
from pipeline.http import is_loopback, retry_after

_MOST_PAGES = 50
_FINAL = re.compile("exists|invalid|inaccessible|notallowed|taken", re.IGNORECASE)
"""Codes of conflicts (409) that waiting does not end."""


class NotThere(ResolveError):
    """A resource that does not exist, or that one may not see."""


class Arm:
    """The manager of one identity's resources; `transport` stands in for the network (azure-core's HttpTransport).

    Nothing is tried again here: whoever calls knows how long the user is willing to wait.
    """

    def __init__(self, identity: Identity, environ: Mapping[str, str], transport: Any = None) -> None:
        self.identity = identity
        self._environ = environ
        self._transport = transport
        self._client: Any = None

    @property
    def options(self) -> dict[str, Any]:
        """What every client of Azure's libraries is made with."""
        found = {"base_url": self.identity.cloud.manager, "retry_total": 0, **verification(self._environ)}
        found["credential_scopes"] = [self.identity.cloud.scope]
        return {**found, "transport": self._transport} if self._transport is not None else found

    @property
    def each(self) -> dict[str, Any]:
        """What every call is made with: a token goes over plain HTTP to this machine only."""
        url = urlsplit(self.identity.cloud.manager)
        return {"enforce_https": False} if url.scheme == "http" and is_loopback(url.netloc) else {}

    def get(self, path: str, version: str, what: str) -> dict[str, Any]:
        """A resource by its ARM id; `what` names it in messages. NotThere, OutOfReach."""
        with extra(what):
            from azure.core.rest import HttpRequest
        client = self._pipeline()
        with self.spoken(what):
            separator = "&" if "?" in path else "?"
            request = HttpRequest("GET", f"{self.identity.cloud.manager}{path}{separator}api-version={version}")
            response = client.send_request(request, **self.each)
            response.raise_for_status()
            value = _document(response)
        if value is None:
            raise OutOfReach(f"{what}: Azure answers nonsense", remedy="try again later", transient=True)
        return value

    def listed(self, path: str, version: str, what: str) -> list[dict[str, Any]]:
        """All entries of a list, page by page."""
        found: list[dict[str, Any]] = []
        for _ in range(_MOST_PAGES):
            page = self.get(path, version, what)
            found += page.get("value") or []
            following = urlsplit(page.get("nextLink") or "")
            if not following.path or f"{following.scheme}://{following.netloc}" != self.identity.cloud.manager:
                break
            query = "&".join(part for part in following.query.split("&") if not part.startswith("api-version="))
            path = f"{following.path}?{query}" if query else following.path
        return found

    def _pipeline(self) -> Any:
        if self._client is None:
            with extra("Azure"):
                from azure.core.pipeline import policies
                from azure.mgmt.core import ARMPipelineClient
                from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy

            options = self.options
            signs = ARMChallengeAuthenticationPolicy(self.identity.credential, *options.pop("credential_scopes"))
            own = [policies.UserAgentPolicy("pipeline"), policies.ProxyPolicy(), signs]
            self._client = ARMPipelineClient(policies=own, **options)
        return self._client

    @contextmanager
    def spoken(self, what: str) -> Iterator[None]:
        """Around calls of Azure's libraries: their errors become errors of ours."""
        with extra(what):
            from azure.core.exceptions import DeserializationError, HttpResponseError
        with self.identity.spoken():
            try:
                yield
            except HttpResponseError as error:
                if error.response is None or error.response.status_code == 401:
                    raise
                raise refusal(error, what, str(self.identity)) from None
            except DeserializationError:
                raise OutOfReach(f"{what}: Azure answers nonsense", remedy="try again later", transient=True) from None


def _document(response: Any) -> dict[str, Any] | None:
    try:
        value = response.json()
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


_KEPT_FROM = {
    "TasksOperationsNotAllowed": "Azure keeps this subscription from it: ask its support, or build here by an engine",
    "RequestDisallowedByPolicy": "the subscription forbids it: ask whoever keeps its policy",
}
"""What no role would change."""


def refusal(error: Any, what: str, who: str) -> OutOfReach | ResolveError:
    """What an answer of Azure that is no success means (ARM's "Common error codes")."""
    status, code, says = error.response.status_code, *_said(error)
    fact = f"{what}: {says} ({status}{f', {code}' if code else ''})"
    if status == 404:
        return NotThere(fact, remedy="check the names, and that you may see it")
    if status == 429 or status >= 500 or status == 408:
        found = OutOfReach(fact, remedy="try again later", transient=True)
        found.retry_after = _wait(error.response.headers)
        return found
    if "quota" in f"{code} {says}".lower():
        return OutOfReach(fact, remedy="ask for a higher quota, or free some", lasting=True)
    if code in _KEPT_FROM:
        return OutOfReach(fact, remedy=_KEPT_FROM[code], lasting=True)
    if status == 403:
        return OutOfReach(f"{fact}, for {who}", remedy="ask for the role that allows it", lasting=True)
    if "sku" in f"{code} {says}".lower() or "tier" in says.lower():
        return OutOfReach(fact, remedy="take a higher SKU, or one that is there", lasting=True)
    if status == 409 and not _FINAL.search(code):
        # Another operation on the same resource: it ends.
        return OutOfReach(fact, remedy="try again when it has ended", transient=True)
    return OutOfReach(fact, remedy="see what Azure says")


def _said(error: Any) -> tuple[str, str]:
    """The code and the message, of whichever form the answer has."""
    inner = getattr(error, "error", None)
    code, says = getattr(inner, "code", "") or "", getattr(inner, "message", "") or ""
    if not says:
        try:
            body = error.response.json()
            body = body.get("error", body)
            code, says = str(body.get("code") or ""), str(body.get("message") or "")
        except (ValueError, AttributeError, TypeError):
            pass
    says = " ".join((says or error.reason or "no reason given").split())
    return _printable(code)[:60], _printable(says)[:300]


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def _wait(headers: Mapping[str, str]) -> float:
    import time

    return retry_after(headers.get("Retry-After", ""), time.time())
