"""What the web's pages and API are given: the server's values and collaborators, each an argument."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any

from pipeline.home import Home
from pipeline.noun import noun
from pipeline.serve.book import Book
from pipeline.serve.database import Database
from pipeline.serve.model import Tracked
from pipeline.serve.queue import Queue
from pipeline.serve.settings import Repository, Settings


@noun
class Health:
    """How a duty is: its name, whether it did well when it was called last, when that was (Unix time, 0 for not yet),
    and what went wrong.
    """

    name: str
    ok: bool
    at: float = 0.0
    error: str = ""


@noun
class Revision:
    """A release that a target can be put back to; `marks` are "live" and "pinned"."""

    revision: str
    image: str
    marks: tuple[str, ...] = ()


@noun
class Rates:
    """How much each may ask, in calls a minute: tries to sign in (an address), the API and pages (a person), webhooks
    (a repository). A bucket holds a minute's worth, so that a page's burst is no trouble.
    """

    sign_in: float = 10.0
    calls: float = 600.0
    hooks: float = 120.0


Told = tuple[str, str]
"""What a webhook tells of: a branch and its new commit, both empty where it only says to look."""


@noun
class Parts:
    """`key` signs sessions and forms. `hook(repository, headers, body)` reads a webhook: what it tells, None where that
    concerns nobody here; it raises UsageError for one without a right signature. `pushed(repository, branch, commit)`
    has the repository looked at, at once. `halt(job)` ends a running job, False where it does not run here.
    `revisions(manifest, target)` is what can be put back. `wake` calls a duty by its name. `health` is of all duties.
    """

    settings: Settings
    database: Database
    queue: Queue
    book: Book
    home: Home
    key: bytes
    hook: Callable[[Repository, Mapping[str, str], bytes], Told | None] = lambda _repository, _headers, _body: None
    pushed: Callable[[str, str, str], None] = lambda _repository, _branch, _commit: None
    halt: Callable[[int], bool] = lambda _job: False
    revisions: Callable[[Tracked, str], Sequence[Revision]] = lambda _manifest, _target: ()
    wake: Callable[[str], None] = lambda _name: None
    health: Callable[[], Sequence[Health]] = lambda: ()
    metrics: Any = None
    now: Callable[[], float] = time.time
    rates: Rates = field(default_factory=Rates)


__all__ = ["Health", "Parts", "Rates", "Revision", "Told"]
