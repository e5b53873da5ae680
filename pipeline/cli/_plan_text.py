"""A plan as people and programs read it: a line for each step, and a last line worth reading alone. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.plan.model import Plan, Step
from pipeline.plan.why import entry, told, words

if TYPE_CHECKING:
    from pipeline.stages.effects import Effect
    from pipeline.stages.forecast import Amount, Forecast

ALL = 1 << 20


@dataclass
class Outlook:
    """A plan, what it would move, and what it would change on each target (by step)."""

    plan: Plan
    forecast: Forecast
    effects: Mapping[str, Effect] = field(default_factory=dict)

    @property
    def misses(self) -> list[Step]:
        return [step for step in self.plan.steps if not self.plan.verdicts[step.id].hit]


@dataclass
class _Row:
    """A line: one step, or several parts of one entry with the same to say."""

    step: Step
    state: str
    why: str
    effect: str
    down: Amount
    up: Amount
    parts: int = 1

    @property
    def cells(self) -> list[str]:
        from pipeline.reporters.lines import titled

        name, title = self.step.name, titled(self.step.title)
        if self.parts > 1:
            name, title = entry(name), f"{title} and {self.parts - 1} more"
        moves = [f"{self.down} to download" if self.down.size else "", f"{self.up} to upload" if self.up.size else ""]
        said = "; ".join(filter(None, (self.why, ", ".join(filter(None, moves)), self.effect)))
        return [self.step.kind, name, self.state, title, said]


def as_text(outlook: Outlook, verbose: bool = False) -> list[str]:
    """Rows in columns: hits say no more than that, misses what changed and what they move. Parts of an entry that have
    the same to say are one row; `verbose` says all.
    """
    from pipeline.reporters.lines import table

    rows: dict[tuple[str, ...], _Row] = {}
    for step in outlook.plan.steps:
        row = _row(step, outlook, verbose)
        key = (step.id,) if verbose else (step.kind, entry(step.name), row.state, row.why)
        if known := rows.get(key):
            known.parts, known.down, known.up = known.parts + 1, known.down.plus(row.down), known.up.plus(row.up)
        else:
            rows[key] = row
    lines = table(row.cells for row in rows.values())
    return [*lines, *_fields(outlook), *outlook.forecast.notes, last_line(outlook)]


def _fields(outlook: Outlook) -> list[str]:
    """What would be otherwise on each target, a line for each field."""
    return [f"  {effect.target}: {text}" for effect in outlook.effects.values() for text in effect.differences]


def _row(step: Step, outlook: Outlook, verbose: bool) -> _Row:
    from pipeline.stages.forecast import Amount

    verdict, forecast = outlook.plan.verdicts[step.id], outlook.forecast
    moved = (forecast.download.get(step.id, Amount()), forecast.upload.get(step.id, Amount()))
    if verdict.hit:
        return _Row(step, "hit", verdict.why, "", *moved)
    why = told(verdict.changes, ALL, parts=True) if verbose and verdict.changes else verdict.why
    return _Row(step, "miss", why, str(outlook.effects.get(step.id) or ""), *moved)


def last_line(outlook: Outlook) -> str:
    """`3 to make, 12 hits; 61 MB to download, ~20 MB to upload; here restarts`."""
    from pipeline.reporters.lines import number

    misses = len(outlook.misses)
    hits = number(len(outlook.plan.steps) - misses, "hit")
    if not misses:
        return f"nothing to do: {hits}"
    down, up = totals(outlook.forecast)
    moves = [f"{down} to download" if down.size else "", f"{up} to upload" if up.size else ""]
    effects = [f"{effect.target} {effect.does}" for effect in outlook.effects.values() if effect.does != "nothing"]
    parts = [f"{misses} to make, {hits}", ", ".join(filter(None, moves)), ", ".join(effects)]
    return "; ".join(filter(None, parts))


def totals(forecast: Forecast) -> tuple[Amount, Amount]:
    """Bytes down and up in all."""
    from pipeline.stages.forecast import total

    return total(forecast.download.values()), total(forecast.upload.values())


def as_json(outlook: Outlook) -> dict[str, Any]:
    plan, misses = outlook.plan, len(outlook.misses)
    down, up = totals(outlook.forecast)
    return {
        "manifest": plan.name,
        "to_make": misses,
        "hits": len(plan.steps) - misses,
        "download": _amount(down),
        "upload": _amount(up),
        "notes": list(outlook.forecast.notes),
        "steps": [_step(step, outlook) for step in plan.steps],
    }


def _step(step: Step, outlook: Outlook) -> dict[str, Any]:
    verdict, effect = outlook.plan.verdicts[step.id], outlook.effects.get(step.id)
    value: dict[str, Any] = {
        "step": step.id,
        "kind": step.kind,
        "name": step.name,
        "title": step.title,
        "hit": verdict.hit,
        "why": verdict.why,
        "changes": [
            {"input": change.name, "before": change.before, "now": change.now, "text": words(change)}
            for change in verdict.changes
        ],
        "key": step.key,
        "needs": list(step.needs),
        "download": _amount(outlook.forecast.download.get(step.id)),
        "upload": _amount(outlook.forecast.upload.get(step.id)),
    }
    if effect:
        names = ("does", "state", "revision", "live", "image")
        value["effect"] = {name: getattr(effect, name) for name in names}
        if effect.differences:
            value["effect"]["differences"] = list(effect.differences)
    return value


def _amount(amount: Amount | None) -> dict[str, Any]:
    return {"bytes": amount.size, "exact": amount.exact} if amount else {"bytes": 0, "exact": True}
