"""`pipeline runs`: what was run, when, and what came of it."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli._app import Commands
from pipeline.cli._options import home_option, output_option
from pipeline.cli._shell import Shell

EXAMPLES = """
pipeline runs
pipeline runs --manifest manifests/prod.yaml -n 50
pipeline runs show 17
pipeline runs logs 17 'layer science'
pipeline runs --output json | jq '.[] | select(.outcome == "failed")'
"""


@click.group(
    "runs",
    cls=Commands,
    package=__name__,
    names=("show", "logs"),
    examples=EXAMPLES,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("-n", "--number", "most", metavar="N", type=click.IntRange(1), default=20, help="So many at most; 20.")
@click.option("--manifest", metavar="NAME | PATH", default="", help="Of this manifest only.")
@output_option
@home_option
@click.pass_context
def command(context: click.Context, most: int, manifest: str) -> None:
    """List the newest runs, or show what one did.

    A run that had nothing to do is listed, too. The newest 1000 are kept.
    """
    if context.invoked_subcommand is None:
        listed(context.ensure_object(Shell), most, manifest)


def listed(shell: Shell, most: int, manifest: str) -> None:
    from pipeline.cli.runs._common import as_json, journal, took, when
    from pipeline.reporters.lines import table

    path = str(Path(manifest).absolute()) if manifest.endswith((".yaml", ".yml")) else manifest
    runs = journal(shell).runs(most, path)
    if shell.json:
        shell.value([as_json(run) for run in runs])
        return
    if not runs:
        shell.line("no runs: 'pipeline run' makes one" if not manifest else f"no runs of {manifest}")
        return
    heads = ["ID", "STARTED", "MANIFEST", "COMMAND", "OUTCOME", "MADE", "HITS", "TIME"]
    rows = [
        [
            str(run.id),
            when(run.started),
            run.asked.name,
            run.asked.command.partition(" ")[0],
            run.outcome,
            str(run.counts.made),
            str(run.counts.hits),
            took(run.started, run.ended),
        ]
        for run in runs
    ]
    for line in table(rows, heads, right={0, 5, 6, 7}):
        shell.line(line)
