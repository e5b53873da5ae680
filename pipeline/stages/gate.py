"""The gate above every target: a release is live once it is healthy and has scored; else the last good one returns."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from pipeline.errors import PipelineError, RolloutError
from pipeline.noun import noun
from pipeline.stages.explain import explain
from pipeline.targets.model import Observation, Release, Target

DEADLINE = 60.0
_LOG_LINES = 25
_EXPLAINED_LINES = 100
_PAUSE = 0.1
_SCORE_TIMEOUT = 60.0


class Verified(Protocol):
    """Remembers, for each service, the release that last passed the gate."""

    def get(self, service: str) -> Release | None: ...
    def put(self, release: Release) -> None: ...


class VerifiedFiles:
    """`Verified` in a folder, one JSON file for each service."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, service: str) -> Release | None:
        try:
            return Release.from_json(json.loads(self._path(service).read_bytes()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError):
            # A file that a crash of the machine left empty: nothing is known to have passed.
            return None

    def put(self, release: Release) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(release.service)
        staging = path.with_suffix(f".{os.getpid()}")
        # A target's environment may hold secrets, and putting a release back needs them.
        staging.touch(mode=0o600)
        staging.write_text(json.dumps(release.to_json()))
        staging.replace(path)

    def _path(self, service: str) -> Path:
        from urllib.parse import quote

        return self._folder / (quote(service, safe="") + ".json")


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    body: bytes


Post = Callable[[str, bytes, float], Answer]
"""Sends JSON to a URL, waits at most so many seconds; raises OSError when no answer comes."""


@noun
class Score:
    """What a scoring request got: the answer as JSON, and how long it took in milliseconds."""

    answer: Any
    milliseconds: float


@noun
class Outcome:
    """A release that is live. `seconds` is from the rollout's start until it passed; `score` is None if none asked."""

    observation: Observation
    seconds: float
    score: Score | None = None


class Unfit(RolloutError):
    """A release that does not pass the gate; `log` is the end of its service's output."""


@noun
class _Pace:
    """How long to wait for health, in seconds, and by which clock."""

    deadline: float
    clock: Callable[[], float]
    wait: Callable[[float], object]


def release(
    target: Target,
    wanted: Release,
    *,
    verified: Verified,
    deadline: float = DEADLINE,
    score: Mapping[str, Any] | None = None,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], object] = time.sleep,
    post: Post | None = None,
) -> Outcome:
    """Makes `wanted` live, as `prove` does, and keeps it in `verified`.

    When it does not pass, the release that passed last is put back, or the service stopped where there is none, and
    Unfit says that, too.
    """
    try:
        outcome = prove(target, wanted, deadline=deadline, score=score, clock=clock, wait=wait, post=post)
    except Unfit as error:
        done = _restore(target, wanted, verified.get(wanted.service), _Pace(deadline, clock, wait))
        raise _unfit(f"{error.message}; {done}", error.remedy, error) from error
    verified.put(wanted)
    return outcome


def prove(
    target: Target,
    wanted: Release,
    *,
    deadline: float = DEADLINE,
    score: Mapping[str, Any] | None = None,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], object] = time.sleep,
    post: Post | None = None,
) -> Outcome:
    """Rolls `wanted` out and makes sure that it serves: healthy within `deadline` seconds, then one scoring request.

    `score` is {"request": JSON, "expect": JSON Schema of the answer}, as in an image's checks. Raises Unfit (a
    RolloutError), which says why, as far as the log tells, and leaves the release as it is.
    """
    begun = clock()
    try:
        target.rollout(wanted)
        observation = _healthy(target, wanted, _Pace(deadline, clock, wait))
        scored = score_release(observation.address, score, clock=clock, post=post) if score else None
    except PipelineError as error:
        raise _explained(target, wanted, error) from error
    return Outcome(observation, clock() - begun, scored)


def is_live(target: Target, wanted: Release, verified: Verified) -> bool:
    """Whether there is nothing to do: `wanted` has passed the gate, and runs and is healthy now."""
    passed = verified.get(wanted.service)
    if passed is None or passed.revision != wanted.revision:
        return False
    observation = target.observe()
    return observation.state == "running" and observation.revision == wanted.revision


def score_release(
    address: str,
    score: Mapping[str, Any],
    *,
    clock: Callable[[], float] = time.monotonic,
    post: Post | None = None,
) -> Score:
    """Sends one scoring request to a service and checks the answer. Raises Unfit for any but the wanted."""
    url = f"{address}/score"
    begun = clock()
    try:
        answer = (post or post_json)(url, json.dumps(score.get("request")).encode(), _SCORE_TIMEOUT)
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


def post_json(url: str, body: bytes, timeout: float) -> Answer:
    """`Post` over HTTP, never by a proxy."""
    import http.client
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request("POST", parts.path, body, {"Content-Type": "application/json"})
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


def _healthy(target: Target, wanted: Release, pace: _Pace) -> Observation:
    """The observation once the release answers; raises as soon as it cannot any more."""
    until = pace.clock() + pace.deadline
    while True:
        observation = target.observe()
        if observation.revision and observation.revision != wanted.revision:
            raise Unfit("another run replaced the release before it was healthy", remedy="run it again")
        if observation.state == "running":
            return observation
        if observation.state in ("absent", "stopped", "failed"):
            raise Unfit(f"the service did not become healthy: {observation.detail or observation.state}")
        if pace.clock() >= until:
            detail = f": {observation.detail}" if observation.detail else ""
            raise Unfit(
                f"the service was not healthy after {pace.deadline:g} s{detail}",
                remedy="give the target a longer `health` deadline, or see its log",
            )
        pace.wait(_PAUSE)


def _explained(target: Target, wanted: Release, error: PipelineError) -> Unfit:
    """The error with its cause as far as the log tells, and with the log's end."""
    lines: Sequence[str] = []
    if target.observe().revision == wanted.revision:
        lines = list(target.logs(lines=_EXPLAINED_LINES))
    cause = None if error.remedy else explain(lines, _environment(wanted))
    if cause is None:
        unfit = _unfit(error.message, error.remedy, error)
    else:
        unfit = _unfit(f"{error.message}: {cause.fact}", cause.remedy, error)
    unfit.log = tuple(lines[-_LOG_LINES:])
    return unfit


def _unfit(message: str, remedy: str, error: PipelineError) -> Unfit:
    unfit = Unfit(message, remedy=remedy, place=error.place)
    unfit.log = error.log
    return unfit


def _restore(target: Target, wanted: Release, previous: Release | None, pace: _Pace) -> str:
    """Restores what was live before; what was done, in words."""
    live = target.observe()
    if live.revision != wanted.revision and live.state in ("running", "starting"):
        return f"revision {live.revision} was not touched and is still live"
    if previous is None or previous.revision == wanted.revision:
        target.stop()
        return "there is no earlier verified revision to put back, the service is stopped"
    try:
        target.rollback(previous)
        _healthy(target, previous, pace)
    except PipelineError as error:
        target.stop()
        return f"revision {previous.revision} could not be put back either ({error}), the service is stopped"
    return f"the last verified revision {previous.revision} is live again"


def _environment(wanted: Release) -> dict[str, str]:
    pairs = (wanted.config.get("config") or {}).get("Env") or ()
    env = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    return {**env, **(wanted.settings.get("env") or {})}


def _cut(text: str, length: int = 300) -> str:
    return text if len(text) <= length else text[:length] + "…"
