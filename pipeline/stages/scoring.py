"""Sends a scoring request to a service, wherever it runs, and checks its answer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.errors import RolloutError
from pipeline.manifest.secrets import reveal
from pipeline.noun import noun
from pipeline.targets.model import Observation, Target
from pipeline.targets.remote import Answer, Endpoint, RemoteTarget, Send

_TIMEOUT = 60.0


class Unfit(RolloutError):
    """A release that does not pass the gate; `log` is the end of its service's output."""


@noun
class Score:
    """What a scoring request got: the answer as JSON, and how long it took in milliseconds."""

    answer: Any
    milliseconds: float


def endpoint_of(target: Target | RemoteTarget, seen: Observation) -> Endpoint | None:
    """Where a target's service scores; None where no request gets there."""
    return target.endpoint(seen) if isinstance(target, RemoteTarget) else Endpoint(f"{seen.address}/score")


def score_release(
    endpoint: Endpoint,
    score: Mapping[str, Any],
    *,
    clock: Callable[[], float] = time.monotonic,
    send: Send | None = None,
) -> Score:
    """Sends one scoring request to a service and checks the answer. Raises Unfit for any but the wanted."""
    url = endpoint.url
    headers = {"Content-Type": "application/json", **{name: reveal(text) for name, text in endpoint.headers.items()}}
    begun = clock()
    try:
        answer = (send or endpoint.send or post_json)(url, json.dumps(score.get("request")).encode(), headers, _TIMEOUT)
    except OSError as error:
        raise Unfit(f"POST {url} got no answer: {error}") from error
    milliseconds = (clock() - begun) * 1000
    text = answer.body.decode(errors="replace")
    if answer.status != 200:
        raise Unfit(f"POST {url} was answered with {answer.status}: {_cut(text)}")
    try:
        value = json.loads(text)
    except ValueError:
        raise Unfit(f"POST {url} was not answered with JSON: {_cut(text)}") from None
    if "expect" in score:
        _check(value, score["expect"])
    return Score(value, milliseconds)


def post_json(url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Answer:
    """`Send` over HTTP, never by a proxy."""
    import http.client
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout)
    try:
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path, body, dict(headers))
        response = connection.getresponse()
        return Answer(response.status, response.read())
    except http.client.HTTPException as error:
        raise ConnectionError(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()


def _check(value: Any, schema: Any) -> None:
    from pipeline.manifest.validate import answer_flaw

    where, flaw = answer_flaw(value, schema)
    if flaw:
        raise Unfit(
            f"the answer{where} to the scoring request is not what `expect` says: {_cut(flaw)}",
            remedy="correct run() in the entry script, or `expect` in the manifest",
        )


def _cut(text: str, length: int = 300) -> str:
    return text if len(text) <= length else text[:length] + "…"
