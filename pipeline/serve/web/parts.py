"""What the web's pages and API are given: the server's values and collaborators, each an argument."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field

from pipeline.home import Home
from pipeline.noun import noun
from pipeline.serve.book import Book
from pipeline.serve.database import Database
from pipeline.serve.hosts.hooks import Event, Nothing
from pipeline.serve.metrics import Health, Metrics
from pipeline.serve.model import Tracked
from pipeline.serve.queue import Queue
from pipeline.serve.settings import Repository, Settings
from pipeline.serve.views import Views


@noun
class Revision:
    """A release that a target can be put back to; `marks` are "live" and "pinned"."""

    revision: str
    image: str
    marks: tuple[str, ...] = ()


@noun
class Rates:
    """How much each may ask, in calls a minute: tries to sign in (an address), the API and pages (a person), webhooks
    (a repository; of wrong ones, an address). A bucket holds a minute's worth, so that a page's burst is no trouble.
    """

    sign_in: float = 10.0
    calls: float = 1200.0
    hooks: float = 120.0


@noun
class Parts:
    """`key` signs sessions and forms. `hook(repository, headers, body)` reads a webhook (headers by lower-case name);
    it raises hooks.Refused for one without a right signature. `pushed(repository, event)` has the repository looked at,
    at once, for what a webhook said or for somebody who asked. `halt(job)` ends a running job, False where it does not
    run here. `revisions(manifest, target)` is what can be put back. `wake` calls a duty by its name. `health` is of all
    duties.
    """

    settings: Settings
    database: Database
    queue: Queue
    book: Book
    home: Home
    key: bytes
    views: Views
    metrics: Metrics
    hook: Callable[[Repository, Mapping[str, str], bytes], Event] = lambda _repository, _headers, _body: Nothing("off")
    pushed: Callable[[str, Event], None] = lambda _repository, _event: None
    halt: Callable[[int], bool] = lambda _job: False
    revisions: Callable[[Tracked, str], Sequence[Revision]] = lambda _manifest, _target: ()
    wake: Callable[[str], None] = lambda _name: None
    health: Callable[[], Sequence[Health]] = lambda: ()
    now: Callable[[], float] = time.time
    rates: Rates = field(default_factory=Rates)


__all__ = ["Health", "Parts", "Rates", "Revision"]
