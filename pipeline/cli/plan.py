"""`pipeline plan`: says for each step of a run whether it would be done, why, and what that would move."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

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
from pipeline.cli._plan_text import Outlook, as_json, as_text, last_line
from pipeline.cli._shell import Shell
from pipeline.cli._work import Proposal, Wanted, proposed

EXAMPLES = """
pipeline plan manifests/prod.yaml
pipeline plan manifests/prod.yaml --check            in CI: exit code 10 when there is something to do
pipeline plan manifests/prod.yaml --save plan.json   for 'pipeline run --plan plan.json' to do exactly that
pipeline plan manifests/prod.yaml --output json | jq '.steps[] | select(.hit | not)'
"""
TO_DO = 10
"""The exit code of --check when a run would do something."""


@command_(arguments=MANIFEST_HELP, examples=EXAMPLES)
@manifest_argument
@click.option("--check", is_flag=True, help=f"Exit with {TO_DO} when there is something to do.")
@click.option("--save", metavar="FILE", type=click.Path(path_type=Path), help="Write the plan, for 'run --plan'.")
@set_option
@image_option
@frozen_option
@verbose_option
@output_option
@click.pass_obj
def command(
    shell: Shell,
    manifest: Path,
    check: bool,
    save: Path | None,
    sets: Mapping[str, str],
    images: tuple[str, ...],
    frozen: bool,
) -> int:
    """Show what a run would do, and why.

    Each step is a hit, or a miss with the changes that make it one (all of them with --verbose), the bytes that
    it moves (~ stands before an estimate), and what it changes on a target. Nothing is written, not even the lock.
    """
    proposal = proposed(shell, Wanted(manifest, sets, images, frozen))
    outlook = outlook_of(proposal)
    if save:
        _save(save, proposal, outlook, images, sets)
    if shell.json:
        shell.value(as_json(outlook))
    else:
        for line in as_text(outlook, shell.verbose):
            shell.line(line)
    return TO_DO if check and outlook.misses else 0


def outlook_of(proposal: Proposal) -> Outlook:
    """With nothing to do, nothing is looked at."""
    from pipeline.stages.forecast import Forecast

    outlook = Outlook(proposal.plan, Forecast())
    if outlook.misses:
        from pipeline.stages.effects import effects
        from pipeline.stages.forecast import forecast

        outlook.forecast = forecast(proposal.bench, proposal.plan, proposal.resolution.images)
        outlook.effects = effects(proposal.bench, proposal.plan)
    return outlook


def _save(file: Path, proposal: Proposal, outlook: Outlook, images: tuple[str, ...], sets: Mapping[str, str]) -> None:
    from pipeline.stages import saved
    from pipeline.stages.locks import merged

    bench = proposal.bench
    asked = saved.asked_of(bench, file, images, sets)
    wanted = merged(bench, proposal.lock, proposal.resolution)
    saved.write(file, saved.to_json(bench, asked, proposal.plan, proposal.lock, wanted, last_line(outlook)))
