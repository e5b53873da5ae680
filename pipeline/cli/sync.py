"""`pipeline sync`: one pass of what `pipeline serve` does, for a cron job or a CI runner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import output_option
from pipeline.cli._shell import Shell
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.serve.core import Core
    from pipeline.serve.model import Job, RepositoryStatus
    from pipeline.serve.once import Pass
    from pipeline.serve.settings import Settings

EXAMPLES = """
pipeline sync serve.yaml                                 as the server does it, once
pipeline sync serve.yaml --repository models             look at this one only
pipeline sync https://git.example.com/acme/models.git --token-from GIT_TOKEN
pipeline sync . --branch HEAD --folder deploy            what is checked out here, as in CI
"""
_SHORTEST = 7
ARGUMENTS = """
SOURCE: the server's settings, or the address or folder of one repository; default: serve.yaml
"""


@command_(arguments=ARGUMENTS, examples=EXAMPLES)
@click.argument("source", required=False)
@click.option("--repository", "names", metavar="NAME", multiple=True, help="Look at this repository only. Repeatable.")
@click.option("--branch", help="Of one repository: the branch to apply; default: main.")
@click.option("--folder", "folders", metavar="DIR", multiple=True, help="Where its manifests are; default: manifests.")
@click.option("--username", help="Who signs in for Git over HTTPS.")
@click.option("--token-from", "variable", metavar="NAME", help="The environment variable that has the token for it.")
@click.option("--retry", is_flag=True, help="Run again what failed when it was run last.")
@click.option("--accept", "accepted", metavar="COMMIT", default="", help="Apply this one, though forced or not signed.")
@output_option
@click.pass_obj
def command(
    shell: Shell,
    source: str | None,
    names: tuple[str, ...],
    branch: str | None,
    folders: tuple[str, ...],
    username: str | None,
    variable: str | None,
    retry: bool,
    accepted: str,
) -> int:
    """Do once what a server does with repositories and clocks.

    It looks at them, does what follows, and tells it.
    What is known of the last time is kept in PIPELINE_HOME: only what commits changed since then is run. The exit
    code is the worst of all manifests'; 4 where a repository is out of reach.
    """
    given = {"--branch": branch, "--folder": folders, "--username": username, "--token-from": variable}
    if source and not Path(source).is_file():
        if names:
            raise UsageError("--repository names one of the server's settings", remedy="leave it out")
        settings = _one(shell, source, branch or "main", folders or ("manifests",), username or "", variable or "")
        return _sync(shell, settings, (), f"sync/{_slug(settings)}", retry, accepted)
    if wrong := [option for option, value in given.items() if value]:
        raise UsageError(f"{wrong[0]} is for the address of one repository", remedy="set it in the server's settings")
    from pipeline.cli.serve import read_settings

    return _sync(shell, read_settings(shell, Path(source) if source else None), names, "serve", retry, accepted)


def _one(shell: Shell, source: str, branch: str, folders: tuple[str, ...], username: str, variable: str) -> Settings:
    """Settings for one repository, whose manifests get this environment."""
    from pipeline.manifest.model import Secret
    from pipeline.serve import addresses
    from pipeline.serve.settings import Repository, Settings

    if flaw := addresses.flaw(source) or addresses.absent(source, shell.cwd):
        if addresses.is_path(source):
            there = "name the server's settings, or a repository's address or folder"
            raise UsageError(f"there is no file or folder {source}", remedy=there)
        raise UsageError(flaw[0], remedy=flaw[1])
    if variable and not shell.environ.get(variable):
        raise UsageError(f"the environment variable {variable} is not set", remedy=f"export {variable}=...")
    token = Secret(shell.environ[variable]) if variable else None
    shell.masks.add([token] if token else [])
    own = {name: value for name, value in shell.environ.items() if name != variable and name != "PIPELINE_HOME"}
    url = addresses.normal(source, shell.cwd.absolute())
    repository = Repository(
        name=Path(url.rstrip("/").replace(":", "/")).name.removesuffix(".git") or "repository",
        url=url,
        branch=branch,
        folders=tuple("/".join(part for part in one.split("/") if part not in ("", ".")) or "." for one in folders),
        username=username or ("pipeline" if token else ""),
        token=token,
        environment=own,
        requests=False,
    )
    settings: Settings = Settings(
        path=Path(source), repositories={repository.name: repository}, secrets=(token,) if token else ()
    )
    return settings


def _slug(settings: Settings) -> str:
    """What tells one repository's folder from others'."""
    from hashlib import sha256

    ((name, one),) = settings.repositories.items()
    return f"{name}-{sha256(json.dumps([one.url, one.branch, *one.folders]).encode()).hexdigest()[:12]}"


def _sync(shell: Shell, settings: Settings, names: tuple[str, ...], folder: str, retry: bool, accepted: str) -> int:
    import time

    from pipeline.serve.core import Core
    from pipeline.serve.once import run_once

    if unknown := [name for name in names if name not in settings.repositories]:
        from pipeline.manifest.words import suggestion

        hint = suggestion(unknown[0], settings.repositories, label="there are")
        raise UsageError(f"the settings have no repository '{unknown[0]}'", remedy=hint)
    core = Core(settings, shell.environ, time.time, lambda _line: None, folder=folder)
    try:
        if accepted:
            _accept(core, names or tuple(settings.repositories), accepted)
        result = run_once(core, names or tuple(settings.repositories), lambda job: _tell_job(shell, job), retry)
    finally:
        core.close()
    return _tell(shell, result)


def _accept(core: Core, names: tuple[str, ...], commit: str) -> None:
    """Lets a commit through that the last pass has held back."""
    from pipeline.serve.model import HELD_BACK
    from pipeline.serve.watch import accept

    if len(commit) < _SHORTEST:
        raise UsageError(f"--accept needs {_SHORTEST} characters of the commit's hash", remedy="or all of it")
    held = [one for one in map(core.book.repository, names) if one.state in HELD_BACK]
    found = next((one for one in held if one.seen.startswith(commit)), None)
    if found is None:
        waits = ", ".join(f"{one.seen[:12]} of {one.name}" for one in held)
        remedy = f"what waits is {waits}" if waits else "sync without it, and see how the repository is"
        raise UsageError(f"nothing waits for {commit} to be accepted", remedy=remedy)
    accept(core.book, found.name, found.seen)
    core.book.audit(core.now(), "pipeline sync", f"accept {found.seen} of {found.name}")


# -- what is said -----------------------------------------------------------------------------------------------------


def _tell_job(shell: Shell, job: Job) -> None:
    from pipeline.serve.views_words import log_line

    if shell.json:
        facts = {"event": "job", "id": job.id, "manifest": job.manifest.id, "action": job.action, "state": job.state}
        more = {"reason": job.reason.text, "commit": job.commit, "exit_code": job.exit_code, "told": dict(job.told)}
        _event(shell, {**facts, **more})
        return
    said = _said(job)
    state = "" if job.state == "done" else f"{job.state}: "
    shell.line(log_line(f"{job.action:<8}  {job.manifest.id}  {state}{said or 'done'}"))
    shell.line(log_line(f"{'':<8}  because of {job.reason.text}"))


def _tell(shell: Shell, result: Pass) -> int:
    from pipeline.serve.views_words import log_line

    for one in result.repositories:
        _tell_repository(shell, one)
    for trouble in result.troubles:
        shell.error_line(log_line(f"error: {trouble.name}: {trouble.error}"))
    if shell.json:
        names = ("id", "action", "state")
        left = [{**{name: getattr(job, name) for name in names}, "manifest": job.manifest.id} for job in result.left]
        failed = [{"id": job.id, "manifest": job.manifest.id, "told": dict(job.told)} for job in result.failed]
        counts = {"exit_code": result.exit_code, "untold": result.untold}
        _event(shell, {"event": "end", **counts, "left": left, "failed": failed})
        return result.exit_code
    for job in result.left:
        why = "waits for approval" if job.state == "approval" else "is tried again by the next sync"
        said = _said(job)
        shell.line(log_line(f"{job.action:<8}  {job.manifest.id}  {why}" + (f": {said}" if said else "")))
    for job in result.failed:
        said = _said(job)
        line = f"error: {job.manifest.id} has failed before (try it again with --retry): {said}"
        shell.error_line(log_line(line))
    if result.untold:
        shell.line(f"{result.untold} notes could not be delivered yet: the next sync tries again")
    shell.line(_summary(result, shell.clock() - shell.started))
    return result.exit_code


def _said(job: Job) -> str:
    text, remedy = str(job.told.get("text", "")).strip(), str(job.told.get("remedy", ""))
    return f"{text} ({remedy})" if remedy else text


def _tell_repository(shell: Shell, one: RepositoryStatus) -> None:
    from pipeline.serve.views_words import log_line

    if shell.json:
        facts = {"state": one.state, "applied": one.applied, "seen": one.seen, "detail": one.detail}
        _event(shell, {"event": "repository", "name": one.name, **facts})
    elif one.state == "ok":
        more = f"; {one.detail}" if one.detail else ""
        shell.line(log_line(f"{'git':<8}  {one.name}  at {one.applied[:7]}{more}"))
    else:
        shell.error_line(log_line(f"error: repository {one.name} is {one.state}: {one.detail}"))


def _summary(result: Pass, seconds: float) -> str:
    counts: dict[str, int] = {}
    for job in result.ended:
        counts[job.state] = counts.get(job.state, 0) + 1
    none = "nothing done" if result.exit_code else "nothing to do"
    told = ", ".join(f"{number} {state}" for state, number in sorted(counts.items())) or none
    return f"synced in {seconds:.1f} s: {told}"


def _event(shell: Shell, value: dict[str, Any]) -> None:
    shell.line(json.dumps(shell.masks.value(value), ensure_ascii=shell.ascii_only, default=str))
