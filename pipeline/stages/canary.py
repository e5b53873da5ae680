"""Hands traffic over to a new release in steps, and watches it: by scoring requests, and by its own health."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.errors import OutOfReach
from pipeline.stages.looks import Looks
from pipeline.stages.scoring import Unfit, score_release
from pipeline.targets.model import Release
from pipeline.targets.remote import RemoteTarget, Send, Strategy

_EACH = 1.0
"""Seconds between two scoring requests to a release that is watched."""
_SLOW = 0.05
"""The share of answers that may take longer than allowed."""
_GO_ON = "run again: it begins anew with as many pods as there were"


def hand_over(
    target: RemoteTarget,
    wanted: Release,
    strategy: Strategy,
    *,
    score: Mapping[str, Any] | None,
    clock: Callable[[], float],
    wait: Callable[[float], object],
    send: Send | None = None,
) -> None:
    """Raises Unfit as soon as the new release fails, or has more errors or waits than a step may have."""
    for percent in strategy.steps:
        target.shift(wanted, percent)
        if percent < 100 and strategy.pause:
            _watch(target, wanted, strategy, percent, score, clock, wait, send)


def _watch(
    target: RemoteTarget,
    wanted: Release,
    strategy: Strategy,
    percent: int,
    score: Mapping[str, Any] | None,
    clock: Callable[[], float],
    wait: Callable[[float], object],
    send: Send | None,
) -> None:
    until, look = clock() + strategy.pause, Looks(target, clock)
    seconds: list[float] = []
    errors: list[Unfit] = []
    untold = ""
    while clock() < until:
        seen = look()
        if seen.state not in ("running", "unknown") or (seen.revision and seen.revision != wanted.revision):
            raise Unfit(f"with {percent} % of the traffic it is {seen.state}: {seen.detail or seen.revision}")
        untold = seen.detail if seen.state == "unknown" else ""
        if score and not untold and (endpoint := target.endpoint(seen)):
            try:
                seconds.append(score_release(endpoint, score, clock=clock, send=send).milliseconds / 1000)
            except Unfit as error:
                errors.append(error)
            except OutOfReach as error:
                # That is no fault of the release's.
                untold = str(error)
        if _is_lost(strategy, seconds, errors):
            break
        wait(min(_EACH, max(until - clock(), 0.01)))
    _judge(strategy, percent, seconds, errors)
    if untold:
        raise OutOfReach(f"with {percent} % of the traffic it cannot be told how it is: {untold}", remedy=_GO_ON)


def _is_lost(strategy: Strategy, seconds: list[float], errors: list[Unfit]) -> bool:
    """Whether the step fails even if all goes well for the rest of it: clients need not wait for its end."""
    most = math.ceil(strategy.pause / _EACH)
    slow = 0 if strategy.latency is None else sum(one > strategy.latency for one in seconds)
    return len(errors) > strategy.errors * most or slow > _SLOW * most


def _judge(strategy: Strategy, percent: int, seconds: list[float], errors: list[Unfit]) -> None:
    asked = len(seconds) + len(errors)
    if asked and len(errors) / asked > strategy.errors:
        share = f"{len(errors)} of {asked} scoring requests failed, and {strategy.errors:.1%} may"
        raise Unfit(f"with {percent} % of the traffic {share}: {errors[-1].message}", remedy=errors[-1].remedy)
    if strategy.latency is not None and seconds:
        slow = sorted(seconds)[math.ceil((1 - _SLOW) * len(seconds)) - 1]
        if slow > strategy.latency:
            limit = f"{strategy.latency * 1000:g} ms are allowed"
            raise Unfit(f"with {percent} % of the traffic 95 % of answers took up to {slow * 1000:.0f} ms, and {limit}")
