"""What the world is told of a job, a repository or a target that changed: decided here, delivered elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pipeline.noun import noun
from pipeline.serve.approvals import CHANGED
from pipeline.serve.hosts.text import one_line
from pipeline.serve.messages.model import Message
from pipeline.serve.model import Job, RepositoryStatus, State, Tracked
from pipeline.serve.settings import Messages

STATUS_LENGTH = 140
"""Characters of a commit's status that every host shows."""
_SHORT = 7
_HEALTH = ("failed", "recovered", "drift")

StatusState = Literal["pending", "success", "failure", "error"]
_STATES: Mapping[State, StatusState] = {
    "approval": "pending",
    "waiting": "pending",
    "running": "pending",
    "done": "success",
    "failed": "failure",
    "replaced": "error",
    "cancelled": "error",
}


@noun
class Telling:
    """A note to be kept (`Book.tell`)."""

    kind: Literal["status", "comment", "message"]
    key: str
    body: Mapping[str, Any]


@noun
class Name:
    """What a manifest is called, and the server's own address, for links; either may be empty."""

    manifest: str
    server: str

    def job(self, job: Job) -> str:
        return f"{self.server}/jobs/{job.id}" if self.server else ""

    def page(self, path: str) -> str:
        return f"{self.server}{path}" if self.server else ""


def status(job: Job, name: Name, later: Job | None = None) -> Telling | None:
    """The commit's status that a job means; None for one that no commit or pull request asked for. `later` is the job
    that replaced it: of the same commit it has said so itself.
    """
    request = job.asked.get("request")
    if not job.commit or not (job.action == "run" or (job.action == "plan" and request)):
        return None
    if job.state == "replaced" and later is not None and later.commit == job.commit:
        return None
    context = f"pipeline/{name.manifest or job.manifest.path}" + (" (plan)" if job.action == "plan" else "")
    return status_of(job.manifest.repository, job.commit, _STATES[job.state], context, _said(job), name.job(job))


def status_of(repository: str, commit: str, state: StatusState, context: str, text: str, url: str) -> Telling:
    context = one_line(context, 200)
    body = {"repository": repository, "commit": commit, "state": state, "context": context, "url": url}
    text = one_line(text, STATUS_LENGTH)
    return Telling("status", f"{repository}/{commit}/{context}", {**body, "text": text})


def _said(job: Job) -> str:
    if job.state == "running":
        return "running" if job.attempt < 2 else f"running (attempt {job.attempt})"
    if job.state == "approval":
        since = "; ".join(map(str, job.told.get(CHANGED) or ()))
        return f"waits for approval again, for since the last one: {since}" if since else "waits for approval"
    if job.state == "replaced" and job.told.get(CHANGED):
        return first_line(job)
    if job.state == "waiting":
        # One that is tried again says why.
        return first_line(job) or "waits for its turn"
    if job.state == "replaced":
        return f"replaced by job {job.replaced_by}, for a later commit"
    return first_line(job) or (f"failed with exit code {job.exit_code}" if job.state == "failed" else job.state)


def first_line(job: Job) -> str:
    """The first line of what came of a job."""
    return next((line.strip() for line in str(job.told.get("text", "")).splitlines() if line.strip()), "")


# -- messages ---------------------------------------------------------------------------------------------------------


def message(event: str, job: Job, name: Name, count: int = 1, since: str = "") -> Message:
    """`event` of a job: failed (`count` times since a moment), recovered, done, proposed or approval."""
    called = name.manifest or job.manifest.path
    act = "" if job.action == "run" else f" ({job.action})"
    again = f" {count} times since {since}" if count > 1 else ""
    titles = {
        "failed": f"{called}{act} failed{again}",
        "recovered": f"{called}{act} is well again" + (f", after it failed {count} times" if count > 1 else ""),
        "done": f"{called}{act} is done",
        "proposed": f"{called}: a new lock is proposed",
        "approval": f"{called}: {job.action} waits for approval",
    }
    what = (str(job.told.get("text", "")).strip(), str(job.told.get("remedy", "")))
    said = _again(job) if event == "approval" else what
    url = str(job.told.get("url", "")) if event == "proposed" else ""
    at = job.ended or job.created
    text = "\n".join(filter(None, (*said, *_lines(job, event))))[:3000]
    return Message(event, job.manifest.id, titles[event], text, url or name.job(job), at, _facts(job), count)


def _again(job: Job) -> tuple[str, ...]:
    """Why an approval that was given does not hold any more."""
    lines = tuple(map(str, job.told.get(CHANGED) or ()))
    return ("It was approved and not done, for since then:", *lines[:20]) if lines else ()


def _lines(job: Job, event: str) -> tuple[str, ...]:
    lock = job.told.get("lock")
    return tuple(str(line) for line in lock[:20]) if event == "proposed" and isinstance(lock, list | tuple) else ()


def _facts(job: Job) -> dict[str, str]:
    facts = {
        "repository": job.manifest.repository,
        "manifest": job.manifest.path,
        "because": one_line(job.because, 200),
        "by": job.reason.who,
        "commit": job.commit[:_SHORT],
        "job": str(job.id),
    }
    return {name: value for name, value in facts.items() if value}


_REPOSITORIES = {
    "unreachable": "does not answer",
    "diverged": "was forced to a commit that does not follow: nothing is applied",
    "unsigned": "has a commit without a signature that counts: nothing is applied",
    "held": "is held back: what was applied is not known any more, and nothing is run",
    "gone": "is gone: nothing is applied or torn down",
    "broken": "cannot be read",
}


def repository_message(status: RepositoryStatus, server: str) -> Message:
    """That a repository is not as it should be, or that it is again."""
    words = _REPOSITORIES.get(status.state, "is well again")
    url = f"{server}/repositories" if server else ""
    facts = {"repository": status.name, "commit": status.seen[:_SHORT]}
    title = f"repository {status.name} {words}"
    return Message(
        "repository", status.name, title, status.detail, url, status.changed, {k: v for k, v in facts.items() if v}
    )


def drift_message(
    manifest: Tracked, target: str, trouble: Iterable[str], pinned: str, name: Name, at: float
) -> Message:
    """That a target is not as it was made, or that it is again (no `trouble`)."""
    lines = list(trouble)
    called = f"{name.manifest or manifest.path}, {target}"
    title = f"{called}: not as it was made" if lines else f"{called}: as it was made again"
    facts = {"repository": manifest.repository, "manifest": manifest.path, "target": target, "pinned": pinned}
    facts = {key: value for key, value in facts.items() if value}
    event, url = "drift" if lines else "recovered", name.page(f"/manifests/{manifest.id}")
    return Message(event, f"{manifest.id} {target}", title, "\n".join(lines)[:3000], url, at, facts)


def tellings(message: Message, channels: Iterable[Messages], about: str = "") -> list[Telling]:
    """The message for each channel that wants such. One that still waits is replaced by the same again, and that
    something failed by that it is well again; `about` is what both are about, the message's subject if empty.
    """
    kind = "health" if message.event in _HEALTH else message.event
    return [
        Telling("message", f"{one.name}/{kind}/{about or message.subject}", {"channel": one.name, **message.data})
        for one in channels
        if message.event in one.on
    ]


__all__ = [
    "Name",
    "Telling",
    "drift_message",
    "first_line",
    "message",
    "repository_message",
    "status",
    "status_of",
    "tellings",
]
