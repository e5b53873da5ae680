"""Hands traffic over to a new release in steps, and watches it: by scoring requests, and by its own health."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import OutOfReach, PipelineError
from pipeline.stages.looks import Looks
from pipeline.stages.scoring import Unfit, score_release
from pipeline.targets.model import Observation, Release
from pipeline.targets.remote import RemoteTarget, Send, Strategy

_EACH = 1.0
"""Seconds between two scoring requests to a release that is watched."""
_SLOW = 0.05
"""The share of answers that may take longer than allowed."""


def hand_over(
    target: RemoteTarget,
    wanted: Release,
    strategy: Strategy,
    *,
    score: Mapping[str, Any] | None,
    deadline: float,
    clock: Callable[[], float],
    wait: Callable[[float], object],
    send: Send | None = None,
) -> None:
    """Raises Unfit as soon as the new release fails, or has more errors or waits than a step may have; OutOfReach when
    for `deadline` seconds nobody tells how it is.
    """
    for percent in strategy.steps:
        target.shift(wanted, percent)
        if percent < 100 and strategy.pause:
            _Watch(target, wanted, strategy, percent, score, deadline, clock, wait, send).go()


@dataclass
class _Watch:
    """One step of the traffic: how long answers took, and those that failed. `untold` is why nobody tells now."""

    target: RemoteTarget
    wanted: Release
    strategy: Strategy
    percent: int
    score: Mapping[str, Any] | None
    deadline: float
    clock: Callable[[], float]
    wait: Callable[[float], object]
    send: Send | None
    seconds: list[float] = field(default_factory=list)
    errors: list[Unfit] = field(default_factory=list)
    untold: PipelineError | None = None

    def go(self) -> None:
        look, told = Looks(self.target, self.clock), self.clock()
        until = told + self.strategy.pause
        while self.clock() < until or self.untold:
            self._ask(look())
            told = told if self.untold else self.clock()
            if self.untold and self.clock() - told >= self.deadline:
                raise self.untold
            if _is_lost(self.strategy, self.seconds, self.errors):
                break
            self.wait(min(_EACH, max(until - self.clock(), _EACH if self.untold else 0.01)))
        _judge(self.strategy, self.percent, self.seconds, self.errors)

    def _ask(self, seen: Observation) -> None:
        """Raises Unfit for a release that does not run, or was replaced."""
        with_ = f"with {self.percent} % of the traffic"
        self.untold = None
        if seen.state == "unknown":
            told = f"{with_} it cannot be told how it is: {seen.detail}"
            self.untold = OutOfReach(told, remedy="run again: it begins anew with as many pods as there were")
        elif seen.revision and seen.revision != self.wanted.revision:
            raise Unfit(f"{with_} another run replaced it", remedy="run it again")
        elif seen.state != "running":
            raise Unfit(f"{with_} it is {seen.state}: {seen.detail}")
        elif self.score and (endpoint := self.target.endpoint(seen)):
            try:
                scored = score_release(endpoint, self.score, clock=self.clock, send=self.send)
                self.seconds.append(scored.milliseconds / 1000)
            except Unfit as error:
                self.errors.append(error)
            except OutOfReach as error:
                # That is no fault of the release's.
                self.untold = error


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
