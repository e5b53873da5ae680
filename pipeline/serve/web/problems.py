"""Errors as answers: problem details (RFC 9457) for programs, a page for people, and never a traceback."""

from __future__ import annotations

import json
import os
import secrets
import time
import traceback
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.responses import Response

from pipeline.reporters.masks import Masks

TYPE = "application/problem+json"
_LARGEST = 4 << 20


class Refused(Exception):
    """A request that is answered with an error; `detail` says what is wrong, and what would be right."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})


def problem(
    status: int, detail: str, headers: Mapping[str, str] | None = None, errors: Sequence[Any] = (), reference: str = ""
) -> Response:
    """Problem details (RFC 9457, section 3); `errors` are the places that are wrong, `reference` that of a bug."""
    body: dict[str, Any] = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    body |= {"errors": list(errors)} if errors else {}
    body |= {"reference": reference} if reference else {}
    return Response(json.dumps(body, ensure_ascii=False), status, dict(headers or {}), TYPE)


def for_people(path: str, headers: Mapping[str, str]) -> bool:
    """Whether a browser asks for a page."""
    programs = path.startswith(("/api/", "/hooks/")) or path in ("/metrics", "/healthz")
    return not programs and "text/html" in headers.get("accept", "")


class Bugs:
    """Keeps what went wrong within the server in a file, by a reference that its answer names."""

    def __init__(self, folder: Path, masks: Masks) -> None:
        self.file, self._masks = folder / "errors.log", masks

    def keep(self, error: BaseException, what: str) -> str:
        reference = secrets.token_hex(4)
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        text = self._masks.text("".join(traceback.format_exception(error)))
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            mode = "w" if self.file.exists() and self.file.stat().st_size > _LARGEST else "a"
            # A traceback is for the operator alone.
            with open(self.file, mode, encoding="utf-8", errors="backslashreplace", opener=_private) as file:
                file.write(f"{at} {reference} {what}\n{text}\n")
        except OSError:
            # The answer is more important; the reference then leads nowhere.
            pass
        return reference


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


__all__ = ["TYPE", "Bugs", "Refused", "for_people", "problem"]
