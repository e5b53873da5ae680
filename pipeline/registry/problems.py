"""What a registry's refusal means to the user (OCI distribution-spec 1.1, "Error Codes")."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any, TypeVar

from pipeline.digest import parsed
from pipeline.errors import OutOfReach, PipelineError, ResolveError
from pipeline.http import Response, after, long, retry_after

T = TypeVar("T")
LONGEST_WAIT = 300.0
"""Seconds: a registry that asks for a longer wait ends the run instead."""
_MOST = 1 << 16
"""Bytes of an error's text that are looked at."""


class NotFound(ResolveError):
    """The registry answers, and has no such image, blob or repository."""


class Unauthorized(OutOfReach):
    """The registry does not accept the credentials, or wants some and has been given none."""

    lasting = True


class Denied(OutOfReach):
    """The credentials are good, but not for this; `action` is the right that is missing, where the registry says it."""

    lasting = True
    action = ""


class Refused(PipelineError):
    """The registry does not accept what was sent; `status` is HTTP's, `codes` are its error codes."""

    def __init__(self, message: str, *, remedy: str = "", status: int = 0, codes: tuple[str, ...] = ()) -> None:
        super().__init__(message, remedy=remedy)
        self.status = status
        self.codes = codes


class Damaged(PipelineError):
    """Bytes that are not what their digest or size says."""


def twice(read: Callable[[], T]) -> T:
    """`read()`, once more where the bytes that came were not those that were asked for: on their way they may change
    once, and where they are they stay what they are.
    """
    try:
        return read()
    except Damaged:
        return read()


def problem(response: Response, where: str, who: str, clock: Callable[[], float]) -> PipelineError:
    """The error for a status that is no success. `where` names the repository, `who` the credentials in use."""
    status = response.status
    data = response.read(_MOST)
    codes, says = _errors(data, status)
    fact = f"{where}: {says or 'no reason given'} ({status}{''.join(', ' + code for code in codes)})"
    if status == 429 or status >= 500 or status == 408:
        return _busy(response, where, fact, clock)
    if status < 400:
        return OutOfReach(f"{where}: an answer that makes no sense here ({status})", remedy=_ASTRAY, transient=True)
    if status == 403 and _FIREWALL in says:
        remedy = "let this address through the registry's firewall, or run where it may come in"
        return OutOfReach(fact, remedy=remedy, lasting=True)
    if status in (401, 403) and who:
        return denied(f"{fact}, for {who}", _action(data))
    if status in (401, 403):
        return Unauthorized(fact, remedy=f"log in: pipeline login {where.partition('/')[0]}")
    if status == 404 and not any(code.endswith("BLOB_UNKNOWN") and code != "BLOB_UNKNOWN" for code in codes):
        return NotFound(fact, remedy="check the name, the tag and who may see it")
    if status == 413:
        return Refused(
            fact, remedy="raise the limit of the registry, or of the proxy before it", status=status, codes=codes
        )
    # docker-registry says both of an image manifest whose blob another client is just linking: a part is missing.
    if "DIGEST_INVALID" in codes and "MANIFEST_BLOB_UNKNOWN" not in codes:
        return Damaged(fact, remedy="the bytes changed on their way or on the disk: try again")
    return Refused(fact, remedy=_REMEDIES.get(says, "see the registry's log"), status=status, codes=codes)


def _busy(response: Response, where: str, fact: str, clock: Callable[[], float]) -> PipelineError:
    seconds = retry_after(response.headers.get("retry-after", ""), clock())
    if seconds > LONGEST_WAIT:
        return OutOfReach(f"{where} asks to wait {long(seconds)}", remedy=f"run again {after(seconds, clock())}")
    remedy = "too many requests: try again later, or log in" if response.status == 429 else "try again later"
    remedy = "make room there" if _FULL in fact else remedy
    error = OutOfReach(fact, remedy=remedy, transient=True)
    error.retry_after = seconds
    return error


def said(response: Response) -> str:
    """A token server's own words: in the form of a registry's errors, or of OAuth's (RFC 6749, section 5.2)."""
    data = response.read(_MOST)
    says = _errors(data, response.status)[1]
    if says and says != _STATUS.get(response.status):
        return says
    try:
        found: Any = parsed(data)
        return _printable(str(found.get("error_description") or found.get("error") or ""))[:300]
    except (ValueError, AttributeError):
        return ""


def denied(fact: str, action: str) -> Denied:
    """The error for good credentials that lack the right to do something: push, pull or delete."""
    missing = f"the right to {action}" if action else "the right to do this"
    error = Denied(fact, remedy=f"ask whoever runs the registry for {missing}")
    error.action = action
    return error


def _action(data: bytes) -> str:
    """What was to be allowed, as registries with tokens tell it in an error's detail; the rarest of several."""
    try:
        wanted = {entry["Action"] for error in parsed(data)["errors"] for entry in error.get("detail") or ()}
    except (ValueError, TypeError, KeyError, AttributeError):
        return ""
    return next((action for action in ("delete", "push", "pull") if action in wanted), "")


def _errors(body: bytes, status: int) -> tuple[tuple[str, ...], str]:
    """The codes and the messages of an error answer, whatever it looks like."""
    if _PLAIN_HTTP in body:
        return (), _NEEDS_TLS
    try:
        found: Any = parsed(body)["errors"]
        codes = tuple(_printable(str(error["code"])) for error in found if error.get("code"))
        if any(_is_full(error.get("detail")) for error in found):
            return codes, _FULL
        says = "; ".join(dict.fromkeys(str(error.get("message") or error.get("code")) for error in found))
        return codes, _printable(says)[:300]
    except (ValueError, TypeError, KeyError, AttributeError):
        return (), _STATUS.get(status, "")


def _printable(text: str) -> str:
    """Without what could move a terminal's cursor, or end the line."""
    return "".join(c if c.isprintable() else " " for c in text).strip()


def _is_full(detail: Any) -> bool:
    """Whether the detail of docker-registry's "unknown error" is the system's for a full disk."""
    inner = detail.get("Enclosed") if isinstance(detail, dict) else None
    return isinstance(inner, dict) and inner.get("Err") in (errno.ENOSPC, errno.EDQUOT)


_ASTRAY = "see what is between here and the registry, and the registry's log"
_PLAIN_HTTP = b"sent an HTTP request to an HTTPS server"
_NEEDS_TLS = "it speaks TLS, and was asked by plain HTTP"
_FULL = "the registry's disk is full"
_NOT_ALLOWED = "the registry does not allow this"

_STATUS = {
    400: "bad request",
    401: "authentication required",
    403: "not allowed",
    404: "not there",
    405: _NOT_ALLOWED,
    413: "too large",
    429: "too many requests",
    500: "internal error of the registry",
    502: "a proxy gets no answer from the registry",
    503: "not available",
    504: "a proxy gets no answer from the registry",
    507: _FULL,
}

_FIREWALL = "is not allowed access"
"""Azure's words to addresses that a registry's network rules keep out (https://aka.ms/acr/firewall)."""
_REMEDIES = {
    _NEEDS_TLS: "leave out `insecure`",
    _NOT_ALLOWED: "it may be read-only, or a mirror: name one that takes images",
}
