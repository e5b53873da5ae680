"""What the server knows: its manifests, the jobs that it does for them and why, and what is live where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from pipeline.noun import noun

Action = Literal["run", "plan", "rebuild", "rollback", "lift", "stop"]
"""`run` is `pipeline run`; `plan` says what a run would do (a pull request's, or what waits for approval); `rebuild`
resolves the lock anew and proposes or applies what differs; `rollback` puts an earlier release back and pins it; `lift`
lifts the pin; `stop` ends the services of a manifest that was deleted."""

State = Literal["approval", "waiting", "running", "done", "failed", "replaced", "cancelled"]
"""`approval` waits for somebody's word, `waiting` for its turn. `replaced` by a later job of the same manifest."""

OPEN: tuple[State, ...] = ("approval", "waiting", "running")

Cause = Literal["commit", "pull-request", "base", "packages", "schedule", "drift", "hand", "prune"]


@noun
class Tracked:
    """A manifest: the name of its repository in the server's settings, and its path from that repository's root."""

    repository: str
    path: str

    @property
    def id(self) -> str:
        """`models/manifests/prod.yaml`; the name of a repository has no slash."""
        return f"{self.repository}/{self.path}"

    @staticmethod
    def of(id_: str) -> Tracked:
        repository, _, path = id_.partition("/")
        return Tracked(repository, path)


@noun
class Reason:
    """Why something is done: the cause, in words ("commit 3f9c1d0 'Newer model' by Ada", "schedule 0 3 * * 1", "base
    slim: python:3.11-slim 3f9c… → 77ab…"), where to read more, and who it was.
    """

    cause: Cause
    text: str
    url: str = ""
    who: str = ""


@noun
class Job:
    """One thing to do for one manifest. Times are Unix times in seconds, 0 for not yet.

    `commit` is the full hash it is to be done at, empty for the newest there is when it begins. `asked` has the
    action's own words: {"target", "revision"} of a rollback, {"upgrade": [...], "policy"} of a rebuild, {"request":
    number} of a pull request's plan. `attempt` counts the times it was begun. `told` is what came of it: for people
    `text`, and by action "plan", "lock" (a diff's lines), "url" of a pull request, "run" (the number in the journal).
    A job that waits is not begun before `due`.
    """

    id: int
    manifest: Tracked
    action: Action
    reason: Reason
    state: State = "waiting"
    commit: str = ""
    asked: Mapping[str, Any] = field(default_factory=dict)
    created: float = 0.0
    started: float = 0.0
    ended: float = 0.0
    attempt: int = 0
    exit_code: int | None = None
    told: Mapping[str, Any] = field(default_factory=dict)
    replaced_by: int | None = None
    approved_by: str = ""
    due: float = 0.0

    @property
    def because(self) -> str:
        """The reason in words, with what moved in the lock where that is known: "schedule 0 3 * * 1; base slim: …"."""
        moved = str(self.told.get("moved") or "")
        return f"{self.reason.text}; {moved}" if moved and moved not in self.reason.text else self.reason.text


RepositoryState = Literal["new", "ok", "unreachable", "diverged", "unsigned", "held", "gone", "broken"]
"""`diverged`: the branch was forced to something that does not follow from what was applied; `unsigned`: a commit
without a signature that counts; `held`: what was applied is not known any more; `gone`: no such repository or branch;
`broken`: it is there and cannot be read."""
HELD_BACK: tuple[RepositoryState, ...] = ("diverged", "unsigned", "held")
"""In these a commit waits for somebody to accept it."""


@noun
class RepositoryStatus:
    """How a repository is: the newest commit seen and the newest applied (full hashes), and in words what is wrong with
    it. `checked` is when it was asked last, `changed` when it came to this state. `accepted` is a commit that somebody
    said to apply though it is held back (`HELD_BACK`).
    """

    name: str
    state: RepositoryState = "new"
    seen: str = ""
    applied: str = ""
    detail: str = ""
    checked: float = 0.0
    changed: float = 0.0
    accepted: str = ""


@noun
class Entry:
    """A manifest as it is in the newest commit that was applied: its `name`, how to know whether it changed (`blob`, a
    Git hash), the project's paths that it uses besides itself (files and folders, from the repository's root), what it
    says of its `schedule`, and what is wrong with it. `gone` once a commit has deleted it: `commit` had it last.
    """

    manifest: Tracked
    name: str
    blob: str
    uses: tuple[str, ...] = ()
    schedule: Mapping[str, Any] | None = None
    error: str = ""
    commit: str = ""
    gone: bool = False


@noun
class Live:
    """A target as it was seen: when (Unix time), its state, revision, image (digest) and address, since when it runs,
    what others changed of it (lines), and the revision that it is pinned to.
    """

    manifest: Tracked
    target: str
    seen: float
    state: str
    revision: str = ""
    image: str = ""
    address: str = ""
    since: str = ""
    detail: str = ""
    drift: tuple[str, ...] = ()
    pinned: str = ""


@noun
class Note:
    """Something to tell the world: a commit's status, a comment, a message. Kept until it was delivered, or given up.

    `kind` says who delivers it (status, comment, message), `key` makes a later one take the place of one that still
    waits, and `body` is what the kind needs (JSON types, no secrets).
    """

    id: int
    kind: Literal["status", "comment", "message"]
    key: str
    body: Mapping[str, Any]
    created: float
    due: float
    tries: int = 0
    error: str = ""


__all__ = [
    "OPEN",
    "Action",
    "Cause",
    "Entry",
    "Job",
    "Live",
    "Note",
    "Reason",
    "RepositoryState",
    "RepositoryStatus",
    "State",
    "Tracked",
]
