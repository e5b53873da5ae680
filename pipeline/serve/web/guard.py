"""What every request passes first: who it is from, whether they may, and how much; what every answer gets last.

The default is no: a path that is not named here as open needs somebody who may look, and a change one who may act.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import MutableMapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from starlette.responses import Response

from pipeline.errors import StoreError
from pipeline.serve.hosts.hooks import LARGEST
from pipeline.serve.settings import Settings
from pipeline.serve.web.access import NOBODY, Person, bearer, by_proxy, by_token, hosts, is_host, is_open
from pipeline.serve.web.address import Caller, caller, is_loopback, neighbourhood
from pipeline.serve.web.answers import Told, cookie_name, cookies_of
from pipeline.serve.web.asgi import App, Receive, Send, again, body_of
from pipeline.serve.web.limits import BODY, FORM, Buckets, Budget
from pipeline.serve.web.parts import Parts
from pipeline.serve.web.problems import Bugs, Refused, for_people, problem
from pipeline.serve.web.sessions import Sessions

_OPEN = ("/healthz", "/sign-in", "/sign-out", "/favicon.ico")
_OPEN_BELOW = ("/static/", "/hooks/", "/sign-in/")
_COOKIES = 5
"""Cookies of our name that are looked at: whoever may set one for the host keeps nobody out by it."""
_SAFE = ("GET", "HEAD", "OPTIONS")


class Guard:
    """An ASGI application around another; `scope["state"]` gets `person` and `caller`."""

    def __init__(self, app: App, parts: Parts, sessions: Sessions, bugs: Bugs, page: Any) -> None:
        self._app, self._parts, self._sessions, self._bugs, self._page = app, parts, sessions, bugs, page
        self._hosts = hosts(parts.settings)
        self._calls = Buckets(parts.rates.calls, parts.now)
        self.tries = Buckets(parts.rates.sign_in, parts.now)
        self.hooks = Buckets(parts.rates.hooks, parts.now)
        self.strange_hooks = Buckets(parts.rates.hooks, parts.now)
        self._held = Budget()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = _headers(scope)
        who = _caller(scope, headers, self._parts.settings)
        told = Told(send, scope["path"], who.secure)
        try:
            body = await self._pass(scope, headers, who, receive)
            scope["state"]["body"] = body
            await self._app(_asked(scope), again(body, receive), told)
        except Refused as refused:
            await self._refuse(scope, headers, refused)(scope, receive, told)
        except Exception as error:
            reference = self._bugs.keep(error, f"{scope['method']} {scope['path']}")
            if told.begun:
                raise
            where = "serve/errors.log of the server's state folder"
            detail = f"a bug of ours; please report it: reference {reference} leads to the details in {where}"
            answer = self._page if for_people(scope["path"], headers) else _bug(reference)
            await answer(500, detail, {})(scope, receive, told)

    async def _pass(
        self, scope: MutableMapping[str, Any], headers: dict[str, str], who: Caller, receive: Receive
    ) -> bytes:
        """The request's body. Raises Refused."""
        path, method = scope["path"], scope["method"]
        self._check_way(path, who, headers)
        hook = path.startswith("/hooks/")
        # Hosts sign webhooks, one of them by the header that otherwise has a token.
        person = NOBODY if hook else self._person(headers, who)
        counts = functools.partial(self._counts, person, headers, who)
        scope.setdefault("state", {}).update(person=person, caller=who, guard=self, counts=counts)
        self._check_role(path, method, person, scope, headers)
        party = f"{person.by}:{person.name}" if person.role else neighbourhood(who.address)
        if not hook and not path.startswith("/static/") and (wait := self._calls.take(party)):
            raise too_many(wait)
        if method in _SAFE:
            return b""
        if not hook and person.by != "token":
            _check_origin(headers, who)
        try:
            most = LARGEST if hook else BODY if person.role else FORM
            body = await body_of(headers, receive, most, self._held)
        except Refused as refused:
            if hook:
                self._parts.metrics.hook("large" if refused.status == 413 else "broken off")
            raise
        if not hook and person.by != "token":
            self._check_form(path, person, headers, body)
        return body

    def _check_way(self, path: str, who: Caller, headers: dict[str, str]) -> None:
        if "transfer-encoding" in headers and "content-length" in headers:
            # Whoever stands before us may have taken the other one for the body's end (RFC 9112, section 6.1).
            raise Refused(400, "the body's length is said twice", {"Connection": "close"})
        settings = self._parts.settings
        # A page elsewhere cannot send a token along, whatever name it was led here by.
        named = path == "/healthz" or (path == "/metrics" and "authorization" in headers)
        if not named and not is_host(who.host, self._hosts):
            raise Refused(421, f"this server is not '{who.host}': 'url' in its settings says which name it has")
        behind = not is_loopback(settings.host) and settings.access.certificate is None
        if behind and not who.proxied and not is_loopback(who.address):
            raise Refused(403, "come through the proxy: the way here is not encrypted")

    def _person(self, headers: dict[str, str], who: Caller) -> Person:
        access = self._parts.settings.access
        given = bearer(headers)
        if given is not None and access.tokens:
            near = neighbourhood(who.address)
            if wait := self.tries.wait(near):
                raise too_many(wait)
            if token := by_token(given, access.tokens):
                return Person(token.name, token.role, "token")
            self.tries.take(near)
            raise Refused(401, "no such token", {"WWW-Authenticate": 'Bearer error="invalid_token"'})
        try:
            if found := self._by_session(headers, who):
                return found
        except StoreError:
            # Who has signed out is not known. What is wrong is not told to everybody.
            detail = "the server's database cannot be used: its log and /healthz say why"
            raise Refused(503, detail, {"Retry-After": "30"}) from None
        if proxied := by_proxy(who, headers, access):
            return proxied
        return Person("somebody", "act", "open", "open") if is_open(access) else NOBODY

    def _by_session(self, headers: dict[str, str], who: Caller) -> Person | None:
        cookies = cookies_of(headers.get("cookie", ""), cookie_name(who.secure))[:_COOKIES]
        found = (self._sessions.person(cookie, self._parts.now()) for cookie in cookies)
        return next((person for person in found if person), None)

    def _counts(self, person: Person, headers: dict[str, str], who: Caller) -> bool:
        """Whether somebody who was let in still would be: an answer that goes on may outlive the session. What the
        settings or the request itself say stays as it is.
        """
        if person.by != "session":
            return True
        with contextlib.suppress(StoreError):
            return self._by_session(headers, who) == person
        return False

    def _check_role(
        self, path: str, method: str, person: Person, scope: MutableMapping[str, Any], headers: dict[str, str]
    ) -> None:
        if path in _OPEN or path.startswith(_OPEN_BELOW):
            return
        if path == "/metrics" and self._parts.settings.access.metrics == "loopback":
            at = scope["state"]["caller"]
            if is_loopback(at.address) and not at.proxied:
                return
        if not person.role:
            if for_people(path, headers) and method in _SAFE:
                back = quote(path + ("?" + scope["query_string"].decode("latin-1") if scope["query_string"] else ""))
                raise Refused(303, "sign in", {"Location": f"/sign-in?next={back}"})
            raise Refused(401, "sign in, or send a token: Authorization: Bearer …", {"WWW-Authenticate": "Bearer"})
        if method not in _SAFE and not person.may("act"):
            raise Refused(403, f"{person.name} may look, not act")

    def _check_form(self, path: str, person: Person, headers: dict[str, str], body: bytes) -> None:
        if not person.role or (path.startswith("/api/") and person.by == "open"):
            # The origin was looked at. Who signs in has no secret yet to bind a token to; where all may act, nothing
            # that a page elsewhere sends of itself has the type of the API's bodies.
            return
        given = headers.get("x-csrf-token", "")
        if not given and headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            given = parse_qs(body.decode("utf-8", "replace")).get("csrf", [""])[0]
        if not self._sessions.is_csrf(person, given):
            how = "send X-CSRF-Token with what GET /api/v1/me says" if path.startswith("/api/") else "load it again"
            raise Refused(403, f"this form is not from a page of ours, or is too old: {how}")

    def _refuse(self, scope: MutableMapping[str, Any], headers: dict[str, str], refused: Refused) -> Any:
        if refused.status == 303:
            return Response(status_code=303, headers=refused.headers)
        answer = self._page if for_people(scope["path"], headers) else problem
        return answer(refused.status, refused.detail, refused.headers)


def too_many(wait: float) -> Refused:
    seconds = max(1, round(wait + 0.5))
    return Refused(429, f"too many at once: again in {seconds} s", {"Retry-After": str(seconds)})


def _bug(reference: str) -> Any:
    return lambda status, detail, headers: problem(status, detail, headers, reference=reference)


def _headers(scope: MutableMapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}{'; ' if key == 'cookie' else ', '}{text}" if key in found else text
    return found


def _caller(scope: MutableMapping[str, Any], headers: dict[str, str], settings: Settings) -> Caller:
    peer = scope.get("client") or ("", 0)
    found = caller(peer[0], scope.get("scheme", "http"), headers, settings.access.proxy)
    # A proxy that does not say how people came: they use the address that the settings name.
    unsaid = found.proxied and "x-forwarded-proto" not in headers and settings.url.startswith("https://")
    return replace(found, secure=True) if unsaid else found


def _asked(scope: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """HEAD is answered as GET is; that no body is sent is seen to by who sends it (RFC 9110, section 9.3.2)."""
    is_head = scope["method"] == "HEAD" and scope["path"] != "/events"
    return {**scope, "method": "GET"} if is_head else scope


def _check_origin(headers: dict[str, str], who: Caller) -> None:
    """Refuses what a page of another site sends: browsers say so in one of two headers (Fetch Metadata; RFC 6454)."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        foreign = site not in ("same-origin", "none")
    else:
        foreign = origin is not None and urlsplit(origin).netloc.lower() != who.host.lower()
    if foreign:
        raise Refused(403, "another site's page sent this")


__all__ = ["Guard", "too_many"]
