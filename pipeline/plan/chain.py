"""Why a step was made last, or would be made next: its inputs that changed, and the steps below, link by link."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from pipeline.noun import noun
from pipeline.plan.model import Change, Plan, Step
from pipeline.plan.why import changes, names_step, told, why


class Made(Protocol):
    """What a step was made from, by which key, and when (Unix time in seconds, 0 where that is not known)."""

    @property
    def key(self) -> str: ...
    @property
    def inputs(self) -> Mapping[str, str]: ...
    @property
    def at(self) -> float: ...


class Lineage(Protocol):
    """The last result of a step, and the one before that."""

    @property
    def last(self) -> Made: ...
    @property
    def before(self) -> Made | None: ...


@noun
class Reason:
    """A link of the chain: a step, whether it is still to be made, when it was made, and what changed for it.

    `words` tell the changes that are its own; those of the steps below are told by `below`.
    """

    step: str
    next: bool
    made: float
    words: str
    changes: tuple[Change, ...] = ()
    below: tuple[Reason, ...] = ()


def chain(step: Step, plan: Plan, lineage: Callable[[str], Lineage | None]) -> Reason:
    """The reasons of a step: of the next build when it would be made, else of the last one.

    `lineage(id)` is what is known of a step, by its id.
    """
    verdict, past = plan.verdicts[step.id], lineage(step.id)
    made = past.last.at if past else 0.0
    if not verdict.hit:
        below = [
            need for need in step.needs if _moves(need, verdict.changes) or _only_below(verdict.changes, need, plan)
        ]
        own = told([change for change in verdict.changes if not names_step(change)], len(verdict.changes) or 1)
        words = own if verdict.changes else verdict.why
        return Reason(step.id, True, made, words, verdict.changes, _below(below, plan, lineage))
    if past is None or past.last.key != step.key:
        # Made by another manifest, on another machine, or by a version that kept nothing.
        return Reason(step.id, False, made if past and past.last.key == step.key else 0.0, verdict.why)
    if past.before is None:
        return Reason(step.id, False, made, "first time")
    found = changes(past.before.inputs, past.last.inputs) if past.before.inputs else ()
    own = told([change for change in found if not names_step(change)], len(found) or 1)
    steps = [change.name for change in found if names_step(change)]
    words = own or ("" if steps else why(past.before.inputs, past.last.inputs))
    return Reason(step.id, False, made, words, found, _below(steps, plan, lineage))


def _moves(need: str, found: tuple[Change, ...]) -> bool:
    return any(change.name == need for change in found)


def _only_below(found: tuple[Change, ...], need: str, plan: Plan) -> bool:
    """Whether nothing of the step's own changed, but what it stands on is made again."""
    return not found and not plan.verdicts[need].hit


def _below(ids: list[str], plan: Plan, lineage: Callable[[str], Lineage | None]) -> tuple[Reason, ...]:
    known = {step.id for step in plan.steps}
    return tuple(
        chain(plan.step(id_), plan, lineage) if id_ in known else Reason(id_, False, 0.0, "is no part of it any more")
        for id_ in ids
    )


def lines(reason: Reason, when: Callable[[float], str]) -> list[str]:
    """The chain as a tree, each link below the one that it is the reason of; `when` tells a time."""
    return _lines(reason, when, "", "")


def _lines(reason: Reason, when: Callable[[float], str], head: str, indent: str) -> list[str]:
    if reason.next:
        state = f"will be made (last made {when(reason.made)})" if reason.made else "will be made"
    else:
        state = f"made {when(reason.made)}" if reason.made else "is there"
    text = f"{head}{reason.step} {state}" + (f": {reason.words}" if reason.words else "")
    text += ", because" if reason.below and not reason.words else ", and because" if reason.below else ""
    found = [text]
    for number, each in enumerate(reason.below, 1):
        last = number == len(reason.below)
        found += _lines(each, when, indent + ("└─ " if last else "├─ "), indent + ("   " if last else "│  "))
    return found
