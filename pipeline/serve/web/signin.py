"""Signing in and out of a browser, with a token or by OpenID Connect; a session's cookie then says who it is."""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from pipeline.serve.web.address import neighbourhood
from pipeline.serve.web.answering import parts_of
from pipeline.serve.web.answers import cookie_name, cookies_of
from pipeline.serve.web.guard import too_many
from pipeline.serve.web.oidc import NotSignedIn, Provider
from pipeline.serve.web.problems import Refused
from pipeline.serve.web.sessions import LASTS, Sessions, seal, unseal

router = APIRouter(include_in_schema=False)
_MEMORY = "pipeline-oidc"
_BACK = "/sign-in/oidc/back"
_MINUTES = 600.0
"""Seconds that somebody has to sign in at the provider."""


@router.post("/sign-in")
def sign_in(request: Request) -> Response:
    """The form of the page /sign-in: `token`, and `next` (a path of ours). Where it is no token, the page comes again
    with `wrong=token`.
    """
    form = parse_qs(request.state.body.decode("utf-8", "replace"))
    given, after = form.get("token", [""])[0].strip(), here(form.get("next", ["/"])[0])
    guard, near = request.state.guard, neighbourhood(request.state.caller.address)
    if wait := guard.tries.take(near):
        raise too_many(wait)
    cookie = _sessions(request).of_token(given, parts_of(request).now())
    if cookie is None:
        return _to("/sign-in?" + urlencode({"wrong": "token", "next": after}))
    return _with_session(request, _to(after), cookie)


@router.post("/sign-out")
def sign_out(request: Request) -> Response:
    name = cookie_name(request.state.caller.secure)
    for cookie in _sent(request, name):
        _sessions(request).sign_out(cookie, parts_of(request).now())
    answer = _to("/sign-in")
    answer.delete_cookie(name, path="/", secure=request.state.caller.secure, httponly=True, samesite="lax")
    return answer


@router.get("/sign-in/oidc")
async def to_provider(request: Request) -> Response:
    """On the way to the provider; `next` is a path of ours."""
    parts = parts_of(request)
    if wait := request.state.guard.tries.take(neighbourhood(request.state.caller.address)):
        raise too_many(wait)
    url, memory = await _provider(request).there()
    kept = {"session": memory, "next": here(request.query_params.get("next", "/")), "until": parts.now() + _MINUTES}
    answer = _to(url)
    _set(answer, request, _MEMORY, seal(parts.key, "oidc", kept), _MINUTES, "/sign-in")
    return answer


@router.get(_BACK)
async def from_provider(request: Request) -> Response:
    parts = parts_of(request)
    opened = (unseal(parts.key, "oidc", cookie, parts.now()) for cookie in _sent(request, _MEMORY))
    memory = next((one for one in opened if one), None)
    if memory is None:
        raise Refused(400, "this sign-in did not begin in this browser, or took too long: begin again at /sign-in")
    try:
        name, groups = await _provider(request).back(dict(request.query_params), memory["session"])
    except NotSignedIn as error:
        raise Refused(403, str(error)) from error
    cookie = _sessions(request).of_oidc(name, groups, parts.now())
    if cookie is None:
        raise Refused(403, f"{name} has signed in, and is in no group that may look: see access.oidc.look and act")
    answer = _with_session(request, _to(memory["next"]), cookie)
    answer.delete_cookie(_MEMORY, path="/sign-in")
    return answer


def here(path: str) -> str:
    """A path of ours; another site's address leads to the first page."""
    ours = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if ours else "/"


def _sent(request: Request, name: str) -> list[str]:
    return cookies_of("; ".join(request.headers.getlist("cookie")), name)


def _provider(request: Request) -> Provider:
    """One for all requests: it remembers the provider's discovery document and keys."""
    parts, state = parts_of(request), request.app.state
    oidc = parts.settings.access.oidc
    if oidc is None:
        raise Refused(404, "there is no sign-in by OpenID Connect here")
    if not hasattr(state, "provider"):
        state.provider = Provider(oidc, parts.settings.url.rstrip("/") + _BACK)
    found: Provider = state.provider
    return found


def _sessions(request: Request) -> Sessions:
    found: Sessions = request.app.state.sessions
    return found


def _with_session(request: Request, answer: Response, cookie: str) -> Response:
    _set(answer, request, cookie_name(request.state.caller.secure), cookie, LASTS, "/")
    return answer


def _set(answer: Response, request: Request, name: str, value: str, lasts: float, path: str) -> None:
    # Lax, not Strict: whoever comes by a link of a message or a commit's status is signed in there as well.
    answer.set_cookie(
        name, value, max_age=int(lasts), path=path, secure=request.state.caller.secure, httponly=True, samesite="lax"
    )


def _to(path: str) -> Response:
    return RedirectResponse(path, 303)


__all__ = ["here", "router"]
