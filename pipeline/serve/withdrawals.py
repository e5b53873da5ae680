"""Proposals that are obsolete: their pull requests are closed with the reason, and the branches that nobody else uses
removed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.digest import digest_of
from pipeline.errors import OutOfReach, PipelineError
from pipeline.lock.model import path_of
from pipeline.serve.book import Book
from pipeline.serve.database import Database
from pipeline.serve.model import Job, Tracked
from pipeline.serve.ports import Git, HostApi

PROPOSED = "proposal/"
"""How the facts begin that say what is proposed for a manifest (its id follows): {"on", "lock", "upgrade", "branch",
"into", "commit", "url"}."""
EVERY = 60.0
LONGEST = 86400.0
"""Seconds after which it is given up that a host does not answer."""
_WITHDRAWN = "withdrawal/"
_LONGEST_WAIT = 900.0


def withdraw(
    database: Database, manifest: Tracked, why: str, now: float, kept: Mapping[str, Any] | None = None
) -> bool:
    """Nothing is proposed for a manifest any more, or not by what was `kept` of it; whether anything was. Only noted
    here: the duty tells the host.
    """
    with database.transaction():
        old = kept or database.fact(f"{PROPOSED}{manifest.id}") or {}
        if kept is None:
            database.keep(f"{PROPOSED}{manifest.id}", None)
        if old.get("branch"):
            what = {**{name: old.get(name, "") for name in ("branch", "into", "commit")}, "why": why}
            what |= {"repository": manifest.repository, "since": now, "due": now, "tries": 0}
            database.keep(f"{_WITHDRAWN}{manifest.repository}/{old['branch']}/{old.get('into', '')}", what)
    return bool(old)


class Withdrawals:
    """`ports.Duty`. It sees by itself that a proposal was merged by hand, or its manifest deleted. `say` gets a line
    for what a host or a repository does not allow.
    """

    name = "proposals"

    def __init__(
        self,
        book: Book,
        gits: Mapping[str, Git],
        hosts: Mapping[str, HostApi | None],
        say: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._book, self._gits, self._hosts, self._say = book, gits, hosts, say
        self._last = 0.0

    def heard(self, job: Job) -> bool:
        """Whether a job that changed may have made a proposal obsolete."""
        return job.action in ("run", "rebuild") and job.state in ("done", "failed")

    def due(self, now: float) -> float | None:
        return now if now < self._last else self._last + EVERY

    def do(self, now: float) -> None:
        """Raises PipelineError for the first that went wrong, after it has looked at all."""
        self._last = now
        wrong: list[PipelineError] = []
        for name, kept in self._book.database.facts(PROPOSED).items():
            try:
                self._look(Tracked.of(name.removeprefix(PROPOSED)), kept, now)
            except PipelineError as error:
                wrong.append(error)
        for name, kept in self._book.database.facts(_WITHDRAWN).items():
            problem = self._deliver(name, kept, now) if kept["due"] <= now else None
            wrong += [problem] if problem else []
        if wrong:
            raise wrong[0]

    # -- which are obsolete -------------------------------------------------------------------------------------

    def _look(self, manifest: Tracked, kept: Mapping[str, Any], now: float) -> None:
        git, applied = self._gits.get(manifest.repository), self._book.repository(manifest.repository).applied
        if git is None or not applied or kept.get("seen") == applied:
            return
        database, entry = self._book.database, self._book.entry(manifest)
        if entry is None or entry.gone:
            why = f"{manifest.path} is not there any more"
        elif digest_of(_lock(git, applied, manifest).encode()) == kept["lock"]:
            why = f"this lock is in {kept.get('into') or 'the branch'} already, as of {applied[:7]}"
        else:
            why = ""
        with database.transaction():
            # Meanwhile something else may have been proposed.
            if database.fact(f"{PROPOSED}{manifest.id}") != kept:
                return
            if why:
                withdraw(database, manifest, why, now)
            else:
                database.keep(f"{PROPOSED}{manifest.id}", {**kept, "seen": applied})

    # -- what becomes of them -----------------------------------------------------------------------------------

    def _deliver(self, name: str, kept: Mapping[str, Any], now: float) -> PipelineError | None:
        """Closes the pull request, and removes the branch; what goes wrong and is tried again."""
        git, database = self._gits.get(kept["repository"]), self._book.database
        if git is None:
            database.keep(name, None)
            return None
        try:
            # A new proposal must not be closed in place of the old one.
            with git.alone(kept["branch"]):
                if not self._is_used(kept):
                    self._close(git, kept)
        except OutOfReach as error:
            if now - kept["since"] < LONGEST:
                wait = min(_LONGEST_WAIT, EVERY * 2 ** min(kept["tries"], 10))
                database.keep(name, {**kept, "tries": kept["tries"] + 1, "due": now + wait})
                return error
            self._say(f"the proposal {kept['branch']} is not closed: {error}")
        except PipelineError as error:
            self._say(f"the proposal {kept['branch']} is not closed: {error}")
        database.keep(name, None)
        return None

    def _is_used(self, kept: Mapping[str, Any]) -> bool:
        """Whether something else is proposed by this branch, into the same one, by now."""
        begin = f"{PROPOSED}{kept['repository']}/"
        same = (kept["branch"], kept["into"])
        return any((one["branch"], one.get("into")) == same for one in self._book.database.facts(begin).values())

    def _close(self, git: Git, kept: Mapping[str, Any]) -> None:
        branch, problem = kept["branch"], None
        text = (
            f"Withdrawn by pipeline: {kept['why']}. The branch `{branch}` is removed unless others have pushed to it."
        )
        host = self._hosts.get(kept["repository"])
        if host and kept["into"]:
            try:
                host.withdraw(branch, kept["into"], text)
            except OutOfReach:
                raise
            except PipelineError as error:
                problem = error
        begin = f"{PROPOSED}{kept['repository']}/"
        if kept["commit"] and all(one["branch"] != branch for one in self._book.database.facts(begin).values()):
            git.remove(branch, kept["commit"])
        if problem:
            raise problem


def _lock(git: Git, commit: str, manifest: Tracked) -> str:
    """The lock of a manifest in a commit; empty for none."""
    path = path_of(Path(manifest.path)).as_posix()
    return git.text(commit, path) if path in git.files(commit, [path.rpartition("/")[0] or "."]) else ""


__all__ = ["EVERY", "PROPOSED", "Withdrawals", "withdraw"]
