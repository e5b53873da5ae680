"""`pipeline plan`: says for each step of a run whether it would be done, and why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import (
    MANIFEST_HELP,
    frozen_option,
    image_option,
    manifest_argument,
    output_option,
    set_option,
    verbose_option,
)
from pipeline.cli._shell import Shell
from pipeline.cli._work import Wanted, planned

if TYPE_CHECKING:
    from pipeline.plan.model import Plan

EXAMPLES = """
pipeline plan manifests/prod.yaml
pipeline plan manifests/prod.yaml --output json | jq '.steps[] | select(.hit | not)'
"""


@command_(arguments=MANIFEST_HELP, examples=EXAMPLES)
@manifest_argument
@set_option
@image_option
@frozen_option
@verbose_option
@output_option
@click.pass_obj
def command(shell: Shell, manifest: Path, sets: Mapping[str, str], images: tuple[str, ...], frozen: bool) -> None:
    """Show what a run would do, and why.

    Each step is a hit, or a miss with the change that makes it one. Nothing is written, not even the lock.
    """
    plan = planned(shell, Wanted(manifest, sets, images, frozen))
    if shell.json:
        shell.value(as_json(plan))
    else:
        for line in as_text(plan):
            shell.line(line)


def as_text(plan: Plan) -> list[str]:
    """A line for each step, and one that says how many of each."""
    from pipeline.reporters import lines

    rows = []
    for step in plan.steps:
        verdict = plan.verdicts[step.id]
        rows.append([step.kind, step.name, "hit" if verdict.hit else "miss", lines.titled(step.title), verdict.why])
    hits = sum(verdict.hit for verdict in plan.verdicts.values())
    misses = len(plan.steps) - hits
    last = f"{misses} to make, {lines.number(hits, 'hit')}" if misses else f"nothing to do: {lines.number(hits, 'hit')}"
    return [*lines.table(rows), last]


def as_json(plan: Plan) -> dict[str, Any]:
    steps = [
        {
            "step": step.id,
            "kind": step.kind,
            "name": step.name,
            "title": step.title,
            "hit": plan.verdicts[step.id].hit,
            "why": plan.verdicts[step.id].why,
            "key": step.key,
            "needs": list(step.needs),
        }
        for step in plan.steps
    ]
    hits = sum(step["hit"] is True for step in steps)
    return {"manifest": plan.name, "to_make": len(steps) - hits, "hits": hits, "steps": steps}
