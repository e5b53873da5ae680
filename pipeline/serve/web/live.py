"""/healthz and /metrics: whether the server lives, how its duties are, and its numbers."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from pipeline import __version__
from pipeline.errors import StoreError
from pipeline.serve.web.answering import parts_of, person_of

router = APIRouter()


@router.api_route("/healthz", methods=["GET", "HEAD"], include_in_schema=False)
def healthz(request: Request) -> Response:
    """200 while it lives and its database can be used. `status` is ok, or degraded where a duty did not do well last: a
    repository that is out of reach is no reason to start the server anew. Who may look is told of which duty, too, and
    what is wrong with the database.
    """
    parts, looks = parts_of(request), bool(person_of(request).role)
    try:
        parts.database.check()
    except StoreError as error:
        return JSONResponse({"status": "down", **({"detail": str(error)} if looks else {})}, 503)
    duties = {one.name: one.ok for one in parts.health()}
    status = {"status": "ok" if all(duties.values()) else "degraded"}
    more = {"version": __version__, "duties": duties} if looks else {}
    return JSONResponse({**status, **more})


@router.get("/metrics", include_in_schema=False)
def metrics(request: Request) -> Response:
    body, kind = parts_of(request).metrics.told()
    return Response(body, media_type=kind)


__all__ = ["router"]
