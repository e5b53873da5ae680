"""A server without its web: database, queue, repositories, duties and workers, put together for one process."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.errors import StoreError, UsageError
from pipeline.home import Home
from pipeline.http import Http, Transport
from pipeline.reporters.masks import Masks
from pipeline.serve import looks, loss
from pipeline.serve.actions import actions
from pipeline.serve.bases import Bases
from pipeline.serve.book import Book
from pipeline.serve.children import PATIENCE, Children
from pipeline.serve.clocks import Clocks
from pipeline.serve.database import Database
from pipeline.serve.duties import Rota
from pipeline.serve.environment import trigger_of
from pipeline.serve.git.clone import Clone
from pipeline.serve.hosts import api_of
from pipeline.serve.hosts.hooks import Event
from pipeline.serve.keeping import Keeping
from pipeline.serve.leavings import Leavings
from pipeline.serve.messages import channel_of
from pipeline.serve.model import Job
from pipeline.serve.news import News
from pipeline.serve.outbox import Outbox
from pipeline.serve.performing import WAITS, Kit
from pipeline.serve.ports import Duty
from pipeline.serve.queue import Queue
from pipeline.serve.settings import Settings
from pipeline.serve.views_words import log_line
from pipeline.serve.watch import Watch, duty_name
from pipeline.serve.withdrawals import Withdrawals
from pipeline.serve.workers import Workers
from pipeline.store import Store
from pipeline.store.journal import Journal
from pipeline.store.scratch import writing

_LOOKED_AT = 50
"""Runs of the journal among which that of a job is looked for that has just ended."""
_SILENT = 600.0
"""Seconds in which the same failure is not said again."""


class Core:
    """All that a server does, either in threads (`start`) or step by step (`tick`). The first thing that it does is to
    wait until nothing runs any more that an earlier one had started; its jobs then wait again.

    `say` gets lines for the operator. Raises UsageError while another server or `pipeline sync` has the same home, and
    StoreError.
    """

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        now: Callable[[], float] = time.time,
        say: Callable[[str], None] = lambda _line: None,
        transport: Transport | None = None,
        patience: float = PATIENCE,
        waits: tuple[float, ...] = WAITS,
        folder: str = "serve",
    ) -> None:
        self.settings, self.environ, self.now, self._patience = settings, environ, now, patience
        self.masks = Masks(settings.secrets)
        self._say = say
        self._said: dict[str, float] = {}
        self.home = Home.of(environ)
        self.state = self.home.state / folder
        self._guard = _guarded(self.state)
        with writing(self.state):
            self.children = Children(self.state / "children", patience)
            self.buried = self.children.bury()
        self.logs = self.state / "jobs"
        self.lost = ""
        """What there is to say of a database that was there before, and is not any more."""
        self.database = Database(self.state / "serve.db", self.masks.text, self._begun, self.say)
        self.queue, self.book = Queue(self.database, now), Book(self.database)
        self.store = Store(self.home.store, late=True)
        self.journal = Journal(self.store.database, self.home.state / "runs")
        self.gits = {name: Clone(one, self.state, environ) for name, one in settings.repositories.items()}
        self._transport = transport or Http(environ)
        self.hosts = {name: api_of(one.host, self._transport, now) for name, one in settings.repositories.items()}
        self.workers = Workers(self._kit(waits), settings.runs, self._failed)
        self.bases, self.looks = self._looks()
        self.outbox = self._outbox()
        self.withdrawals = Withdrawals(self.book, self.gits, self.hosts, self.say)
        self.rota = Rota(self._duties(), now, self._failed)
        self.listeners: list[Callable[[Job], None]] = []
        """Each is told of every job that changed."""
        self.resumed = self.queue.resume()
        self.queue.heard = self.heard

    def _begun(self, database: Database) -> None:
        self.lost = loss.note(database, self.state, self.logs)

    # -- put together -------------------------------------------------------------------------------------------

    def _kit(self, waits: tuple[float, ...]) -> Kit:
        return Kit(
            settings=self.settings,
            environ=self.environ,
            queue=self.queue,
            book=self.book,
            gits=self.gits,
            hosts=self.hosts,
            commands=self.children,
            logs=self.logs,
            actions=actions(),
            now=self.now,
            run_of=self.run_of,
            waits=waits,
            masks=self.masks,
        )

    def _looks(self) -> tuple[Bases, looks.Looks]:
        kit = looks.Kit(self.settings.repositories, self.gits, self.children, self.book, self.queue, self.environ)
        return Bases(kit), looks.Looks(kit)

    def _outbox(self) -> Outbox:
        news = News(self.settings, self.database, self.book, self.queue)
        channels = {one.name: channel_of(one, self._transport, self.now) for one in self.settings.messages}
        return Outbox(news, self.book, self.hosts, channels, self.now, say=self.say, url=self.settings.url)

    def _duties(self) -> list[Duty]:
        watches = [
            Watch(
                one,
                self.gits[name],
                self.hosts[name],
                self.book,
                self.queue,
                self.say,
                self.settings.repositories,
                self._news,
            )
            for name, one in self.settings.repositories.items()
        ]
        return [
            *watches,
            Clocks(self.database, self.book, self.queue, self.settings.repositories),
            self.bases,
            self.looks,
            self.outbox,
            self.withdrawals,
            Leavings(self.database, self.queue, self.state, self.settings.repositories, self.say),
            Keeping(self.database, self.queue, self.logs, self.settings.keep),
        ]

    # -- at work ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Everything in threads, from now on."""
        self.rota.start()
        self.workers.start()

    def tick(self) -> Job | None:
        """Calls what is due, and performs one job: the job as it ended."""
        self.rota.tick(self.now())
        return self.workers.one()

    def heard(self, job: Job) -> None:
        """A job has changed."""
        self.workers.wake()
        self.rota.wake(Outbox.name)
        if self.looks.heard(job):
            self.rota.wake(self.looks.name)
        if self.withdrawals.heard(job):
            self.rota.wake(self.withdrawals.name)
        for listener in self.listeners:
            listener(job)

    def _news(self) -> None:
        """There is something to tell that no job says."""
        self.rota.wake(Outbox.name)

    def pushed(self, repository: str, _event: Event | None = None) -> None:
        """Has a repository looked at, at once: for what a webhook said, or for somebody who asked."""
        self.rota.wake(duty_name(repository))

    def run_of(self, job: int) -> int | None:
        """The number in the journal of the newest run of a job; None, too, where the store cannot tell."""
        begin = f"{trigger_of(job)}:"
        with contextlib.suppress(StoreError):
            found = (run.id for run in self.journal.runs(_LOOKED_AT) if run.asked.trigger.startswith(begin))
            return next(found, None)
        return None

    def say(self, line: str) -> None:
        """A line for the operator, without secrets, and without what a terminal would obey."""
        self._say(log_line(self.masks.text(line)))

    def _failed(self, name: str, what: str) -> None:
        """Says what failed; what many fail by, such as a full disk, once in a while."""
        now = self.now()
        self._said = {words: at for words, at in self._said.items() if now - _SILENT < at <= now}
        if what not in self._said:
            self._said[what] = now
            self.say(f"{name}: {what}")

    def close(self) -> None:
        """Ends what runs in order. Jobs that ran go on after the next start."""
        self.workers.stop(self._patience + 5.0)
        self.rota.stop(5.0)
        # What is being delivered gets noted; the rest waits for the next start.
        self.outbox.settle(3.0)
        for git in self.gits.values():
            git.close()
        self.database.close()
        os.close(self._guard)


def _guarded(state: Path) -> int:
    """Holds off another server on the same folder, as long as this process lives."""
    with writing(state):
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(state / "guard", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        who = f"process {holder}" if holder.isdigit() else "another process"
        fact = f"{who} serves from {state} already (pipeline serve, or pipeline sync)"
        raise UsageError(fact, remedy="wait for it, end it, or give this one another PIPELINE_HOME") from None
    with writing(state):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


__all__ = ["Core"]
