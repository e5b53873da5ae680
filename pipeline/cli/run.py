"""`pipeline run`: makes everything that a manifest asks for and that is not there yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli._app import command as command_
from pipeline.cli._find import find_manifest
from pipeline.cli._options import (
    MANIFEST_HELP,
    fail_fast_option,
    frozen_option,
    image_option,
    output_option,
    set_option,
    verbose_option,
)
from pipeline.cli._shell import Shell
from pipeline.cli._work import Door, Wanted, performed
from pipeline.errors import UsageError
from pipeline.lock.upgrade import EVERYTHING

if TYPE_CHECKING:
    from pipeline.events import Reporter
    from pipeline.plan.model import Plan, StepKind
    from pipeline.stages.bench import Bench

EXAMPLES = """
pipeline run manifests/prod.yaml
pipeline run manifests/prod.yaml --image scoring --set images.scoring.serve.port=5002
pipeline run --upgrade slim              take the base's newest image first, and go on from there
pipeline run --frozen --output json      in CI: only what the lock says, one event a line
pipeline run --no-deploy                 images for others to deploy, as with 'pipeline render'
pipeline run --plan plan.json            what 'pipeline plan --save plan.json' said, or nothing
"""


@command_(arguments=MANIFEST_HELP, examples=EXAMPLES)
@click.argument("manifest", required=False, type=click.Path(path_type=Path))
@click.option(
    "--plan", "saved", metavar="FILE", type=click.Path(path_type=Path), help="Do exactly what a saved plan says."
)
@click.option(
    "--upgrade",
    metavar="[NAME]",
    multiple=True,
    is_flag=False,
    flag_value=EVERYTHING,
    help="First lock anew this base, layer or package (layer:package), or everything. Repeatable.",
)
@set_option
@image_option
@frozen_option
@fail_fast_option
@verbose_option
@output_option
@click.option("--no-deploy", is_flag=True, help="Build, check, push and tag, and roll nothing out.")
@click.option("--hints/--no-hints", default=None, help="Say how to call what runs; default: when it was just deployed.")
@click.pass_obj
def command(
    shell: Shell,
    manifest: Path | None,
    saved: Path | None,
    upgrade: tuple[str, ...],
    sets: Mapping[str, str],
    images: tuple[str, ...],
    frozen: bool,
    fail_fast: bool,
    hints: bool | None,
    no_deploy: bool,
) -> None:
    """Build, check and deploy what changed.

    Every image is built, pushed by digest and checked before any tag moves, and every tag moves before any
    target is rolled out; a target that does not become healthy gets its last good revision back.
    """
    if upgrade and frozen:
        fact = "--upgrade asks indexes, and --frozen lets nothing be resolved"
        raise UsageError(fact, remedy="take --no-frozen (where CI is set, --frozen is the default)")
    if saved is None:
        manifest, upgrade = _named(manifest, upgrade)
        run(
            shell,
            Wanted(manifest or find_manifest(shell.cwd), sets, images, frozen, upgrade, fail_fast=fail_fast),
            hints,
            deploy=not no_deploy,
        )
        return
    if no_deploy:
        raise UsageError("a saved plan says what is deployed", remedy="leave out --no-deploy")
    if upgrade:
        raise UsageError("a saved plan has its lock", remedy="leave out --upgrade, or plan again")
    if images:
        raise UsageError("a saved plan names its images", remedy="leave out --image")
    run_saved(shell, saved, manifest, sets, hints, fail_fast)


def _named(manifest: Path | None, upgrade: tuple[str, ...]) -> tuple[Path | None, tuple[str, ...]]:
    """`--upgrade prod.yaml` means everything in it: an option that needs no value takes the next word all the same."""
    if manifest is None and upgrade and upgrade[-1].endswith((".yaml", ".yml")):
        return Path(upgrade[-1]), (*upgrade[:-1], EVERYTHING)
    return manifest, upgrade


def run_saved(
    shell: Shell,
    file: Path,
    manifest: Path | None,
    sets: Mapping[str, str],
    hints: bool | None = None,
    fail_fast: bool = False,
) -> None:
    """Performs a saved plan. Raises StalePlan, before anything is done, when it does not hold any more."""
    from pipeline.run import prepare_saved
    from pipeline.stages.saved import read

    plan = read(file)
    if strange := sorted({*sets} - {*plan.asked.withheld}):
        raise UsageError(f"the plan has a value of its own for '{strange[0]}'", remedy="leave out --set, or plan again")
    if lacking := sorted({*plan.asked.withheld} - {*sets}):
        raise UsageError(f"the plan keeps no secrets: it lacks '{lacking[0]}'", remedy=f"add --set {lacking[0]}=…")
    where = manifest or plan.manifest
    if not where.is_file():
        remedy = f"name the manifest: pipeline run MANIFEST --plan {file}"
        raise UsageError(f"the plan's manifest {where} is not there", remedy=remedy)
    wanted = Wanted(where, {**plan.asked.sets, **sets}, plan.asked.images, fail_fast=fail_fast)
    run(shell, wanted, hints, lambda bench, report: prepare_saved(bench, report, plan))


def run(
    shell: Shell,
    wanted: Wanted,
    hints: bool | None = None,
    ready: Callable[[Bench, Reporter], Plan] | None = None,
    deploy: bool = True,
) -> None:
    """Everything, or all but rollouts; afterwards says how to call what was newly deployed, or what runs at all, or
    nothing. `ready` gives the plan in place of a new one.
    """

    def next_steps(plan: Plan, door: Door) -> None:
        live = door.live if hints else door.deployed
        if live and hints is not False and not shell.json:
            from pipeline.cli._hints import hints as lines_of

            for line in lines_of(shell, wanted.manifest, plan, live):
                shell.line(line)

    kinds: tuple[StepKind, ...] = ("base", "layer", "image", "push", "check", "tag")
    performed(shell, wanted, (*kinds, "target") if deploy else kinds, next_steps, ready)
