"""The API's description (OpenAPI 3.1); `python -m pipeline.serve.web.describe` prints it."""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from pipeline import __version__
from pipeline.serve.web.shapes import Problem

_WORDS = """Looks at what `pipeline serve` watches and does, and asks it for more.

Programs send a token of the settings: `Authorization: Bearer …`. Browsers that have signed in send their session's
cookie, and with each change `X-CSRF-Token` as `GET /api/v1/me` says. Times are Unix times in seconds, sizes bytes.
Errors are problem details (RFC 9457)."""


def describe(app: FastAPI) -> dict[str, Any]:
    """Made once, in the order of the operations."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=__version__, description=_WORDS, routes=app.routes)
        schemas = made["components"]["schemas"]
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(problem.pop("$defs", {}), Problem=problem)
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        made["components"]["schemas"] = dict(sorted(schemas.items()))
        made["components"]["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "description": "A token of access.tokens."},
            "session": {"type": "apiKey", "in": "cookie", "name": "__Host-pipeline"},
        }
        made["security"] = [{"token": []}, {"session": []}]
        made["servers"] = [{"url": "/"}]
        app.openapi_schema = made
    return app.openapi_schema


def described() -> dict[str, Any]:
    """The description of the API, whatever else a server has."""
    from pipeline.serve.web import api, api_acts

    made = FastAPI(title="pipeline serve", version=__version__)
    made.include_router(api.router)
    made.include_router(api_acts.router)
    return describe(made)


if __name__ == "__main__":
    print(json.dumps(described(), indent=2, ensure_ascii=False))

__all__ = ["describe", "described"]
