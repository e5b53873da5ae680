"""The mirror of a repository: a bare clone of its branch on this machine, made anew where it is damaged."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from pipeline.errors import PipelineError, StoreError
from pipeline.serve import addresses
from pipeline.serve.git import local
from pipeline.serve.git.access import surroundings
from pipeline.serve.git.command import ASKED, Command
from pipeline.serve.git.errors import Damaged, Gone
from pipeline.serve.settings import Repository

T = TypeVar("T")
BRANCH = "refs/pipeline/branch"
PATIENCE = 90.0
"""Seconds that what a killed server's git left behind may go on."""
LFS_KEPT = 14 * 86400.0
"""Seconds after which a file of Git LFS is no longer kept beside the checkouts that have it."""


class Mirror:
    """A repository's clone below `state`. Only one process has it at a time; its threads share it."""

    def __init__(self, repository: Repository, state: Path, environ: Mapping[str, str]) -> None:
        self.repository = repository
        self.folder = state / "repos" / f"{repository.name}.git"
        self.lock = threading.RLock()
        """Held while something is written to the mirror itself."""
        (state / "repos").mkdir(parents=True, exist_ok=True)
        guard = os.open(state / "repos" / f"{repository.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # git's processes inherit it: while one of a server that was killed still writes, this waits.
        _acquire(guard, repository.name)
        self._guard = guard
        around = surroundings(repository, state / "git" / repository.name, environ)
        self.git = Command(self.folder, repository.url, around, (guard,))
        self._sweep()

    def close(self) -> None:
        os.close(self._guard)

    # -- the other side -----------------------------------------------------------------------------------------

    def tip(self) -> str:
        """The branch's newest commit on the other side. Raises Gone, Refused, OutOfReach."""
        repository = self.repository
        if addresses.is_path(repository.url):
            path = Path(repository.url.removeprefix("file://"))
            if not path.exists():
                raise Gone(f"there is no repository at {path}", remedy="is its file system mounted?")
            if found := local.tip(path, repository.branch):
                return found
        self._made()
        ref = self._ref
        said = self.git.remote("ls-remote", "--", repository.url, ref, seconds=ASKED)
        for line in said.lines:
            commit, _, name = line.partition("\t")
            if name == ref:
                return commit
        raise Gone(f"{repository.url} has no branch {repository.branch}", remedy="set `branch`, or push it")

    @property
    def _ref(self) -> str:
        """The branch as the other side calls it; `HEAD` is whichever that has as its own."""
        return "HEAD" if self.repository.branch == "HEAD" else f"refs/heads/{self.repository.branch}"

    def fetch(self, commit: str) -> None:
        """Gets a commit with all that led to it: the branch, or, where it is not on it, the commit by its hash. Raises
        Gone where the other side does not have it.
        """
        # What is here needs not wait for a fetch that is under way.
        if self.has(commit):
            return
        with self.lock:
            if not self._made() or not self.has(commit):
                self._repaired(lambda: self._fetched(commit))

    def _fetched(self, commit: str) -> None:
        with contextlib.suppress(Gone):
            self._fetch(f"+{self._ref}:{BRANCH}")
        if not self.has(commit):
            self._fetch(self._name_of(commit))
        if not self.has(commit):
            raise Gone(f"{self.repository.url} has no commit {commit[:7]}", remedy="it was removed there")
        self._tidy()

    def _tidy(self) -> None:
        """Keeps the mirror from growing. Files of Git LFS can be had again: checkouts have their own copies."""
        self.git.local("gc", "--auto", "--quiet", ok=(0, 1, 128))
        for path in self.folder.glob("lfs/objects/*/*/*"):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < time.time() - LFS_KEPT:
                    path.unlink()

    def _name_of(self, commit: str) -> str:
        """What has a commit at its end (a pull request's), else the commit itself: not every server gives those."""
        said = self.git.remote("ls-remote", "--", self.repository.url, seconds=ASKED)
        named = (line.split("\t") for line in said.lines)
        return next((name for found, name in named if found == commit and name != "HEAD"), commit)

    def _fetch(self, what: str) -> None:
        words = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-gc"]
        # What a CI runner has checked out is often no more than its newest commit.
        words += ["--update-shallow"]
        try:
            self.git.remote(*words, "--", self.repository.url, what)
        except StoreError as error:
            # Neither silence nor refusal: it may be our own files.
            if self.git.local("fsck", "--connectivity-only", "--no-dangling", ok=range(256)).code:
                raise Damaged(error.message, remedy=error.remedy) from None
            raise

    # -- this machine -------------------------------------------------------------------------------------------

    def has(self, commit: str) -> bool:
        return self.git.local("cat-file", "-e", f"{commit}^{{commit}}", ok=range(256)).code == 0

    def reading(self, commit: str, call: Callable[[], T]) -> T:
        """`call()`, which reads a commit; again from a new mirror where this one turns out to be damaged."""
        try:
            return call()
        except Damaged:
            with self.lock:

                def again() -> T:
                    self.fetch(commit)
                    return call()

                # It may be whole by now: another thread may have been at it.
                return self._repaired(again)

    def _repaired(self, call: Callable[[], T]) -> T:
        """`call()`, and once more with a new mirror where it says that this one is damaged."""
        with contextlib.suppress(Damaged):
            return call()
        self.clear()
        try:
            return call()
        except Damaged as error:
            raise StoreError(f"{self.repository.name}: {error.message}", remedy="is the disk in order?") from None

    def clear(self) -> None:
        """Makes the mirror anew, empty; what checkouts know of themselves (`worktrees`) stays."""
        with self.lock:
            for path in self.folder.iterdir() if self.folder.is_dir() else ():
                if path.name != "worktrees":
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            self._made()

    def _made(self) -> bool:
        """Whether the mirror was there; if not, it is now, empty."""
        # The last file that `git init` writes: a mirror without it was not finished.
        if (self.folder / "config").is_file() and (self.folder / "HEAD").is_file():
            return True
        with self.lock:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.git.local("init", "--quiet", "--bare", "--template=", "--initial-branch=none", str(self.folder))
        return False

    def _sweep(self) -> None:
        """Removes what a killed git left: nobody else writes here."""
        if self.folder.is_dir():
            for path in self.folder.rglob("*.lock"):
                path.unlink(missing_ok=True)
            for path in (*self.folder.glob("objects/*/tmp_*"), self.folder / "gc.pid"):
                path.unlink(missing_ok=True)


def mirrored(state: Path) -> list[str]:
    """The repositories (their names) that a server with this folder has a mirror of."""
    return sorted(path.name.removesuffix(".git") for path in (state / "repos").glob("*.git"))


def _acquire(guard: int, name: str) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > until:
                os.close(guard)
                remedy = "end the other server or sync that uses this PIPELINE_HOME, or the git that it left"
                raise PipelineError(f"the mirror of {name} is in use", remedy=remedy, transient=True) from None
        time.sleep(0.05)


__all__ = ["BRANCH", "Mirror", "mirrored"]
