"""Azure Pipelines (YAML schema reference, "pipeline"): a plan for pull requests, a run for commits, and by clock."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.jobs.model import Job
from pipeline.jobs.shared import commit, quoted, rebuild, shell, utc

FILE = "azure-pipelines.yml"
IN_UTC = True
_SCHEDULED = "eq(variables['Build.Reason'], 'Schedule')"
_REQUESTED = "eq(variables['Build.Reason'], 'PullRequest')"


def text(job: Job) -> str:
    """The pipeline's YAML. Secrets are variables of the pipeline, or of a variable group, with the same names."""
    return "\n".join([*_triggers(job), *_steps(job)]) + "\n"


def _triggers(job: Job) -> Iterator[str]:
    yield f"# {job.manifest}: a plan for pull requests, a run for commits to {job.branch}."
    for event in ("trigger", "pr"):
        yield f"{event}:"
        # No paths: a run knows better than any list which files its images are made of, and does nothing else.
        yield f"  branches: {{include: [{quoted(job.branch)}]}}"
    if job.schedule:
        yield "schedules:"
        yield f"  - cron: {quoted(str(job.schedule))}   {utc(job)}"
        yield "    displayName: take what is new below and rebuild"
        yield f"    branches: {{include: [{quoted(job.branch)}]}}"
        yield "    always: 'true'"


def _steps(job: Job) -> Iterator[str]:
    yield "pool: {vmImage: ubuntu-latest}"
    yield "variables:"
    yield "  PIPELINE_HOME: $(Pipeline.Workspace)/.pipeline"
    yield "steps:"
    yield "  - checkout: self"
    yield f"    persistCredentials: '{'true' if job.schedule else 'false'}'"
    yield "  - task: UsePythonVersion@0"
    yield "    inputs: {versionSpec: '3.11'}"
    yield "  - task: Cache@2"
    yield "    inputs:"
    key = f'pipeline | "$(Agent.OS)" | {job.lock}'
    yield f"      key: {quoted(key)}"
    yield "      restoreKeys: 'pipeline | \"$(Agent.OS)\"'"
    yield "      path: $(PIPELINE_HOME)"
    yield f"  - script: {quoted(shell('python -m pip install --quiet', job.requirement))}"
    yield "    displayName: install pipeline"
    yield from _script(job, shell("pipeline plan", job.manifest), "plan", f"and(succeeded(), {_REQUESTED})")
    wanted = f"not({_REQUESTED})"
    if job.schedule:
        wanted = f"{wanted}, not({_SCHEDULED})"
        yield from _script(job, rebuild(job), "rebuild", f"and(succeeded(), {_SCHEDULED})")
        yield "  - script: |"
        yield from (f"      {line}" for line in commit(job))
        yield "    displayName: commit the new lock"
        yield f"    condition: and(succeeded(), {_SCHEDULED})"
    yield from _script(job, shell("pipeline run", job.manifest), "run", f"and(succeeded(), {wanted})")


def _script(job: Job, command: str, title: str, condition: str) -> Iterator[str]:
    yield f"  - script: {quoted(command)}"
    yield f"    displayName: {title}"
    yield f"    condition: {condition}"
    if job.variables:
        # A secret variable reaches a script only where it is named.
        yield "    env:"
        yield from (f"      {name}: $({name})" for name in job.variables)
