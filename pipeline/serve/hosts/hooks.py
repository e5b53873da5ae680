"""Webhooks as all hosts have them: what one says, whether its signature counts, and whether it came before."""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

from pipeline.digest import parsed
from pipeline.errors import PipelineError
from pipeline.noun import noun
from pipeline.serve.ports import Request

LARGEST = 8 << 20
"""Bytes of a body that are read: what is larger (some thousand commits at once) the next poll finds."""
PATIENCE = 300.0
"""Seconds that a signed time may be off (Standard Webhooks, "Signature scheme")."""


class Refused(PipelineError):
    """A webhook whose signature does not count. `reason` is one short word, to be counted by."""

    def __init__(self, message: str, reason: str, *, remedy: str) -> None:
        super().__init__(message, remedy=remedy)
        self.reason = reason


@noun
class Push:
    """A branch was moved to a commit (its full hash; empty where it was deleted) in the repository of these names:
    as the host calls it, and its addresses.
    """

    repository: tuple[str, ...]
    branch: str
    commit: str


@noun
class Opened:
    """A pull request is there, has new commits, or is closed."""

    repository: tuple[str, ...]
    request: Request
    closed: bool = False


@noun
class Nothing:
    """A webhook that asks for nothing: a ping, an event that is not ours, one that came before."""

    reason: str


Event = Push | Opened | Nothing
Headers = Mapping[str, str]
"""By lower-case name."""
Signed = Callable[[Headers, bytes, str, float], None]
"""Raises Refused unless a body was signed with this secret; the time is Unix time in seconds."""
Reading = Callable[[Headers, Any], Event]
"""What a webhook says, of its headers and its JSON. KeyError, TypeError and the like for one that it is not."""


class Deliveries:
    """Remembers which deliveries came, the newest `most`; threads share it.

    What a host does not sign, such as its name for a delivery, may be altered by who replays it: what he gains is one
    look more at a repository.
    """

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._lock = threading.Lock()

    def is_new(self, headers: Headers, body: bytes) -> bool:
        """Whether this one did not come before; from now on it did."""
        name = next((headers[each] for each in _DELIVERIES if headers.get(each)), "")
        key = hashlib.sha256(name.encode() + b"\0" + body).digest()
        with self._lock:
            if key in self._seen:
                return False
            self._seen[key] = None
            while len(self._seen) > self._most:
                self._seen.popitem(last=False)
            return True


_DELIVERIES = ("x-github-delivery", "x-gitea-delivery", "webhook-id", "idempotency-key", "x-gitlab-event-uuid")


def data_of(headers: Headers, body: bytes) -> Any:
    """The JSON of a webhook, which some send as a form's field `payload`. Refused for what is none."""
    if headers.get("content-type", "").partition(";")[0].strip() == "application/x-www-form-urlencoded":
        body = (parse_qs(body.decode(errors="replace")).get("payload") or [""])[0].encode()
    try:
        data = parsed(body)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise Refused("the webhook's body is no JSON object", "malformed", remedy="set its content type to JSON")
    return data


def same(given: str, wanted: str) -> bool:
    """Whether two texts are the same, in a time that does not tell how far they are."""
    return hmac.compare_digest(given.encode(errors="replace"), wanted.encode(errors="replace"))


def signed_in_hex(name: str, prefix: str = "") -> Signed:
    """A header with HMAC-SHA256 of the body in hexadecimal digits, after a prefix."""

    def check(headers: Headers, body: bytes, secret: str, _now: float) -> None:
        given = present(headers, name)
        wanted = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        if not same(given, prefix + wanted):
            raise wrong()

    return check


def signed_by_standard(headers: Headers, body: bytes, secret: str, now: float) -> None:
    """The Standard Webhooks scheme (github.com/standard-webhooks, spec, "Signature scheme"): `webhook-signature` has
    `v1,` and HMAC-SHA256 in base64 of id, time and body; the key is what follows `whsec_`, in base64.
    """
    id_, at = present(headers, "webhook-id"), present(headers, "webhook-timestamp")
    given = present(headers, "webhook-signature").split()
    if not at.isdecimal() or abs(float(at[:15]) - now) > PATIENCE:
        raise Refused("the webhook's time is off by minutes", "time", remedy="set the clocks of both machines right")
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = secret.encode()
    wanted = base64.b64encode(hmac.new(key, f"{id_}.{at}.".encode() + body, hashlib.sha256).digest()).decode()
    if not any(same(one, f"v1,{wanted}") for one in given):
        raise wrong()


def present(headers: Headers, name: str) -> str:
    """A header that a signed webhook has."""
    if not headers.get(name):
        remedy = "set its secret at the host to what host: webhook_secret: says"
        raise Refused(f"the webhook is not signed: it has no {name}", "unsigned", remedy=remedy)
    return headers[name]


def wrong() -> Refused:
    remedy = "its secret at the host has to be what host: webhook_secret: says"
    return Refused("the webhook's signature is wrong", "signature", remedy=remedy)


def branch_of(ref: str) -> str:
    """The branch of `refs/heads/BRANCH`; empty for tags and others."""
    return ref.removeprefix("refs/heads/") if ref.startswith("refs/heads/") else ""


def moved_to(commit: str) -> str:
    """A commit as hosts tell it: only zeros where a branch was deleted."""
    return "" if not commit.strip("0") else commit


def names_of(data: Any) -> tuple[str, ...]:
    """What GitHub and Gitea call the repository of an event, in all the ways that settings may."""
    of = data["repository"]
    return tuple(of[name] for name in ("full_name", "clone_url", "ssh_url", "html_url") if of.get(name))


__all__ = [
    "LARGEST",
    "Deliveries",
    "Event",
    "Headers",
    "Nothing",
    "Opened",
    "Push",
    "Reading",
    "Refused",
    "Signed",
    "branch_of",
    "data_of",
    "moved_to",
    "names_of",
    "present",
    "same",
    "signed_by_standard",
    "signed_in_hex",
    "wrong",
]
