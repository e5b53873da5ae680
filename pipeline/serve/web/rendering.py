"""Makes pages of templates: everything that is put into one is escaped, and each knows who looks at it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from pipeline import __version__
from pipeline.serve import drawing
from pipeline.serve.views_words import plain
from pipeline.serve.web.access import NOBODY, is_open
from pipeline.serve.web.page_words import filters

HERE = Path(__file__).parent
STATIC = HERE / "static"


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        finalize=_shown,
    )
    made.filters.update(filters(time.time))
    made.globals.update(
        asset=_asset, version=__version__, box_width=drawing.WIDTH, box_height=drawing.HEIGHT, fitting=drawing.FITTING
    )
    return made


def _shown(value: Any) -> Any:
    """What is put into a page; Jinja escapes it after this."""
    return plain(value) if type(value) is str else value


@cache
def _asset(name: str) -> str:
    """The address of a static file, which changes with all of them: what a browser keeps of an older version is not
    mixed with this one's.
    """
    return f"/static/{_stamp()}/{name}"


@cache
def _stamp() -> str:
    content = b"".join(path.read_bytes() for path in sorted(STATIC.iterdir()))
    return sha256(content).hexdigest()[:10]


def render(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """A page. `request.state.person` is who looks at it."""
    parts, person = request.app.state.parts, getattr(request.state, "person", NOBODY)
    common = {
        "person": person,
        "may_act": person.may("act"),
        "csrf": request.app.state.sessions.csrf(person),
        "open": is_open(parts.settings.access),
        "here": request.url.path,
        "stamp": getattr(request.state, "stamp", ""),
        "now": parts.now(),
        "asking": parts.views.asking() if person.role else 0,
    }
    return HTMLResponse(_environment().get_template(template).render({**common, **values}), status)


def error_page(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """For people: what went wrong, what would be right, and the way back."""
    title = HTTPStatus(status).phrase
    body = _environment().get_template("error.html").render(status=status, title=title, detail=detail)
    return HTMLResponse(body, status, dict(headers or {}))


__all__ = ["STATIC", "error_page", "render"]
