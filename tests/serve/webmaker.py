"""The web application over a database of its own, for tests: with repositories, manifests, jobs, and what is live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from pipeline.home import Home
from pipeline.manifest.model import Secret
from pipeline.reporters.masks import Masks
from pipeline.serve.book import Book
from pipeline.serve.database import Database
from pipeline.serve.hosts import Receiver
from pipeline.serve.hosts.hooks import Event
from pipeline.serve.metrics import Health, Metrics
from pipeline.serve.model import Entry, Job, Live, Reason, RepositoryStatus, Tracked
from pipeline.serve.queue import Queue
from pipeline.serve.settings import Access, Host, Repository, Settings, Token
from pipeline.serve.views import Views
from pipeline.serve.views_images import Images
from pipeline.serve.web.app import app
from pipeline.serve.web.parts import Parts, Rates, Revision
from pipeline.serve.web.sessions import session_key
from pipeline.store import Store
from pipeline.store.journal import Journal

ACT, LOOK, HOOK = "act-6f1c2f0a9b3d4e5f", "look-8a7b6c5d4e3f2a1b", "It's a Secret to Everybody"
PROD = Tracked("models", "manifests/prod.yaml")
THERE = (Revision("77ab", "sha256:77", ("live",)), Revision("3f9c", "sha256:3f"))
COMMIT = "3f9c1d0" + "0" * 33
TOKENS = (Token("ci", "act", Secret(ACT)), Token("screen", "look", Secret(LOOK)))
LOOSE = Rates(sign_in=1e6, calls=1e6, hooks=1e6)


class Web:
    """`client` asks it; what it asks of others is written down: `pushed`, `halted`."""

    def __init__(self, folder: Path, access: Access | None = None, **values: Any) -> None:
        self.time = 1_800_000_000.0
        self.pushed: list[tuple[str, Event]] = []
        self.halted: list[int] = []
        self.health: list[Health] = [Health("watch", True, self.time)]
        rates, self.look = values.pop("rates", LOOSE), values.pop("look", 1.0)
        host = Host("github", "https://api.github.com", "acme/models", None, Secret(HOOK))
        models = Repository("models", "https://github.com/acme/models.git", host=host)
        held = {"models": models, "plain": Repository("plain", "/srv/git/plain")}
        access = Access(tokens=TOKENS) if access is None else access
        self.settings = Settings(**{"path": folder / "serve.yaml", "repositories": held, "access": access, **values})
        self.parts = self._parts(folder, rates)
        self.app = app(self.parts)
        self.client = self.at()

    def _parts(self, folder: Path, rates: Rates) -> Parts:
        home = Home(folder / "store", folder / "cache", folder / "state")
        masks = Masks(self.settings.secrets)
        database = Database(home.state / "serve" / "serve.db", masks.text, look=self.look)
        book, queue = Book(database), Queue(database, self.now)
        metrics = Metrics(self.settings, database, lambda: self.health, self.now)
        queue.heard = metrics.heard
        store = Store(home.store, late=True)
        journal = Journal(store.database, home.state / "logs", self.now)
        views = Views(
            self.settings, book, queue, home.state / "serve" / "jobs", Images(store), journal, self.now, masks
        )
        return Parts(
            settings=self.settings,
            database=database,
            queue=queue,
            book=book,
            home=home,
            key=session_key(home.state / "serve"),
            views=views,
            metrics=metrics,
            hook=Receiver(self.now),
            pushed=lambda name, event: self.pushed.append((name, event)),
            halt=self._halt,
            revisions=lambda _manifest, _target: (
                Revision("77ab", "sha256:77", ("live",)),
                Revision("3f9c", "sha256:3f"),
            ),
            health=lambda: self.health,
            now=self.now,
            rates=rates,
        )

    def _halt(self, job: int) -> bool:
        self.halted.append(job)
        return True

    def now(self) -> float:
        return self.time

    def at(self, peer: str = "127.0.0.1", base: str = "http://127.0.0.1:8800", token: str = "") -> TestClient:
        """A client at this address, that asks for this one."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return TestClient(self.app, base, client=(peer, 40000), follow_redirects=False, headers=headers)

    def fill(self) -> Web:
        """A manifest with a target, and a job of each kind."""
        book, queue = self.parts.book, self.parts.queue
        book.put_repository(RepositoryStatus("models", "ok", COMMIT, COMMIT, "", self.time, self.time))
        book.put_entry(Entry(PROD, "diabetes", "b10b", commit=COMMIT))
        book.put_live(PROD, [Live(PROD, "aks", self.time, "running", "77ab", "sha256:77", "http://10.0.0.7", "today")])
        done = queue.add(Job(0, PROD, "run", Reason("commit", "commit 3f9c1d0 'Newer' by Ada"), commit=COMMIT))
        queue.take()
        queue.end(done.id, "done", 0, {"text": "done in 4.2 s: 3 made", "run": 1})
        queue.add(Job(0, PROD, "run", Reason("commit", "commit 77ab…"), "approval", told={"plan": ["layer science"]}))
        return self

    def add(self, **values: Any) -> Job:
        return self.parts.queue.add(replace(Job(0, PROD, "run", Reason("hand", "by hand")), **values))


def session(client: TestClient, token: str = ACT) -> Mapping[str, str]:
    """Signs in with a token; the headers that changes then need."""
    answer = client.post("/sign-in", data={"token": token, "next": "/jobs"})
    assert answer.status_code == 303, answer.text
    return {"X-CSRF-Token": client.get("/api/v1/me").json()["csrf"]}
