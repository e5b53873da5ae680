"""What the exports to schedulers share: their options, and the job that a manifest is."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import click

from pipeline.cli._app import command as command_
from pipeline.cli._files import write_text
from pipeline.cli._find import find_manifest
from pipeline.cli._options import MANIFEST_HELP
from pipeline.cli._shell import Shell
from pipeline.errors import UsageError
from pipeline.jobs.model import Job
from pipeline.manifest.cron import cron


def exporting(name: str, help_: str, example: str) -> click.Command:
    """The command `pipeline export NAME`, whose text is that of the module `pipeline.jobs.NAME`."""

    @command_(name=name, help=help_, arguments=MANIFEST_HELP, examples=example)
    @click.argument("manifest", required=False, type=click.Path(path_type=Path))
    @click.option("--schedule", metavar="CRON", help="By the clock, in UTC on a host of Git: '0 3 * * 1'.")
    @click.option("--branch", default="main", show_default=True, help="The branch that is deployed.")
    @click.option("-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="Where to; default: here.")
    @click.pass_obj
    def made(shell: Shell, manifest: Path | None, schedule: str | None, branch: str, output: Path | None) -> None:
        module = import_module(f"pipeline.jobs.{_module(name)}")
        text: Callable[[Job], str] = module.text
        job = _job(shell, manifest, schedule, branch, in_utc=getattr(module, "IN_UTC", False))
        write_text(shell, text(job), output)

    return made


def _module(name: str) -> str:
    return "crontab" if name == "cron" else name.replace("-", "_")


def _job(shell: Shell, manifest: Path | None, schedule: str | None, branch: str, *, in_utc: bool) -> Job:
    """Raises UsageError for what is no schedule, and for a manifest that cannot be read or is outside the project."""
    from pipeline.lock.model import path_of
    from pipeline.manifest.interpolate import needed
    from pipeline.manifest.paths import project_root

    path = manifest or find_manifest(Path.cwd())
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", remedy="name a manifest") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no text", remedy="name a manifest") from error
    whole = path.resolve()
    root = project_root(whole)
    relative = whole.relative_to(root)
    job = Job(
        # Of a file in a crontab, or of a unit, not every character can be a part.
        name=re.sub(r"[^A-Za-z0-9_.@-]+", "-", relative.stem),
        manifest=relative.as_posix(),
        lock=path_of(relative).as_posix(),
        variables=tuple(sorted(needed(text))),
        schedule=cron(schedule) if schedule else None,
        branch=branch,
        folder=str(root),
        program=_program(),
    )
    return job if schedule else _scheduled(job, text, str(path), whole.parent, shell.environ, in_utc=in_utc)


def _program() -> str:
    """This very command, which schedulers, whose PATH is short, find nowhere by its name."""
    called = Path(sys.argv[0])
    beside = Path(sys.executable).with_name("pipeline")
    if called.name == "__main__.py" and beside.is_file():
        return str(beside)
    return str(called.resolve()) if called.name == "pipeline" else "pipeline"


def _scheduled(job: Job, text: str, file: str, folder: Path, environ: Mapping[str, str], *, in_utc: bool) -> Job:
    """With the manifest's own schedule, where it has one."""
    from pipeline.manifest.schedule import written

    found = written(text, file, folder, environ)
    if found is None:
        return job
    fields = cron(found.cron)
    job = replace(job, schedule=fields, timezone=found.timezone, jitter=found.jitter, upgrade=found.upgrade)
    if not in_utc or found.timezone == "UTC":
        return job
    import time

    from pipeline.jobs import utc

    fields, remark = utc.in_utc(fields, found.timezone, time.gmtime().tm_year)
    return replace(job, schedule=fields, timezone="UTC", remark=remark)
