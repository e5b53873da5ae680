"""What the server's parts ask of each other; each is an argument, and has a real one and one for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import field
from pathlib import Path
from typing import Any, Literal, Protocol

from pipeline.noun import noun
from pipeline.serve.book import Book
from pipeline.serve.model import Entry, Job, State
from pipeline.serve.queue import Queue
from pipeline.serve.settings import Repository, Settings


class Duty(Protocol):
    """Something that the server does again and again. One thread calls `do` when `due` is over, or when it was woken by
    its `name`; a failure is told as the health of this name, and never ends the server.
    """

    name: str

    def due(self, now: float) -> float | None:
        """When it is to be called next (Unix time in seconds); None for only when woken."""
        ...

    def do(self, now: float) -> None: ...


# -- Git --------------------------------------------------------------------------------------------------------------


@noun
class Commit:
    """A commit: its full hash, its first line, who wrote it, and when (Unix time)."""

    id: str
    title: str
    author: str
    at: float


class Git(Protocol):
    """A repository's clone on this machine. Methods raise OutOfReach where the other side does not answer, UsageError
    where it answers that there is none, or that this user may not.
    """

    def tip(self) -> str:
        """The newest commit of the watched branch, as the other side has it now: a small request, no fetch."""
        ...

    def fetch(self, commit: str) -> None:
        """Gets a commit and all that led to it."""
        ...

    def commit(self, id_: str) -> Commit: ...
    def count(self, old: str, new: str) -> int:
        """How many commits led from one to the other, along the branch itself."""
        ...

    def is_ancestor(self, old: str, new: str) -> bool: ...
    def merge_base(self, one: str, other: str) -> str:
        """The newest commit that led to both; empty for none."""
        ...

    def changed(self, old: str, new: str) -> list[str]:
        """Paths that differ between two commits; all of them where `old` is empty."""
        ...

    def files(self, commit: str, folders: Sequence[str]) -> dict[str, str]:
        """Path → Git hash of the files below folders."""
        ...

    def links(self, commit: str) -> dict[str, str]:
        """Path → target of every symbolic link."""
        ...

    def text(self, commit: str, path: str) -> str: ...
    def texts(self, commit: str, hashes: Iterable[str]) -> dict[str, str]:
        """Git hash → text of files of a commit."""
        ...

    def signer(self, commit: str) -> str:
        """Whose signature a commit has, of those that count; empty for none."""
        ...

    def signers(self, old: str, new: str) -> list[tuple[str, str]]:
        """(commit, whose signature that counts, or nothing) of those that led from one to the other along the branch
        itself, the newest first; of the newest alone where `old` is empty.
        """
        ...

    def at(self, commit: str, manifest: str, submodules: bool | None = None) -> AbstractContextManager[Path]:
        """A checkout of a commit, which nobody else writes to meanwhile. The same manifest gets the same folder again
        where that is free: files that did not change keep their times, so that nothing is read twice. `submodules` are
        checked out, or left empty; with None they are as they happen to be, for who does not read them.
        """
        ...

    def push(self, folder: Path, paths: Sequence[str], message: str, branch: str, *, force: bool = False) -> str:
        """Commits files of a checkout and pushes that as `branch`; the new commit's hash. Without `force` only as a
        fast-forward.
        """
        ...

    def remove(self, branch: str, commit: str) -> bool:
        """Removes a branch on the other side if it is at this commit still; whether it was."""
        ...

    def alone(self, branch: str) -> AbstractContextManager[Any]:
        """Holds a branch that is the server's own: no other thread that asks for it gets it meanwhile."""
        ...


# -- the host of a repository -----------------------------------------------------------------------------------------


@noun
class Request:
    """A pull request (merge request): its number, the commit at its head, the branch it goes into, and whether it comes
    from another repository (a fork).
    """

    number: int
    commit: str
    into: str
    title: str
    author: str
    url: str
    fork: bool = False


class HostApi(Protocol):
    """GitHub's, GitLab's, Gitea's or Azure DevOps's API. Methods raise OutOfReach (to be tried again) or UsageError."""

    def status(
        self, commit: str, state: Literal["pending", "success", "failure", "error"], context: str, text: str, url: str
    ) -> None: ...

    def comment(self, request: int, key: str, body: str) -> None:
        """A comment in Markdown; one of the same key that is there already is changed."""
        ...

    def propose(self, branch: str, into: str, title: str, body: str) -> str:
        """Opens a pull request, or brings the open one of this branch up to date; its URL."""
        ...

    def withdraw(self, branch: str, into: str, why: str) -> None:
        """Closes the open pull request of a branch, where there is one, with a comment (Markdown)."""
        ...

    def requests(self) -> list[Request]:
        """Those that are open."""
        ...

    def url(self, commit: str) -> str:
        """The page of a commit."""
        ...


# -- doing ------------------------------------------------------------------------------------------------------------


class Commands(Protocol):
    """Runs the command line, in a process of its own that ends when the server does."""

    def run(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        halted: Callable[[], bool],
        folder: Path | None = None,
    ) -> int:
        """`pipeline WORDS…`, in `folder`; its lines (`--output json`: events) go to the end of `log` as they come. Its
        exit code, negative for a signal.
        """
        ...

    def ask(
        self, words: Sequence[str], environment: Mapping[str, str], folder: Path | None = None
    ) -> tuple[int, str, str]:
        """The exit code, standard output and standard error of a short command."""
        ...


@noun
class Work:
    """What an action gets. `checkout` is the repository at the job's commit, `manifest` the file in it; `environment`
    what its commands get; `log` where their lines go. `halted` says that the job is to end.
    """

    job: Job
    settings: Settings
    repository: Repository
    entry: Entry | None
    checkout: Path
    manifest: Path
    environment: Mapping[str, str]
    log: Path
    commands: Commands
    git: Git
    host: HostApi | None
    book: Book
    queue: Queue
    now: Callable[[], float]
    halted: Callable[[], bool]


@noun
class Outcome:
    """How a job ended: done, failed or cancelled; the command's exit code; what came of it (`Job.told`); and of one
    that failed whether it `heals`: tried again later it may go well, with nothing changed by anybody. One that was
    approved, and does not hold any more, waits for `approval` again.
    """

    state: State
    exit_code: int | None = None
    told: Mapping[str, Any] = field(default_factory=dict)
    heals: bool = False


Perform = Callable[[Work], Outcome]
"""An action: `perform` of its module in `pipeline.serve.actions`, named as the action."""


__all__ = [
    "Commands",
    "Commit",
    "Duty",
    "Git",
    "HostApi",
    "Outcome",
    "Perform",
    "Request",
    "Work",
]
