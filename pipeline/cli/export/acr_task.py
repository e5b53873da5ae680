"""`pipeline export acr-task`: the bases of a manifest as tasks of Azure's registries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import click

from pipeline.cli._app import command as command_
from pipeline.cli._files import write_text
from pipeline.cli._options import MANIFEST_HELP, manifest_argument, set_option
from pipeline.cli._shell import Shell
from pipeline.cli._work import Wanted, opened
from pipeline.errors import UsageError

EXAMPLES = """
pipeline export acr-task --schedule '0 3 * * *' -o tasks.json    then: az deployment group create -g ml -f tasks.json
pipeline export acr-task --format az | sh                        the same by `az acr task create`
"""


@command_(name="acr-task", arguments=MANIFEST_HELP, examples=EXAMPLES)
@manifest_argument
@click.option("--schedule", "schedules", metavar="CRON", multiple=True, help="By the clock, in UTC. Repeatable.")
@click.option(
    "--base-images",
    type=click.Choice(["runtime", "all", "none"]),
    default="runtime",
    show_default=True,
    help="When an image is new that the last stage starts from, or any.",
)
@click.option("--context", default="", metavar="URL", help="The Git repository; default: this one's origin.")
@click.option("--branch", default="main", show_default=True, help="The branch that is built.")
@click.option("--registry", default="", metavar="NAME", help="The manifest's registry that builds.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["arm", "az"]),
    default="arm",
    show_default=True,
    help="A template, or commands.",
)
@click.option("-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="Where to; default: here.")
@set_option
@click.pass_obj
def command(
    shell: Shell,
    manifest: Path,
    schedules: tuple[str, ...],
    base_images: str,
    context: str,
    branch: str,
    registry: str,
    form: str,
    output: Path | None,
    sets: Mapping[str, str],
) -> None:
    """Write Dockerfile bases as tasks of Azure's registries.

    A task builds by the clock, and whenever the image that it starts from is new; the image is tagged
    with the run's ID and `latest`. Secrets are parameters of the template, or variables of the shell.
    """
    from pipeline.azure import task, tasks
    from pipeline.manifest.cron import cron

    bench = opened(shell, Wanted(manifest, sets))
    found = bench.manifest
    wanted = tasks.Wanted(
        repository=context or _origin(found.root),
        branch=branch,
        folder=found.path.parent.relative_to(found.root).as_posix(),
        schedules=[str(cron(one)) for one in schedules],
        base_images=base_images,
        registry=registry,
    )
    made = tasks.tasks_of(found, bench.files, wanted)
    for name in (entry.name for entry in found.bases.values() if entry.kind != "dockerfile"):
        shell.error_line(f"note: the base {name} is no Dockerfile, and has no task")
    write_text(shell, task.commands(made) if form == "az" else json.dumps(task.template(made), indent=2), output)


def _origin(root: Path) -> str:
    """The address of the Git remote `origin`. UsageError where there is none, or it holds a password."""
    from configparser import ConfigParser, Error

    parser = ConfigParser(strict=False, interpolation=None)
    try:
        parser.read_string((root / ".git/config").read_text(encoding="utf-8"))
        found = parser.get('remote "origin"', "url", fallback="")
    except (OSError, UnicodeDecodeError, Error):
        found = ""
    if not found or ("://" not in found and not found.startswith("git@")):
        raise UsageError("Git names no origin that Azure could fetch", remedy="give its address with --context")
    if "@" in found.partition("://")[2].partition("/")[0] and not found.startswith("ssh://git@"):
        raise UsageError("Git's origin holds a name or a password", remedy="give its address with --context")
    return found
