"""What the API's operations share: who asks, what can go wrong, and how values are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Path, Query, Request

from pipeline.serve.acts import Missing
from pipeline.serve.web.access import Person
from pipeline.serve.web.parts import Parts
from pipeline.serve.web.problems import TYPE
from pipeline.serve.web.shapes import Problem

_WHY = {
    400: "The request broke off.",
    401: "Nobody has signed in, or the token is none.",
    403: "This person may look, not act; or a browser sent it from another site's page.",
    404: "There is no such thing.",
    405: "Not by this method.",
    408: "The body came too slowly.",
    409: "It cannot be done any more, or not yet.",
    413: "The body is too large.",
    421: "The server does not have this name.",
    422: "A part of the request is wrong.",
    429: "Too many calls: again after the seconds of Retry-After.",
    500: "A bug, with its reference.",
    503: "What it needs does not answer: a disk, a cluster, a registry.",
}
_RETRY = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
_SIGN_IN = {"WWW-Authenticate": {"description": "How to sign in.", "schema": {"type": "string"}}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Descriptions of the errors that an operation may answer with, beside those that each may."""
    found: dict[int | str, dict[str, Any]] = {}
    for status in sorted({*statuses, 401, 403, 421, 422, 429, 500, 503}):
        headers: Mapping[str, Any] = _RETRY if status == 429 else _SIGN_IN if status == 401 else {}
        schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
        found[status] = {"description": _WHY[status], "content": {TYPE: schema}}
        found[status] |= {"headers": headers} if headers else {}
    return found


POSTED = (400, 404, 408, 409, 413)
"""Errors of what changes something."""


def parts_of(request: Request) -> Parts:
    found: Parts = request.app.state.parts
    return found


def person_of(request: Request) -> Person:
    found: Person = request.state.person
    return found


def there(value: Any, what: str) -> Any:
    """The value. Raises Missing for None."""
    if value is None:
        raise Missing(f"there is no {what}", remedy="it may be older than what is kept")
    return value


Operation = TypeVar("Operation", bound=Callable[..., Any])


PartsOf = Annotated[Parts, Depends(parts_of)]
PersonOf = Annotated[Person, Depends(person_of)]
Number = Annotated[int, Path(ge=1, lt=1 << 63, description="Its number.", examples=[12])]
Most = Annotated[int, Query(ge=1, le=500, description="How many at most.")]
Before = Annotated[int | None, Query(ge=1, lt=1 << 63, description="`before` of the page before.")]
Offset = Annotated[int, Query(ge=-1, lt=1 << 62, description="`next` of the page before; -1 is the log's end.")]
Manifest = Annotated[str, Query(max_length=1000, description="Only of this manifest (its id).")]
Step = Annotated[str, Query(max_length=500, description="Only of this step (its id).")]


__all__ = [
    "POSTED",
    "Before",
    "Manifest",
    "Most",
    "Number",
    "Offset",
    "Operation",
    "PartsOf",
    "PersonOf",
    "Problem",
    "Step",
    "parts_of",
    "person_of",
    "problems",
    "there",
]
