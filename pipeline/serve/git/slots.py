"""Checkouts of a repository: a few folders that jobs take in turn, each manifest the same one where that is free."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import StoreError
from pipeline.serve.git.command import own_of
from pipeline.serve.git.errors import Damaged
from pipeline.serve.git.mirror import Mirror
from pipeline.serve.git.submodules import remove, update


class Slots:
    """Worktrees `0`, `1`, … below a folder; as many as were ever wanted at the same time."""

    def __init__(self, mirror: Mirror, folder: Path) -> None:
        self._mirror, self._folder = mirror, folder
        self._lock, self._adding = threading.Lock(), threading.Lock()
        self._busy: set[int] = set()
        self._memory = folder / "slots.json"
        self._had = _remembered(self._memory)

    @contextlib.contextmanager
    def at(self, commit: str, manifest: str, submodules: bool | None = None) -> Iterator[Path]:
        slot = self._take(manifest)
        try:
            folder = self._folder / str(slot)
            self._mirror.fetch(commit)
            self._check_out(folder, commit, submodules)
            yield folder
        finally:
            with self._lock:
                self._busy.discard(slot)

    def _take(self, manifest: str) -> int:
        with self._lock:
            had = self._had.get(manifest)
            free = (slot for slot in range(len(self._busy) + 1) if slot not in self._busy)
            slot = had if had is not None and had not in self._busy else next(free)
            self._busy.add(slot)
            if slot != had:
                self._had[manifest] = slot
                self._remember()
            return slot

    def _remember(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        made = self._memory.with_suffix(".new")
        made.write_text(json.dumps(self._had), encoding="utf-8")
        made.replace(self._memory)

    def _check_out(self, folder: Path, commit: str, submodules: bool | None) -> None:
        """The folder as the commit has it. What is damaged is made anew: first the checkout, then the mirror."""
        for remedy in (None, None, self._mirror.clear):
            try:
                if remedy:
                    remedy()
                    self._mirror.fetch(commit)
                self._set(folder, commit)
                if submodules is not None:
                    self._set_submodules(folder, submodules)
                return
            except Damaged as error:
                last = error
                self._remove(folder)
        raise StoreError(
            f"a checkout of {self._mirror.repository.name}: {last.message}", remedy="is the disk in order?"
        )

    def _set(self, folder: Path, commit: str) -> None:
        git = self._mirror.git
        if not self._is_ours(folder):
            with self._adding:
                self._remove(folder)
                folder.parent.mkdir(parents=True, exist_ok=True)
                git.local("worktree", "add", "--quiet", "--force", "--detach", "--no-checkout", str(folder), commit)
        (self._own(folder) / "index.lock").unlink(missing_ok=True)
        # `git checkout` takes a commit whose tree is lost for an empty one, and removes every file.
        git.local("ls-tree", "--name-only", commit)
        # Files that are as the commit has them are not touched, and keep their times.
        git.local("checkout", "--quiet", "--force", "--detach", commit, worktree=folder)
        git.local("clean", "--quiet", "-ffdx", worktree=folder)

    def _set_submodules(self, folder: Path, wanted: bool) -> None:
        if wanted and self._mirror.repository.submodules:
            update(self._mirror.git, self._mirror.repository, folder)
        else:
            remove(self._mirror.git, folder)

    def _own(self, folder: Path) -> Path:
        return own_of(self._mirror.folder, folder)

    def _is_ours(self, folder: Path) -> bool:
        """Whether git's two notes, in the folder and in the mirror, lead to each other."""
        try:
            there = (folder / ".git").read_text(encoding="utf-8")
            back = (self._own(folder) / "gitdir").read_text(encoding="utf-8")
        except (OSError, ValueError):
            return False
        notes = all((self._own(folder) / name).exists() for name in ("HEAD", "commondir"))
        return notes and there.strip() == f"gitdir: {self._own(folder)}" and back.strip() == f"{folder / '.git'}"

    def _remove(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(self._own(folder), ignore_errors=True)
        if os.path.lexists(folder):
            raise StoreError(f"{folder} cannot be removed", remedy="whose files are in it? Remove it by hand")


def _remembered(path: Path) -> dict[str, int]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): int(slot) for name, slot in found.items()}
    except (OSError, ValueError, AttributeError):
        return {}


__all__ = ["Slots"]
