"""A watched repository with a real Git, a real book and a real queue; only the clock is a number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gitmaker import Origin, cloned

from pipeline.serve.book import Book
from pipeline.serve.database import Database
from pipeline.serve.git.clone import Clone
from pipeline.serve.model import Job, RepositoryStatus
from pipeline.serve.ports import Request
from pipeline.serve.queue import Queue
from pipeline.serve.settings import Policies, Repository
from pipeline.serve.watch import Watch

HEAD = "version: 1\nname: {name}\nimages: {{a: {{base: b}}}}\nlayers: {{c: {{files: [{{from: {uses}, to: /app/}}]}}}}\n"


TWO_SOURCES = {"src/x": "x", "other/y": "y"}


def manifest(name: str, uses: str = "../src") -> str:
    return HEAD.format(name=name, uses=uses)


class Host:
    """A host's API in memory: what pull requests are open."""

    def __init__(self) -> None:
        self.open: list[Request] = []

    def requests(self) -> list[Request]:
        return list(self.open)

    def url(self, commit: str) -> str:
        return f"https://git.example.com/commit/{commit}"

    def status(self, *facts: Any) -> None:
        raise NotImplementedError

    def comment(self, *facts: Any) -> None:
        raise NotImplementedError

    def propose(self, *facts: Any) -> str:
        raise NotImplementedError


class Lab:
    def __init__(self, folder: Path, **settings: Any) -> None:
        self.origin = Origin(folder / "origin")
        self.state = folder / "state"
        self.host = Host()
        self.said: list[str] = []
        self.now = 1_700_000_000.0
        self.database = Database(self.state / "serve.db")
        self.book, self.queue = Book(self.database), Queue(self.database, lambda: self.now)
        self.repository = Repository(name="models", url=str(self.origin.folder), **settings)
        self.clone: Clone = cloned(self.origin.folder, self.state, **settings)
        self.watch = self._watch()

    def _watch(self) -> Watch:
        return Watch(self.repository, self.clone, self.host, self.book, self.queue, self.said.append)  # type: ignore[arg-type]

    def again(self, **settings: Any) -> None:
        """A server that was started anew, with other settings."""
        self.clone.close()
        self.repository = replace(self.repository, **settings)
        values = {name: getattr(self.repository, name) for name in ("branch", "folders", "signed", "policies")}
        self.clone = cloned(self.repository.url, self.state, **values)
        self.watch = self._watch()

    def policies(self, **settings: Any) -> None:
        self.again(policies=Policies(**settings))

    def look(self, seconds: float = 60.0) -> RepositoryStatus:
        self.now += seconds
        self.watch.do(self.now)
        return self.book.repository("models")

    def jobs(self, state: str = "waiting") -> list[str]:
        """What waits, in its order: `run manifests/a.yaml`."""
        return [f"{job.action} {job.manifest.path}" for job in self.queue.open() if job.state == state]

    def finish(self) -> list[Job]:
        """Does all that waits, at once."""
        done = []
        while job := self.queue.take():
            done.append(self.queue.end(job.id, "done", 0, {}))
        return done

    def commit(self, files: Mapping[str, str | None], message: str = "Change") -> str:
        return self.origin.commit(files, message)
