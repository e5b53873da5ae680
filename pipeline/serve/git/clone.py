"""A watched repository's Git: mirror, checkouts, signatures and pushes behind one face (`ports.Git`)."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from pipeline.errors import UsageError
from pipeline.serve.git import pushing, queries
from pipeline.serve.git.errors import Gone, Refused
from pipeline.serve.git.mirror import Mirror
from pipeline.serve.git.signing import Signers
from pipeline.serve.git.slots import Slots
from pipeline.serve.ports import Commit
from pipeline.serve.settings import Repository


class Clone:
    """The one that servers use. `state` is the server's folder, `environ` its environment: git gets little of it.

    Raises PipelineError when another process has the same mirror. Its threads may share it.
    """

    def __init__(self, repository: Repository, state: Path, environ: Mapping[str, str]) -> None:
        self._mirror = Mirror(repository, state, environ)
        self._git = self._mirror.git
        self._slots = Slots(self._mirror, state / "work" / repository.name)
        self._alone: dict[str, threading.RLock] = {}
        self._signers = Signers(self._git, repository.signed, state / "git" / repository.name)

    def close(self) -> None:
        self._mirror.close()

    def tip(self) -> str:
        return self._mirror.tip()

    def fetch(self, commit: str) -> None:
        self._mirror.fetch(commit)

    def has(self, commit: str) -> bool:
        return self._mirror.has(commit)

    def commit(self, id_: str) -> Commit:
        return self._mirror.reading(id_, lambda: queries.commit(self._git, id_))

    def count(self, old: str, new: str) -> int:
        return self._mirror.reading(new, lambda: queries.count(self._git, old if self._has(old) else "", new))

    def is_ancestor(self, old: str, new: str) -> bool:
        return self._mirror.reading(new, lambda: self._has(old) and queries.is_ancestor(self._git, old, new))

    def merge_base(self, one: str, other: str) -> str:
        return self._mirror.reading(other, lambda: queries.merge_base(self._git, one, other) if self._has(one) else "")

    def changed(self, old: str, new: str) -> list[str]:
        known = old if old and self._has(old) else ""
        return self._mirror.reading(new, lambda: queries.changed(self._git, known, new))

    def files(self, commit: str, folders: Sequence[str]) -> dict[str, str]:
        return self._mirror.reading(commit, lambda: queries.files(self._git, commit, folders))

    def links(self, commit: str) -> dict[str, str]:
        return self._mirror.reading(commit, lambda: queries.links(self._git, commit))

    def text(self, commit: str, path: str) -> str:
        return self._mirror.reading(commit, lambda: queries.text(self._git, commit, path))

    def texts(self, commit: str, hashes: Iterable[str]) -> dict[str, str]:
        wanted = tuple(hashes)
        return self._mirror.reading(commit, lambda: queries.texts(self._git, wanted))

    def signer(self, commit: str) -> str:
        return self.signers("", commit)[0][1]

    def signers(self, old: str, new: str) -> list[tuple[str, str]]:
        return self._mirror.reading(new, lambda: self._signers.of(old, new))

    def at(self, commit: str, manifest: str, submodules: bool | None = None) -> AbstractContextManager[Path]:
        return self._slots.at(commit, manifest, submodules)

    def push(self, folder: Path, paths: Sequence[str], message: str, branch: str, *, force: bool = False) -> str:
        """Raises Moved, Refused, OutOfReach. Nothing is pushed where the files are as the commit has them."""
        if branch == "HEAD":
            remedy = "set `branch` to its name in the server's settings"
            raise UsageError("nothing is pushed to a branch whose name is not said", remedy=remedy)
        made, differs = pushing.commit(self._git, folder, paths, message)
        if differs:
            pushing.push(self._git, self._mirror.repository.url, made, branch, force=force)
        return made

    def remove(self, branch: str, commit: str) -> bool:
        """Raises Refused, OutOfReach."""
        return pushing.remove(self._git, self._mirror.repository.url, branch, commit)

    def alone(self, branch: str) -> AbstractContextManager[Any]:
        with self._mirror.lock:
            return self._alone.setdefault(branch, threading.RLock())

    def _has(self, commit: str) -> bool:
        """Whether a commit is here, or can still be had: the branch may have left it behind."""
        if self._mirror.has(commit):
            return True
        try:
            self._mirror.fetch(commit)
        except (Gone, Refused):
            return False
        return True


__all__ = ["Clone"]
