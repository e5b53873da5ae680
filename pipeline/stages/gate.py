"""The gate above every target: a release is live once it is healthy and has scored; else the last good one returns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pipeline.errors import Interrupted, OutOfReach, PipelineError, UsageError
from pipeline.noun import noun
from pipeline.stages.explain import deaths, explain
from pipeline.stages.scoring import Score, Unfit, endpoint_of, score_release
from pipeline.targets.model import Observation, Release, Target
from pipeline.targets.remote import RemoteTarget, Send, Verified

DEADLINE = 60.0
_LOG_LINES = 25
_EXPLAINED_LINES = 100
_COUNTED_LINES = 2000
_PAUSE, _REMOTE_PAUSE = 0.1, 1.0

Place = Target | RemoteTarget


@noun
class Outcome:
    """A release that is live. `seconds` is from the rollout's start until it passed; `score` is None if none asked."""

    observation: Observation
    seconds: float
    score: Score | None = None


@noun
class _Pace:
    """How long to wait for health, in seconds, and by which clock."""

    deadline: float
    clock: Callable[[], float]
    wait: Callable[[float], object]


def release(
    target: Place,
    wanted: Release,
    *,
    verified: Verified,
    deadline: float = DEADLINE,
    score: Mapping[str, Any] | None = None,
    back: bool = False,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], object] = time.sleep,
    send: Send | None = None,
) -> Outcome:
    """Makes `wanted` live, as `prove` does, and keeps it in `verified`; `back` for an earlier release.

    When it does not pass, the release that passed last is put back, or the service stopped where there is none, and
    Unfit says that, too. Of a target elsewhere that refuses to begin (UsageError), or that does not answer
    (OutOfReach), nothing is put back.
    """
    try:
        outcome = prove(target, wanted, deadline=deadline, score=score, back=back, clock=clock, wait=wait, send=send)
    except Unfit as error:
        done = _restore(target, wanted, verified, _Pace(deadline, clock, wait))
        raise _unfit(f"{error.message}; {done}", error.remedy, error) from error
    verified.put(wanted)
    return outcome


def prove(
    target: Place,
    wanted: Release,
    *,
    deadline: float = DEADLINE,
    score: Mapping[str, Any] | None = None,
    back: bool = False,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], object] = time.sleep,
    send: Send | None = None,
) -> Outcome:
    """Rolls `wanted` out and makes sure that it serves: healthy within `deadline` seconds, then one scoring request,
    then the traffic, as far as the target hands that over step by step.

    `score` is {"request": JSON, "expect": JSON Schema of the answer}, as in an image's checks. Raises Unfit (a
    RolloutError), which says why, as far as the log tells, and leaves the release as it is.
    """
    begun, pace, out = clock(), _Pace(deadline, clock, wait), False
    try:
        if not _is_begun(target, wanted):
            (target.rollback if back else target.rollout)(wanted)
        out = True
        observation = _healthy(target, wanted, pace)
        endpoint = endpoint_of(target, observation) if score else None
        scored = score_release(endpoint, score, clock=clock, send=send) if score and endpoint else None
        if isinstance(target, RemoteTarget) and (strategy := target.strategy(wanted)):
            from pipeline.stages.canary import hand_over

            hand_over(target, wanted, strategy, score=score, deadline=deadline, clock=clock, wait=wait, send=send)
            observation = _healthy(target, wanted, pace)
    except Interrupted:
        raise
    except PipelineError as error:
        if isinstance(target, RemoteTarget) and isinstance(error, OutOfReach | UsageError):
            if out and isinstance(error, UsageError):
                # What was begun is not lost.
                error.remedy = f"{error.remedy}; then run again to go on".removeprefix("; ")
            raise
        raise _explained(target, wanted, error) from error
    return Outcome(observation, clock() - begun, scored)


def _is_begun(target: Place, wanted: Release) -> bool:
    """Whether a run that was killed has rolled out this very release, so that it is only to be proved.

    To a target elsewhere it is rolled out again: that changes what others have changed there, and nothing else.
    """
    if isinstance(target, RemoteTarget):
        return False
    live = target.observe()
    return live.revision == wanted.revision and live.state in ("running", "starting")


def is_live(target: Place, wanted: Release, verified: Verified) -> bool:
    """Whether there is nothing to do: `wanted` has passed the gate, and runs and is healthy now, as it was made."""
    passed = verified.get(wanted.service)
    if passed is None or passed.revision != wanted.revision:
        return False
    observation = target.observe()
    live = observation.state == "running" and observation.revision == wanted.revision
    return live and not (isinstance(target, RemoteTarget) and target.differences(wanted))


def _healthy(target: Place, wanted: Release, pace: _Pace) -> Observation:
    """The observation once the release answers; raises as soon as it cannot any more."""
    # Only now: a run that has nothing to do needs none.
    from pipeline.stages.looks import Looks

    until, look = pace.clock() + pace.deadline, Looks(target, pace.clock)
    while True:
        observation = look()
        if observation.revision and observation.revision != wanted.revision:
            raise Unfit("another run replaced the release before it was healthy", remedy="run it again")
        if observation.state == "running":
            return observation
        if observation.state in ("absent", "stopped", "failed"):
            gone = "it is not there any more" if observation.state == "absent" else observation.state
            raise Unfit(f"the service did not become healthy: {observation.detail or gone}")
        if pace.clock() >= until:
            detail = f": {observation.detail}" if observation.detail else ""
            if observation.state == "unknown":
                raise OutOfReach(f"how the service is cannot be told{detail}", remedy="run again to go on")
            raise Unfit(
                f"the service was not healthy after {pace.deadline:g} s{detail}",
                remedy="give the target a longer `health` deadline, or see its log",
            )
        if isinstance(target, RemoteTarget):
            pace.wait(_REMOTE_PAUSE)
        else:
            _check_workers(target, wanted)
            pace.wait(_PAUSE)


def _check_workers(target: Target, wanted: Release) -> None:
    """Raises Unfit once a worker has died again: its server would start another one until the deadline."""
    workers = wanted.settings.get("workers") or _environment(wanted).get("WORKER_COUNT", "")
    most = int(workers) if str(workers).isdecimal() else 1
    if (count := deaths(target.logs(lines=_COUNTED_LINES))) > most:
        raise Unfit(f"the service did not become healthy: its workers ended {count} times")


def _explained(target: Place, wanted: Release, error: PipelineError) -> Unfit:
    """The error with its cause as far as the log tells, and with the log's end."""
    lines: Sequence[str] = []
    if target.observe().revision == wanted.revision:
        # Where the log cannot be had, or may not be, the error stands for itself.
        with suppress(OutOfReach, UsageError):
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


def _before(verified: Verified, wanted: Release) -> Release | None:
    """What to put back: the release that passed last, else the one before it."""
    passed = verified.get(wanted.service)
    if passed is not None and passed.revision != wanted.revision:
        return passed
    return next((one for one in verified.history(wanted.service) if one.revision != wanted.revision), None)


def _restore(target: Place, wanted: Release, verified: Verified, pace: _Pace) -> str:
    """Restores what was live before; what was done, in words."""
    previous = _before(verified, wanted)
    passed = any(one.revision == wanted.revision for one in verified.history(wanted.service))
    live = target.observe()
    if live.revision != wanted.revision and live.state in ("running", "starting"):
        return f"revision {live.revision} was not touched and is still live"
    if previous is None and passed and isinstance(target, RemoteTarget):
        return "it has passed before and there is no other to put back, so it is left as it is"
    if previous is None:
        return f"there is no earlier verified revision to put back, {_stopped(target)}"
    begun = False
    try:
        target.rollback(previous)
        begun = True
        _healthy(target, previous, pace)
    except Interrupted:
        raise
    except PipelineError as error:
        # Elsewhere some of it may serve, and the place goes on trying.
        if begun and isinstance(target, RemoteTarget):
            return f"the last verified revision {previous.revision} was put back, and is not healthy yet ({error})"
        if isinstance(target, RemoteTarget):
            return f"revision {previous.revision} could not be put back ({error}), and nothing was stopped"
        return f"revision {previous.revision} could not be put back either ({error}), {_stopped(target)}"
    return f"the last verified revision {previous.revision} is live again"


def _stopped(target: Place) -> str:
    try:
        target.stop()
    except PipelineError as error:
        return f"and the service could not be stopped ({error})"
    return "the service is stopped"


def _environment(wanted: Release) -> dict[str, str]:
    pairs = (wanted.config.get("config") or {}).get("Env") or ()
    env = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    return {**env, **(wanted.settings.get("env") or {})}
