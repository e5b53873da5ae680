"""The duty that looks for what is new behind the bases of manifests: a tag that moved, newer packages of a suite."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.digest import cache_key
from pipeline.errors import OutOfReach, PipelineError, UsageError
from pipeline.lock.diff import Change
from pipeline.lock.model import head_of
from pipeline.noun import noun
from pipeline.serve import proposals, rebuilds
from pipeline.serve.book import Tick
from pipeline.serve.environment import environment
from pipeline.serve.looks import Kit
from pipeline.serve.model import OPEN, Reason, Tracked
from pipeline.serve.settings import Repository

EVERY = 60.0
"""Seconds after which it is looked whether a repository's clock is there, when none is due."""
_PREFIX = "bases "
_PLACE = ".bases"
_TRIES = 3
_OUT_OF_REACH = 4


@noun
class Alike:
    """Manifests of a repository, at a commit, whose locks say the same of their bases: one look does for all."""

    repository: Repository
    commit: str
    manifests: tuple[Tracked, ...]


class Bases:
    """`ports.Duty`. A repository's `policies.bases` is the interval; one look for each call."""

    name = "bases"

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._waiting: list[Alike] = []
        self._next = 0.0

    def due(self, now: float) -> float | None:
        watched = any(one.policies.bases for one in self._kit.repositories.values())
        return (now if self._waiting else min(self._next, now + EVERY)) if watched else None

    def do(self, now: float) -> None:
        """Raises PipelineError where a look failed; the others go on with the next call."""
        if self._waiting:
            alike = self._waiting.pop(0)
            try:
                self._look(alike, now)
            finally:
                # Not before: after a kill, the rest of them is looked at, too.
                if not any(one.repository.name == alike.repository.name for one in self._waiting):
                    self._book_round(alike.repository, now)
            return
        self._next = now + EVERY
        ticks = self._kit.book.ticks()
        dues = [now + EVERY]
        for repository in self._kit.repositories.values():
            name = f"{_PREFIX}{repository.name}"
            if not repository.policies.bases:
                if name in ticks:
                    self._kit.book.forget_tick(name)
                continue
            tick = step(ticks.get(name), name, repository.policies.bases, now)
            if tick != ticks.get(name):
                self._kit.book.put_tick(tick)
            if tick.due <= now and (found := list(self._alike(repository))):
                self._waiting += found
            elif tick.due <= now:
                self._book_round(repository, now)
            dues.append(max(tick.due, now))
        self._next = min(dues)

    def _book_round(self, repository: Repository, now: float) -> None:
        every = repository.policies.bases
        self._kit.book.put_tick(Tick(f"{_PREFIX}{repository.name}", f"{every:g}", now, now + every))
        self._next = min(self._next, now + every)

    def _alike(self, repository: Repository) -> Iterator[Alike]:
        commit, git = self._kit.book.repository(repository.name).applied, self._kit.gits.get(repository.name)
        if not commit or git is None:
            return
        groups: dict[str, list[Tracked]] = {}
        with git.at(commit, _PLACE, submodules=True) as folder:
            for id_ in self._kit.book.hashes():
                manifest = Tracked.of(id_)
                key = bases_key(folder / manifest.path) if manifest.repository == repository.name else ""
                if key:
                    groups.setdefault(key, []).append(manifest)
        yield from (Alike(repository, commit, tuple(manifests)) for manifests in groups.values())

    # -- one look -----------------------------------------------------------------------------------------------

    def _look(self, alike: Alike, now: float) -> None:
        environ = environment(self._kit.environ, alike.repository)
        git = self._kit.gits[alike.repository.name]
        problem: PipelineError | None = None
        with git.at(alike.commit, _PLACE, submodules=True) as folder:
            # What one has wrong of itself need not be wrong with the others.
            for manifest in alike.manifests[:_TRIES]:
                words = ["lock", manifest.path, "--upgrade", "bases.*", "--diff", "--output", "json"]
                try:
                    found = moved(*self._kit.commands.ask(words, environ, folder))
                except PipelineError as error:
                    problem = error
                    continue
                if found:
                    for one in alike.manifests:
                        self._rebuild(one, found, now)
                return
        if problem:
            raise problem

    def _rebuild(self, manifest: Tracked, found: Sequence[Change], now: float) -> None:
        """Asks for it, unless that was done for the same before."""
        names = sorted({head_of(change.entry).partition(".")[2] for change in found})
        print_ = cache_key([[change.entry, change.name, change.old, change.new] for change in found])
        fact = f"bases/{manifest.id}"
        with self._kit.book.database.transaction():
            kept = self._kit.book.database.fact(fact) or {}
            job = self._kit.queue.job(kept["job"]) if kept.get("found") == print_ else None
            if job and job.state in (*OPEN, "done", "replaced"):
                return
            asked = rebuilds.ask(self._kit.queue, manifest, reason(found), names)
            if asked:
                self._kit.book.database.keep(fact, {"found": print_, "job": asked.id, "at": now})


def reason(found: Sequence[Change]) -> Reason:
    """Why what was found is rebuilt: another image, or newer packages only."""
    words = proposals.words(found)
    if any(change.name == "image" for change in found):
        return Reason("base", words)
    return Reason("packages", f"packages of {words}")


def step(tick: Tick | None, name: str, every: float, now: float) -> Tick:
    """The clock of an interval at this moment: it never waits for longer than that, also when time was set back."""
    if tick is None:
        return Tick(name, f"{every:g}", 0.0, now + every)
    return replace(tick, said=f"{every:g}", due=min(tick.due, now + every))


def bases_key(manifest: Path) -> str:
    """The same for manifests of one folder whose locks say the same of their bases; empty where they say nothing."""
    from pipeline.lock.text import parse

    try:
        text = proposals.lock_text(manifest)
        entries = parse(text, str(manifest)).entries if text else {}
    except (PipelineError, OSError, UnicodeDecodeError):
        # A run tells of it.
        return ""
    bases = {id_: [one.kind, one.request, one.locked] for id_, one in entries.items() if id_.startswith("bases.")}
    return cache_key([str(manifest.parent), bases]) if bases else ""


def moved(code: int, out: str, err: str) -> list[Change]:
    """What `pipeline lock --diff --output json` says has moved of bases. Raises PipelineError where it failed."""
    if code:
        said = [line.strip() for line in err.splitlines() if line.strip()] or [f"exit code {code}"]
        kind = OutOfReach if code == _OUT_OF_REACH else UsageError
        raise kind(said[0].removeprefix("error: "), remedy=" ".join(said[1:3]))
    return list(_bases(json.loads(out)["differences"]))


def _bases(differences: Iterable[Mapping[str, Any]]) -> Iterator[Change]:
    for one in differences:
        # What the lock does not answer at all is for the next run.
        if str(one["entry"]).startswith("bases.") and not one["note"]:
            yield Change(one["entry"], one["name"], one["old"], one["new"])


__all__ = ["Alike", "Bases", "bases_key", "moved", "reason", "step"]
