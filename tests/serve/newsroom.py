"""A server's database with its queue, book and news, a host and channels in memory, and a clock that is set by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.manifest.model import Secret
from pipeline.noun import noun
from pipeline.serve.book import Book
from pipeline.serve.database import Database
from pipeline.serve.messages import Message
from pipeline.serve.model import Entry, Job, Live, Note, Reason, RepositoryStatus, Tracked
from pipeline.serve.news import News
from pipeline.serve.outbox import Outbox
from pipeline.serve.ports import Request
from pipeline.serve.queue import Queue
from pipeline.serve.settings import Host, Messages, Repository, Settings

PROD = Tracked("models", "manifests/prod.yaml")
STAGING = Tracked("models", "manifests/staging.yaml")
COMMIT = "3f9c1d0" + "0" * 33
LATER = "77ab12e" + "0" * 33
BY_COMMIT = Reason("commit", "commit 3f9c1d0 'Newer model' by Ada", who="Ada")
BY_CLOCK = Reason("schedule", "schedule 0 3 * * 1")
ALL = ("failed", "recovered", "done", "proposed", "approval", "drift", "repository")


@noun
class Told:
    """What a channel got."""

    at: float
    message: Message
    delivery: str


class Channel:
    def __init__(self, room: Newsroom, folds: bool) -> None:
        self._room, self.folds = room, folds
        self.got: list[Told] = []
        self.errors: list[Exception] = []

    def send(self, message: Message, delivery: str) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.got.append(Told(self._room.at, message, delivery))

    @property
    def titles(self) -> list[str]:
        return [told.message.title for told in self.got]


class MemoryHost:
    """A host that keeps what it was told; `errors` are raised first."""

    def __init__(self) -> None:
        self.statuses: list[tuple[str, str, str, str, str]] = []
        self.comments: dict[tuple[int, str], str] = {}
        self.errors: list[Exception] = []
        self.asked = 0

    def _ask(self) -> None:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)

    def status(self, commit: str, state: str, context: str, text: str, url: str) -> None:
        self._ask()
        self.statuses.append((commit, state, context, text, url))

    def comment(self, request: int, key: str, body: str) -> None:
        self._ask()
        self.comments[request, key] = body

    def propose(self, branch: str, into: str, title: str, body: str) -> str:
        raise NotImplementedError

    def requests(self) -> list[Request]:
        raise NotImplementedError

    def url(self, commit: str) -> str:
        return f"https://git.example.com/{commit}"


class Newsroom:
    """`folds` says whether people read the channel 'team'; all that it does is done at once, without threads."""

    def __init__(self, folder: Path, *, folds: bool = False, on: tuple[str, ...] = ALL, secrets: tuple[str, ...] = ()):
        self.at = 1_700_000_000.0
        self.folder, self.folds, self.said = folder, folds, list[str]()
        host = Host("github", "https://api.github.com", "acme/models", Secret("t"))
        self.settings = Settings(
            path=folder / "serve.yaml",
            repositories={
                "models": Repository("models", "https://github.com/acme/models", host=host),
                "plain": Repository("plain", "/srv/git/plain"),
            },
            url="https://serve.example.com",
            messages=(Messages("team", "slack", Secret("https://hooks.example.com/x"), on),),
            secrets=tuple(Secret(one) for one in secrets),
        )
        self.host, self.channel = MemoryHost(), Channel(self, folds)
        self.start()

    def start(self) -> None:
        """As after a kill: what is not in the database is forgotten."""
        self.database = Database(self.folder / "serve.db")
        self.queue, self.book = Queue(self.database, lambda: self.at), Book(self.database)
        self.news = News(self.settings, self.database, self.book, self.queue)
        self.outbox = Outbox(
            self.news,
            self.book,
            {"models": self.host, "plain": None},  # type: ignore[dict-item]
            {"team": self.channel},
            lambda: self.at,
            start=lambda work: work(),
            say=self.said.append,
            url=self.settings.url,
        )

    def step(self, seconds: float = 1.0) -> None:
        self.at += seconds
        self.outbox.do(self.at)

    def until(self, seconds: float) -> None:
        """Calls the duty whenever it is due, for so long."""
        end = self.at + seconds
        while (due := self.outbox.due(self.at)) is not None and due <= end:
            self.at = max(self.at, due)
            self.outbox.do(self.at)
        self.at = end

    # -- what happens -------------------------------------------------------------------------------------------

    def entry(self, manifest: Tracked = PROD, name: str = "prod") -> None:
        self.book.put_entry(Entry(manifest, name, "b" * 40))

    def add(self, action: Any = "run", manifest: Tracked = PROD, reason: Reason = BY_COMMIT, **values: Any) -> Job:
        return self.queue.add(Job(0, manifest, action, reason, **{"commit": COMMIT, **values}))

    def ran(
        self, state: Any, text: str = "", job: Job | None = None, told: Mapping[str, Any] | None = None, **add: Any
    ) -> Job:
        """A job that is added, taken and ended."""
        job = job or self.add(**add)
        while (taken := self.queue.take()) and taken.id != job.id:
            pass
        return self.queue.end(job.id, state, 0 if state == "done" else 3, {"text": text, **(told or {})})

    def is_now(self, state: Any, detail: str = "", **values: Any) -> None:
        before = self.book.repository("models")
        changed = self.at if before.state != state else before.changed
        status = RepositoryStatus("models", state, detail=detail, changed=changed, checked=self.at, **values)
        self.book.put_repository(status)

    def seen(self, state: str = "running", manifest: Tracked = PROD, **values: Any) -> None:
        self.book.put_live(manifest, [Live(manifest, "here", self.at, state, **values)])

    def notes(self) -> list[Note]:
        return self.book.notes(float("inf"))

    def states(self) -> list[tuple[str, str, str]]:
        return [(commit[:7], state, context) for commit, state, context, _, _ in self.host.statuses]
