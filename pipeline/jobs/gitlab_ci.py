"""GitLab CI/CD (YAML syntax reference): a plan for merge requests, a run for commits, a rebuild for schedules."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.jobs.model import Job
from pipeline.jobs.shared import commit, quoted, rebuild, shell

FILE = ".gitlab-ci.yml"


def text(job: Job) -> str:
    """The file's YAML. Variables are the project's CI/CD variables of the same names, which jobs get by themselves."""
    return "\n".join(_lines(job)) + "\n"


def _lines(job: Job) -> Iterator[str]:
    if job.variables:
        yield f"# Set as CI/CD variables of the project: {', '.join(job.variables)}."
    if job.schedule:
        zone = f", time zone {job.timezone}," if job.timezone else ""
        yield f"# Make a pipeline schedule '{job.schedule}'{zone} of {job.branch}, and a project access token"
        yield "# PUSH_TOKEN."
    yield ".pipeline:"
    yield "  image: python:3.11-slim"
    yield "  variables: {PIPELINE_HOME: $CI_PROJECT_DIR/.pipeline-home}"
    yield "  cache:"
    yield f"    key: {{files: [{quoted(job.lock)}]}}"
    yield "    paths: [.pipeline-home]"
    yield f"  before_script: [{quoted(shell('python -m pip install --quiet', job.requirement))}]"
    yield "plan:"
    yield "  extends: .pipeline"
    yield f"  script: [{quoted(shell('pipeline plan', job.manifest))}]"
    yield "  rules:"
    yield '    - {if: $CI_PIPELINE_SOURCE == "merge_request_event"}'
    yield "run:"
    yield "  extends: .pipeline"
    yield f"  resource_group: {quoted(job.name)}"
    yield f"  script: [{quoted(shell('pipeline run', job.manifest))}]"
    yield "  rules:"
    yield '    - {if: $CI_PIPELINE_SOURCE == "schedule", when: never}'
    yield f"    - {{if: {quoted(f'$CI_COMMIT_BRANCH == {quoted(job.branch)}')}}}"
    if job.schedule:
        yield "rebuild:"
        yield "  extends: .pipeline"
        yield f"  resource_group: {quoted(job.name)}"
        yield "  script:"
        yield f"    - {quoted(rebuild(job))}"
        yield "    - command -v git >/dev/null || { apt-get update -qq && apt-get install -qq -y git; }"
        yield '    - git remote set-url origin "https://oauth2:$PUSH_TOKEN@$CI_SERVER_HOST/$CI_PROJECT_PATH.git"'
        yield "    - |"
        yield from (f"      {line}" for line in commit(job))
        yield "  rules:"
        yield '    - {if: $CI_PIPELINE_SOURCE == "schedule"}'
