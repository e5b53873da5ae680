"""Webhooks: the host of a repository says that something was pushed, and it is looked at, at once."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from pipeline.serve.hosts.hooks import Nothing
from pipeline.serve.hosts.hooks import Refused as Unsigned
from pipeline.serve.web.address import neighbourhood
from pipeline.serve.web.answering import parts_of
from pipeline.serve.web.guard import Guard, too_many
from pipeline.serve.web.parts import Parts
from pipeline.serve.web.problems import Refused

router = APIRouter()


@router.post("/hooks/{repository}", include_in_schema=False)
async def hook(repository: str, request: Request) -> Response:
    """Answers 202 before anything is done: hosts wait for some seconds only (GitHub: 10 s)."""
    parts, guard = parts_of(request), request.state.guard
    body = await request.body()
    return await run_in_threadpool(_read, parts, guard, repository, request, body)


def _read(parts: Parts, guard: Guard, name: str, request: Request, body: bytes) -> Response:
    one = parts.settings.repositories.get(name)
    # Whoever sends wrong ones uses up their own calls, and not those of the host.
    near = neighbourhood(request.state.caller.address)
    _within(parts, guard.strange_hooks.wait(near))
    if one is None or one.host.webhook_secret is None:
        guard.strange_hooks.take(near)
        parts.metrics.hook("unknown")
        raise Refused(404, "no webhook is expected here: host.webhook_secret of a repository in the settings says so")
    try:
        event = parts.hook(one, {name.lower(): value for name, value in request.headers.items()}, body)
    except Unsigned as error:
        guard.strange_hooks.take(near)
        parts.metrics.hook(error.reason)
        if error.reason == "malformed":
            raise Refused(400, str(error)) from error
        raise Refused(401, str(error), {"WWW-Authenticate": "Signature"}) from error
    _within(parts, guard.hooks.take(name))
    parts.metrics.hook("nothing" if isinstance(event, Nothing) else "accepted")
    if not isinstance(event, Nothing):
        parts.pushed(name, event)
    return Response(status_code=202)


def _within(parts: Parts, wait: float) -> None:
    if wait:
        parts.metrics.hook("rate")
        raise too_many(wait)


__all__ = ["router"]
