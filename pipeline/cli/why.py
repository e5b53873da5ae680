"""`pipeline why`: tells the chain of reasons why something was made last, or would be made next."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import MANIFEST_HELP, frozen_option, manifest_argument, output_option, set_option
from pipeline.cli._shell import Shell
from pipeline.cli._work import Wanted, proposed
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.plan.chain import Reason
    from pipeline.plan.model import Plan, Step

EXAMPLES = """
pipeline why scoring                           why this image was made, or would be
pipeline why science manifests/prod.yaml       the same of a layer: which package, old and new
pipeline why "push scoring" --output json      a step, by the name that 'pipeline plan' gives it
"""
_ORDER = ("image", "target", "layer", "base", "push", "check", "tag")
_UNITS = ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute"))


@command_(
    arguments=f"NAME: an image, a layer, a base or a target, or a step as 'pipeline plan' names it\n{MANIFEST_HELP}",
    examples=EXAMPLES,
)
@click.argument("name")
@manifest_argument
@set_option
@frozen_option
@output_option
@click.pass_obj
def command(shell: Shell, name: str, manifest: Path, sets: Mapping[str, str], frozen: bool) -> None:
    """Say why something was made, or would be made.

    What would be made is told with the reasons of the next build, and what is there with those of the last
    one: down to the package, the file and the variable, each old and new.
    """
    from pipeline.plan.chain import chain, lines

    proposal = proposed(shell, Wanted(manifest, sets, frozen=frozen))
    plan, database = proposal.plan, proposal.bench.store.database
    reasons = [
        chain(step, plan, lambda id_: database.lineage(f"{plan.name} {id_}")) for step in named(plan, name, manifest)
    ]
    if shell.json:
        shell.value([as_json(reason) for reason in reasons])
        return
    now = time.time()
    for reason in reasons:
        for line in lines(reason, lambda at: ago(at, now)):
            shell.line(line)


def named(plan: Plan, name: str, manifest: Path) -> list[Step]:
    """The steps that a name means: a step's id; else an image, a target, a layer or a base with all its parts.

    Raises UsageError for no step.
    """
    if exact := [step for step in plan.steps if step.id == name]:
        return exact
    for kind in _ORDER:
        if found := [step for step in plan.steps if step.kind == kind and _entry(step.name) == name]:
            return found
    from pipeline.manifest.words import suggestion

    names = _names(step for step in plan.steps)
    raise UsageError(f"{manifest.name} has no step '{name}'", remedy=suggestion(name, names, "there are"))


def _entry(name: str) -> str:
    """The manifest's name for a step's: without its part, its platform, and what it is on."""
    return name.partition(" on ")[0].partition("@")[0].partition("/")[0]


def _names(steps: Iterable[Step]) -> list[str]:
    return list(dict.fromkeys(_entry(step.name) for step in steps))


def ago(at: float, now: float) -> str:
    """A time for people: how long ago, and when (UTC)."""
    passed = max(0.0, now - at)
    text = "just now"
    for seconds, unit in _UNITS:
        if passed >= seconds:
            count = int(passed // seconds)
            text = f"{count} {unit}{'s' * (count != 1)} ago"
            break
    return f"{text}, {time.strftime('%Y-%m-%d %H:%M', time.gmtime(at))} UTC"


def as_json(reason: Reason) -> dict[str, Any]:
    """A link with what lies below it; `made` in seconds since 1970."""
    from dataclasses import asdict

    return asdict(reason)
