"""GitHub Actions (workflow syntax): a plan for pull requests, a run for commits, a rebuild by the clock or by hand."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.jobs.model import Job
from pipeline.jobs.shared import commit, quoted, rebuild, shell, utc

FILE = ".github/workflows/pipeline.yml"
IN_UTC = True


def text(job: Job) -> str:
    """The workflow's YAML. Variables come from the repository's secrets, else from its variables."""
    return "\n".join([*_events(job), *_job(job)]) + "\n"


def _events(job: Job) -> Iterator[str]:
    # Unquoted, YAML 1.1 takes `on` for a boolean.
    yield f"name: {quoted(job.name)}"
    yield '"on":'
    for event in ("push", "pull_request"):
        yield f"  {event}:"
        yield f"    branches: [{quoted(job.branch)}]"
    if job.schedule:
        yield f"  schedule: [{{cron: {quoted(str(job.schedule))}}}]   {utc(job)}"
    yield "  workflow_dispatch: {}"
    yield f"permissions: {{contents: {'write' if job.schedule else 'read'}}}"
    yield "concurrency: {group: '${{ github.workflow }}-${{ github.ref }}', cancel-in-progress: false}"


def _job(job: Job) -> Iterator[str]:
    yield "jobs:"
    yield "  pipeline:"
    yield "    runs-on: ubuntu-latest"
    yield "    env:"
    yield "      PIPELINE_HOME: ${{ github.workspace }}/../.pipeline"
    yield from (f"      {name}: ${{{{ secrets.{name} || vars.{name} }}}}" for name in job.variables)
    yield "    steps:"
    yield "      - uses: actions/checkout@v4"
    yield "      - uses: actions/setup-python@v5"
    yield "        with: {python-version: '3.11'}"
    yield "      - uses: actions/cache@v4"
    yield "        with:"
    yield "          path: ${{ github.workspace }}/../.pipeline"
    # In an expression, a quote in a text is written twice.
    lock = job.lock.replace("'", "''")
    key = f"pipeline-${{{{ runner.os }}}}-${{{{ hashFiles('{lock}') }}}}"
    yield f"          key: {quoted(key)}"
    yield "          restore-keys: pipeline-${{ runner.os }}-"
    yield f"      - run: {quoted(shell('python -m pip install --quiet', job.requirement))}"
    yield f"      - run: {quoted(shell('pipeline plan', job.manifest))}"
    yield "        if: github.event_name == 'pull_request'"
    yield f"      - run: {quoted(shell('pipeline run', job.manifest))}"
    yield "        if: github.event_name == 'push' || github.event_name == 'workflow_dispatch'"
    if job.schedule:
        yield f"      - run: {quoted(rebuild(job))}"
        yield "        if: github.event_name == 'schedule'"
        yield "      - run: |"
        yield from (f"          {line}" for line in commit(job))
        yield "        if: github.event_name == 'schedule'"
