"""`pipeline gc`: removes what nothing needs any more."""

from __future__ import annotations

import re
import time

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import output_option
from pipeline.cli._shell import Shell

EXAMPLES = """
pipeline gc --dry-run                  what would go, and how much
pipeline gc                            what was not needed for a week
pipeline gc --older 0s                 all that is not needed
pipeline gc --older 30d --keep 20GB    a month's, and then the oldest until 20 GB are left
"""

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)
_WEEK = 604800.0


def _age(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    found = _AGE.fullmatch(value.strip().lower())
    if value.strip() == "0":
        return 0.0
    if not found:
        raise click.BadParameter(f"'{value[:40]}' is no age: write it as in 30d, 12h or 0s")
    return float(found[1]) * _SECONDS[found[2]]


def _bytes(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    found = _SIZE.fullmatch(value.strip())
    if not found:
        raise click.BadParameter(f"'{value[:40]}' is no size: write it as in 20GB or 500MB")
    base = 1024 if found[3] else 1000
    return int(float(found[1]) * base ** ("kmgt".index(found[2].lower()) + 1 if found[2] else 0))


@command_(examples=EXAMPLES)
@click.option(
    "--older", metavar="AGE", callback=_age, help="What was not needed for so long: 30d, 12h, 0s. Default: 7d."
)
@click.option(
    "--keep", metavar="SIZE", callback=_bytes, help="The oldest that is not needed, until the store has this size."
)
@click.option(
    "--revisions",
    type=click.IntRange(0),
    default=3,
    show_default=True,
    help="Keep so many of the last revisions of each target.",
)
@click.option("--dry-run", is_flag=True, help="Remove nothing, and say what would go.")
@click.option(
    "--wait", type=click.FloatRange(0), default=60.0, show_default=True, help="Seconds to wait for others that plan."
)
@click.option("-v", "--verbose", is_flag=True, help="Name each thing that goes.")
@output_option
@click.pass_obj
def command(
    shell: Shell, older: float | None, keep: int | None, revisions: int, dry_run: bool, wait: float, verbose: bool
) -> None:
    """Remove what nothing needs any more.

    Needed is what manifests, names and tags of images, services and runs at work stand on. With --keep alone, age does
    not count.
    """
    from pipeline.cli._gc_told import to_json, told
    from pipeline.stages.collect import collect
    from pipeline.store import Store, reserve
    from pipeline.store.collect import Limits

    if older is None:
        older = _WEEK if keep is None else None
    before = 0.0 if older is None else time.time() - older
    reserve.use(shell.home.store)
    store = Store(shell.home.store)
    done = collect(shell.home, store, Limits(before, keep, revisions), wait=wait, dry_run=dry_run)
    if shell.json:
        shell.value(to_json(done, dry_run))
        return
    for line in told(done, dry_run, verbose, keep):
        shell.line(line)
