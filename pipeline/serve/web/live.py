"""/healthz and /metrics: whether the server lives, how its duties are, and its numbers."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from pipeline import __version__
from pipeline.errors import StoreError
from pipeline.serve.web.answering import parts_of

router = APIRouter()


@router.api_route("/healthz", methods=["GET", "HEAD"], include_in_schema=False)
def healthz(request: Request) -> Response:
    """200 while it lives and its database can be used; what went wrong in a duty is for who may look (/api/v1/health).

    `status` is ok, or degraded where a duty did not do well last: a repository that is out of reach is no reason to
    start the server anew.
    """
    parts = parts_of(request)
    try:
        parts.database.execute("SELECT 1")
        duties = {one.name: one.ok for one in parts.health()}
    except StoreError:
        return JSONResponse({"status": "down", "version": __version__, "duties": {}}, 503)
    status = "ok" if all(duties.values()) else "degraded"
    return JSONResponse({"status": status, "version": __version__, "duties": duties})


@router.get("/metrics", include_in_schema=False)
def metrics(request: Request) -> Response:
    body, kind = parts_of(request).metrics.told()
    return Response(body, media_type=kind)


__all__ = ["router"]
