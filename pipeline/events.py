"""What a run tells while it goes on, and its report: plain values that any reporter can show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, field
from typing import Any, Literal

from pipeline.noun import noun

Outcome = Literal["hit", "made", "failed", "skipped"]


@noun
class RunStarted:
    """`entries`: how many steps there are to make of an entry, such as `layer science`, where there are several."""

    manifest: str
    steps: int
    entries: Mapping[str, int] = field(default_factory=dict)


@noun
class PlannedStep:
    """A node of the plan's graph: `needs` are the nodes it comes after. Of kind "" it is no step, but a point between a
    crowd of steps and a crowd that needs them. `why` says what changed, where it is no hit.
    """

    step: str
    kind: str
    name: str
    title: str
    needs: Sequence[str]
    hit: bool = False
    why: str = ""


@noun
class Planned:
    """The graph of the run that has just started."""

    graph: Sequence[PlannedStep]


def entry_of(kind: str, name: str) -> str:
    """The entry that a step belongs to, by its kind and name: `layer science` of science/numpy@linux/amd64."""
    return f"{kind} {name.partition('/')[0].partition('@')[0]}"


@noun
class RunContinued:
    """Run `run` of the same manifest was killed, `ago` seconds before; `done` of its `steps` were done (0 where it did
    not come to know them).
    """

    run: int
    ago: float
    done: int
    steps: int


@noun
class StepStarted:
    step: str
    kind: str
    name: str


@noun
class StepSaid:
    """A step's own words: progress, a log line."""

    step: str
    text: str


@noun
class StepWaits:
    """Another process is at the same step: `holder` says which."""

    step: str
    holder: str


@noun
class StepRetried:
    """Something failed and is tried again after `wait` seconds: the step itself, or, with `attempt` 0, a request that
    it makes. `known`: the same was told before, of another step.
    """

    step: str
    attempt: int
    wait: float
    error: str
    known: bool = False


@noun
class StepEnded:
    """How a step ended. `seconds` is wall time; `size` the bytes that are new in the store; `why` what changed."""

    step: str
    kind: str
    name: str
    outcome: Outcome
    title: str = ""
    seconds: float = 0.0
    size: int = 0
    why: str = ""
    error: str = ""


@noun
class Locked:
    """The lock changed: one line for each change."""

    path: str
    changes: Sequence[str]
    seconds: float = 0.0


@noun
class Warned:
    text: str


@noun
class Followed:
    """A line of what happens elsewhere for long, and the user follows: the log of a build by a registry."""

    text: str


@noun
class Report:
    """What happened in all. `images` name → digest, `services` target → address, `pushed` image → its reference."""

    seconds: float
    made: int
    hits: int
    failed: int
    skipped: int
    size: int
    images: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, str] = field(default_factory=dict)
    pushed: Mapping[str, str] = field(default_factory=dict)


@noun
class RunEnded:
    report: Report


StepEvent = StepStarted | StepSaid | StepWaits | StepRetried | StepEnded
Event = RunStarted | Planned | RunContinued | StepEvent | Locked | Warned | Followed | RunEnded
Reporter = Callable[[Event], None]

_NAMES = {
    RunStarted: "run-started",
    Planned: "planned",
    RunContinued: "run-continued",
    StepStarted: "step-started",
    StepSaid: "step-said",
    StepWaits: "step-waits",
    StepRetried: "step-retried",
    StepEnded: "step-ended",
    Locked: "locked",
    Warned: "warning",
    Followed: "followed",
    RunEnded: "run-ended",
}


def to_json(event: Event) -> dict[str, Any]:
    """An event as one JSON object, its type first."""
    return {"event": _NAMES[type(event)], **asdict(event)}
