"""What a target can be put back to: what the command says, what is remembered, and what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from pipeline.errors import OutOfReach
from pipeline.serve.acts import Missing, NotNow
from pipeline.serve.book import Book
from pipeline.serve.database import Database
from pipeline.serve.looks import Kit
from pipeline.serve.model import Job, Reason, RepositoryStatus, Tracked
from pipeline.serve.ports import Git
from pipeline.serve.queue import Queue
from pipeline.serve.revisions import KEPT, Revisions
from pipeline.serve.settings import Repository
from pipeline.serve.web.parts import Revision

PROD = Tracked("models", "manifests/prod.yaml")
LIST = [{"revision": "77ab", "image": "r/x@sha256:1", "marks": "live, pinned"}, {"revision": "3f9c", "image": "y"}]


class Asked:
    """Commands and a checkout that answer as they were told to."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.words, self.answer = folder, cast(list[list[str]], []), (0, json.dumps(LIST), "")
        self.commits: list[str] = []

    def run(self, *_: Any) -> int:
        raise AssertionError("nothing is changed")

    def ask(
        self, words: Sequence[str], environment: Mapping[str, str], folder: Path | None = None
    ) -> tuple[int, str, str]:
        assert folder == self.folder and "TOKEN_OF_THE_SERVER" not in environment
        self.words.append(list(words))
        return self.answer

    @contextmanager
    def at(self, commit: str, _manifest: str) -> Iterator[Path]:
        self.commits.append(commit)
        yield self.folder


@pytest.fixture
def time() -> list[float]:
    return [1000.0]


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    (tmp_path / "manifests").mkdir()
    (tmp_path / PROD.path).write_text("version: 1\n", encoding="utf-8")
    return Asked(tmp_path)


@pytest.fixture
def revisions(tmp_path: Path, asked: Asked, time: list[float]) -> Revisions:
    database = Database(tmp_path / "serve.db")
    book, now = Book(database), cast(Callable[[], float], lambda: time[0])
    book.put_repository(RepositoryStatus("models", "ok", "c0", "c0"))
    environ = {"PATH": "/bin", "TOKEN_OF_THE_SERVER": "x"}
    held = {name: Repository(name, "/srv") for name in ("models", "empty")}
    return Revisions(Kit(held, {"models": cast(Git, asked)}, asked, book, Queue(database, now), environ), now)


def test_what_the_command_lists_is_told(revisions: Revisions, asked: Asked) -> None:
    assert revisions(PROD, "aks") == (
        Revision("77ab", "r/x@sha256:1", ("live", "pinned")),
        Revision("3f9c", "y", ()),
    )
    assert asked.words == [["rollback", "--list", "--output", "json", "--", "manifests/prod.yaml", "aks"]]
    assert asked.commits == ["c0"]


def test_it_is_remembered_until_a_job_changes_it(revisions: Revisions, asked: Asked, time: list[float]) -> None:
    revisions(PROD, "aks")
    revisions(PROD, "aks")
    assert len(asked.words) == 1
    revisions(PROD, "other")
    revisions.heard(Job(1, PROD, "run", Reason("hand", "by hand")))
    revisions(PROD, "aks")
    assert len(asked.words) == 3
    time[0] += KEPT
    revisions(PROD, "aks")
    assert len(asked.words) == 4


def test_what_goes_wrong_is_said_and_not_remembered(revisions: Revisions, asked: Asked, tmp_path: Path) -> None:
    asked.answer = (
        4,
        json.dumps({"event": "error", "message": "no cluster answers", "remedy": "start it"}),
        "error: …",
    )
    with pytest.raises(OutOfReach, match=r"aks can be put back to .* no cluster answers \(start it\)"):
        revisions(PROD, "aks")
    asked.answer = (2, "", "error: manifests/prod.yaml:3:1: no such key")
    with pytest.raises(NotNow, match="no such key"):
        revisions(PROD, "aks")
    asked.answer = (0, json.dumps(LIST), "")
    assert len(revisions(PROD, "aks")) == 2
    (tmp_path / PROD.path).unlink()
    with pytest.raises(Missing, match="no manifest"):
        revisions(PROD, "other")
    with pytest.raises(NotNow, match="nothing of empty is applied yet"):
        revisions(Tracked("empty", "a.yaml"), "aks")
