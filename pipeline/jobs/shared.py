"""What the jobs of hosts with Git have in common."""

from __future__ import annotations

import json
import shlex

from pipeline.jobs.model import Job

_COMMIT = """\
git diff --quiet -- {lock} && exit 0
git config user.name pipeline
git config user.email pipeline@localhost
git commit --quiet -m "Lock what is new below" -- {lock}
git push --quiet origin HEAD:{branch}"""


def quoted(text: str) -> str:
    """A scalar that YAML 1.1 and 1.2 read as this text: JSON's strings are YAML's (YAML 1.2.2, 1.3)."""
    return json.dumps(text, ensure_ascii=False)


def shell(command: str, manifest: str) -> str:
    """A line of a shell: the command with the manifest's path as one word."""
    return f"{command} {shlex.quote(manifest)}"


def rebuild(job: Job) -> str:
    """The line that takes what is new and rebuilds."""
    return shell(shlex.join(["pipeline", *job.rebuild]), job.manifest)


def utc(job: Job) -> str:
    """A comment on the schedule."""
    return f"# UTC: {job.remark}" if job.remark else "# UTC"


def commit(job: Job) -> list[str]:
    """Lines of a shell that commit the lock that a rebuild has written: else the next commit's run would go back."""
    return _COMMIT.format(lock=shlex.quote(job.lock), branch=shlex.quote(job.branch)).splitlines()
