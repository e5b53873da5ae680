"""The web application: the API, the pages, the hooks, health and metrics, behind one guard."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from pipeline import __version__
from pipeline.errors import OutOfReach, PipelineError, StoreError, UsageError
from pipeline.reporters.masks import Masks
from pipeline.serve.acts import Missing, NotNow
from pipeline.serve.web import api, api_acts, events, hooks, live, page_acts, pages, signin
from pipeline.serve.web.describe import describe
from pipeline.serve.web.guard import Guard
from pipeline.serve.web.parts import Parts
from pipeline.serve.web.problems import Bugs, for_people, problem
from pipeline.serve.web.rendering import error_page
from pipeline.serve.web.sessions import Sessions

_STATUS: tuple[tuple[type[PipelineError], int], ...] = (
    (Missing, 404),
    (NotNow, 409),
    (UsageError, 422),
    (OutOfReach, 503),
    (StoreError, 503),
    (PipelineError, 503),
)


_PARTS = (api, api_acts, hooks, live, signin, page_acts, events, pages)


def app(parts: Parts) -> FastAPI:
    """The application; nothing of it runs until a server calls it."""
    # A redirect to an address without its last slash would name the scheme of the way here, not that of people's.
    off: dict[str, Any] = {"docs_url": None, "redoc_url": None, "openapi_url": None, "redirect_slashes": False}
    made = FastAPI(title="pipeline serve", version=__version__, **off)
    masks = Masks(parts.settings.secrets)
    made.state.parts = parts
    made.state.hub = events.Hub(parts.views.pulse)
    made.state.sessions = Sessions(parts.key, parts.settings.access, parts.database)
    for each in _PARTS:
        made.include_router(each.router)
    _add_errors(made, masks)
    made.add_middleware(
        Guard, parts=parts, sessions=made.state.sessions, bugs=Bugs(parts.home.state / "serve", masks), page=error_page
    )
    # FastAPI describes itself by what this attribute gives.
    made.openapi = lambda: describe(made)  # type: ignore[method-assign]
    made.add_api_route("/api/openapi.json", lambda: made.openapi(), include_in_schema=False)
    return made


def _methods(request: Request) -> list[str]:
    """What a path can be asked by: all of it (RFC 9110, section 15.5.6), where it has an operation for each method."""
    routes = [route for each in _PARTS for route in each.router.routes]
    found = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    methods = {method for route in found for method in getattr(route, "methods", None) or ()}
    return sorted(methods | ({"HEAD"} if "GET" in methods else set()))


def _add_errors(made: FastAPI, masks: Masks) -> None:
    def told(request: Request, status: int, detail: str, headers: Any = None, errors: Any = ()) -> Response:
        if for_people(request.url.path, request.headers):
            return error_page(status, masks.text(detail), headers)
        return problem(status, masks.text(detail), headers, errors)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        detail = {404: f"there is nothing at {request.url.path}", 405: f"not by {request.method}"}
        headers = {"Allow": ", ".join(_methods(request))} if error.status_code == 405 else error.headers
        return told(request, error.status_code, detail.get(error.status_code, str(error.detail)), headers)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        # What was sent is not told back: it may be a secret.
        places = [{"place": ".".join(map(str, one["loc"])), "message": one["msg"]} for one in error.errors()]
        words = "; ".join(f"{one['place']}: {one['message']}" for one in places[:3])
        return told(request, 422, words, errors=places)

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, PipelineError)
        status = next(status for kind, status in _STATUS if isinstance(error, kind))
        return told(request, status, str(error))

    made.add_exception_handler(HTTPException, http)
    made.add_exception_handler(RequestValidationError, invalid)
    made.add_exception_handler(PipelineError, ours)


__all__ = ["app"]
