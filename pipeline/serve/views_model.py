"""What the dashboard and the API show: read models, plain values that are JSON when told by `dataclasses.asdict`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from pipeline.noun import noun
from pipeline.serve.model import Job, RepositoryState
from pipeline.serve.views_model_images import ImageRow, ImageView, LayerView

Standing = Literal["broken", "failed", "down", "drift", "approval", "running", "waiting", "ok", "new", "gone"]
"""How a manifest is, the worst first: it cannot be read; its last job failed; a target does not run; a target was
changed by others; a job waits for approval, is under way, or waits for its turn; all is well; nothing was done yet; a
commit has deleted it."""

STANDINGS: tuple[Standing, ...] = (
    *("broken", "failed", "down", "drift", "approval", "running", "waiting", "ok", "new", "gone"),
)

StepState = Literal["waiting", "running", "hit", "made", "failed", "skipped", "stopped"]
"""`stopped`: under way when its run was interrupted or killed."""


@noun
class JobRow:
    """A job in a list. Times are Unix times in seconds, 0 for not yet; `text` says what came of it; `run` is its number
    in the journal, 0 for none; `due` is when one that waits is tried again.
    """

    id: int
    manifest: str
    action: str
    state: str
    cause: str
    reason: str
    url: str
    who: str
    commit: str
    created: float
    started: float
    ended: float
    attempt: int
    text: str = ""
    run: int = 0
    approved_by: str = ""
    replaced_by: int | None = None
    due: float = 0.0

    @staticmethod
    def of(job: Job) -> JobRow:
        reason, run = job.reason, job.told.get("run")
        return JobRow(
            *(job.id, job.manifest.id, job.action, job.state, reason.cause, job.because, reason.url, reason.who),
            *(job.commit, job.created, job.started, job.ended, job.attempt, str(job.told.get("text", ""))),
            *(run if isinstance(run, int) else 0, job.approved_by, job.replaced_by),
            due=job.due if job.state == "waiting" else 0.0,
        )


@noun
class JobsPage:
    """Jobs, the newest first; `before` is for the next page, None after the last."""

    jobs: tuple[JobRow, ...]
    before: int | None = None


@noun
class TargetView:
    """A target as it was seen last, at `seen`; `since` (Unix time, 0 unknown) is when what is live began to run, and
    `reason` why, by the job that made it so (`job`, 0 for none that is known).
    """

    target: str
    state: str
    revision: str
    image: str
    address: str
    since: float
    seen: float
    detail: str = ""
    drift: tuple[str, ...] = ()
    pinned: str = ""
    cause: str = ""
    reason: str = ""
    job: int = 0


@noun
class ManifestRow:
    """A manifest in the overview. `next` is when its schedule is due (Unix time, 0 for never)."""

    id: str
    repository: str
    path: str
    name: str
    state: Standing
    commit: str
    error: str = ""
    gone: bool = False
    schedule: str = ""
    next: float = 0.0
    targets: tuple[TargetView, ...] = ()
    last: JobRow | None = None
    open: tuple[JobRow, ...] = ()


@noun
class ManifestsPage:
    """Manifests, trouble first, from the `skip`-th of `total` on; `counts` are of all by their standing, before those
    of one were asked for.
    """

    rows: tuple[ManifestRow, ...]
    total: int
    skip: int
    counts: Mapping[Standing, int]


@noun
class RepositoryView:
    """A watched repository: how it is (`words`: for people, with what to do), and how many manifests it has."""

    name: str
    url: str
    branch: str
    folders: tuple[str, ...]
    state: RepositoryState
    words: str
    seen: str = ""
    applied: str = ""
    detail: str = ""
    checked: float = 0.0
    changed: float = 0.0
    accepted: str = ""
    manifests: int = 0
    poll: float = 0.0


@noun
class ManifestView:
    """All of a manifest: as in the overview, its jobs, its repository, and its images in the store; `unread` says why
    these cannot be read.
    """

    row: ManifestRow
    jobs: JobsPage
    repository: RepositoryView | None
    images: tuple[ImageRow, ...] = ()
    unread: str = ""


@noun
class AttemptView:
    """A try that failed: its number (0: of a request that the step makes), when, the pause after it in seconds, why."""

    number: int
    at: float
    wait: float
    error: str


@noun
class StepView:
    """A step of a run. `needs` are the steps it comes after. Of kind "" it is a point between a crowd and a crowd."""

    id: str
    kind: str
    name: str
    title: str
    state: StepState
    started: float = 0.0
    ended: float = 0.0
    seconds: float = 0.0
    size: int = 0
    why: str = ""
    error: str = ""
    said: str = ""
    needs: tuple[str, ...] = ()
    attempts: tuple[AttemptView, ...] = ()


@noun
class RunView:
    """A run: from its job's log, or from the journal (`id`, 0 where it is not known there).

    `outcome`: "" while it goes on, done, failed, stopped, or the journal's words. `locked` are the lock's changes.
    """

    id: int
    manifest: str
    name: str
    outcome: str
    started: float
    ended: float
    steps: tuple[StepView, ...]
    command: str = ""
    trigger: str = ""
    continues: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    size: int = 0
    error: str = ""
    remedy: str = ""
    place: str = ""
    locked: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    images: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, str] = field(default_factory=dict)
    job: int = 0


@noun
class JobView:
    """All of a job. `plan` and `lock` are what it would do and what would move in the lock (lines); `changed` is why it
    waits for approval again after it was approved.
    """

    row: JobRow
    exit_code: int | None
    target: str = ""
    revision: str = ""
    request: int = 0
    plan: tuple[str, ...] = ()
    lock: tuple[str, ...] = ()
    link: str = ""
    run: RunView | None = None
    changed: tuple[str, ...] = ()


@noun
class LogLine:
    """A line of a log: when it was said (Unix time, 0 unknown), by which step ("" for none), and what it is about:
    said, step (it begins, ends), warning, error, or lock.
    """

    at: float
    step: str
    text: str
    about: Literal["said", "step", "warning", "error", "lock"] = "said"


@noun
class LogPage:
    """Lines of a log; `next` is where the following ones begin (a byte offset), `more` whether there are any now."""

    lines: tuple[LogLine, ...]
    next: int
    more: bool = False


__all__ = [
    "STANDINGS",
    "AttemptView",
    "ImageRow",
    "ImageView",
    "JobRow",
    "JobView",
    "JobsPage",
    "LayerView",
    "LogLine",
    "LogPage",
    "ManifestRow",
    "ManifestView",
    "ManifestsPage",
    "RepositoryView",
    "RunView",
    "Standing",
    "StepState",
    "StepView",
    "TargetView",
]
