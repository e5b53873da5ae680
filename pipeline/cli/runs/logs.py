"""`pipeline runs logs`: what one run said, all of it or one step."""

from __future__ import annotations

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import output_option
from pipeline.cli._shell import Shell
from pipeline.cli.runs._common import ID_HELP, chosen, journal
from pipeline.errors import UsageError

EXAMPLES = """
pipeline runs logs                       of the newest run
pipeline runs logs 17
pipeline runs logs 17 'layer science'    one step, as 'pipeline runs show' names it
pipeline runs logs 17 science --times
"""

ARGUMENTS = f"""
{ID_HELP}
STEP: a step, or a name that several steps have (science means base, layer and image science)
"""


@command_(arguments=ARGUMENTS, examples=EXAMPLES)
@click.argument("id_", metavar="[ID]", required=False, type=click.IntRange(1))
@click.argument("step", metavar="[STEP]", nargs=-1)
@click.option("--times", is_flag=True, help="Begin each line with its time (UTC).")
@output_option
@click.pass_obj
def command(shell: Shell, id_: int | None, step: tuple[str, ...], times: bool) -> None:
    """Print what a run's steps and commands said.

    Of one step up to 4 MB are kept, of all runs 200 MB, and the logs of the newest 100 runs.
    """
    found = journal(shell)
    run = chosen(found, id_)
    log, wanted = found.log(run.id), " ".join(step)
    if wanted and not any(_is(wanted, one.step) for one in found.steps(run.id)):
        raise UsageError(f"run {run.id} did nothing for '{wanted}'", remedy=f"see 'pipeline runs show {run.id}'")
    lines = (line for line in log.lines() if not wanted or _is(wanted, line.step))
    if shell.json:
        shell.value([{"at": line.at, "step": line.step, "text": line.text} for line in lines])
        return
    if not log.path.exists():
        shell.error_line(f"run {run.id} said nothing, or its log is not kept any more")
    for line in lines:
        head = f"{line.at}  " if times else ""
        name = f"{line.step} | " if line.step and line.step != wanted else ""
        shell.line(f"{head}{name}{line.text}")


def _is(wanted: str, step: str) -> bool:
    return bool(step) and wanted in (step, step.partition(" ")[2])
