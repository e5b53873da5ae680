"""Manifests as the overview shows them: how each stands, what is live where, and which job made it so."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from pipeline.serve.book import Book
from pipeline.serve.model import Entry, Live, Tracked
from pipeline.serve.queue import Queue
from pipeline.serve.views_model import STANDINGS, JobRow, ManifestRow, ManifestsPage, Standing, TargetView
from pipeline.serve.views_words import next_due, schedule_words, since

_ACTING = "('run', 'rebuild', 'rollback', 'lift', 'stop')"
_LAST = f"SELECT max(id) FROM jobs INDEXED BY jobs_ended WHERE action IN {_ACTING}"
_LAST += " AND state IN ('done', 'failed', 'cancelled')"
_CHOSEN = "manifest IN (SELECT value FROM json_each(?))"


class Manifests:
    """Reads the book and the queue. How all stand is found first, in a few queries that read little; the rest is read
    for one page.
    """

    def __init__(self, book: Book, queue: Queue) -> None:
        self._book, self._queue = book, queue

    def page(self, repository: str, find: str, state: str, skip: int, most: int) -> ManifestsPage:
        standings = self._standings(repository, find)
        chosen = [id_ for id_, standing in standings.items() if state in ("", standing)]
        chosen.sort(key=lambda id_: (STANDINGS.index(standings[id_]), id_))
        rows = self._rows(chosen[skip : skip + most])
        return ManifestsPage(tuple(rows), len(chosen), skip, dict(Counter(standings.values())))

    def row(self, id_: str) -> ManifestRow | None:
        return next(iter(self._rows([id_])), None)

    # -- how all stand ------------------------------------------------------------------------------------------

    def _standings(self, repository: str, find: str) -> dict[str, Standing]:
        last = dict(self._query(f"SELECT manifest, state FROM jobs WHERE id IN ({_LAST} GROUP BY manifest)"))
        live: dict[str, list[tuple[str, bool]]] = {}
        for id_, state, drift in self._query(
            "SELECT manifest, json_extract(facts, '$.state'), json_array_length(facts, '$.drift') FROM live"
        ):
            live.setdefault(id_, []).append((state, bool(drift)))
        opened: dict[str, set[str]] = {}
        for job in self._queue.open():
            if job.action != "plan":
                opened.setdefault(job.manifest.id, set()).add(job.state)
        return {
            id_: _standing(bool(gone), bool(error), last.get(id_, ""), live.get(id_, ()), opened.get(id_, ()))
            for id_, error, gone in self._ids(repository, find)
        }

    def _ids(self, repository: str, find: str) -> list[tuple[Any, ...]]:
        least, end = (f"{repository}/", f"{repository}0") if repository else ("", "\U0010ffff")
        query = "SELECT id, error != '', gone FROM manifests WHERE id >= ?1 AND id < ?2"
        if find:
            # instr and not LIKE: no letter has a meaning of its own.
            query += " AND (instr(lower(id), ?3) OR instr(lower(name), ?3) OR id IN (SELECT manifest FROM live WHERE"
            query += " instr(lower(target), ?3) OR instr(lower(json_extract(facts, '$.address')), ?3)))"
        return self._query(query, least, end, *([find.lower()] if find else []))

    # -- a page of them -----------------------------------------------------------------------------------------

    def _rows(self, ids: list[str]) -> list[ManifestRow]:
        text = json.dumps(ids)
        entries = {entry.manifest.id: entry for entry in self._book.entries_of(ids)}
        targets: dict[Tracked, list[Live]] = {}
        for one in self._book.live_of(ids):
            targets.setdefault(one.manifest, []).append(one)
        last, made, opened = self._last(text), self._made(text), self._open(set(ids))
        ticks = self._book.ticks()
        rows = []
        for id_, entry in ((id_, entries[id_]) for id_ in ids if id_ in entries):
            seen = [_target(one, made.get((id_, one.target))) for one in targets.get(entry.manifest, ())]
            rows.append(_row(entry, seen, last.get(id_), opened.get(id_, ()), next_due(ticks, id_)))
        return rows

    def _open(self, ids: set[str]) -> dict[str, list[JobRow]]:
        """What is under way or waits, but plans: they change nothing."""
        found: dict[str, list[JobRow]] = {}
        for job in self._queue.open():
            if job.manifest.id in ids and job.action != "plan":
                found.setdefault(job.manifest.id, []).append(JobRow.of(job))
        return found

    def _last(self, ids: str) -> dict[str, JobRow]:
        """The newest job of each manifest that ended and was more than a plan."""
        rows = self._query(f"{_LAST} AND {_CHOSEN} GROUP BY manifest", ids)
        return {job.manifest.id: JobRow.of(job) for job in self._queue.those([row[0] for row in rows])}

    def _made(self, ids: str) -> dict[tuple[str, str], JobRow]:
        """For what is live on each target, the job that made it so: the last to begin before it did and to end well."""
        rows = self._query(
            "SELECT manifest, target, (SELECT id FROM jobs WHERE manifest = live.manifest AND state = 'done'"
            f" AND action IN {_ACTING} AND started <= unixepoch(json_extract(facts, '$.since')) + 1"
            f" ORDER BY id DESC LIMIT 1) FROM live WHERE {_CHOSEN}",
            ids,
        )
        jobs = {job.id: JobRow.of(job) for job in self._queue.those(sorted({row[2] for row in rows if row[2]}))}
        return {(row[0], row[1]): jobs[row[2]] for row in rows if row[2] in jobs}

    def _query(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._book.database.execute(query, *values)


def _target(live: Live, job: JobRow | None) -> TargetView:
    return TargetView(
        target=live.target,
        state=live.state,
        revision=live.revision,
        image=live.image,
        address=live.address,
        since=since(live.since),
        seen=live.seen,
        detail=live.detail,
        drift=live.drift,
        pinned=live.pinned,
        cause=job.cause if job else "",
        reason=job.reason if job else "",
        job=job.id if job else 0,
    )


def _row(
    entry: Entry, targets: list[TargetView], last: JobRow | None, opened: Sequence[JobRow], due: float
) -> ManifestRow:
    states = [(one.state, bool(one.drift)) for one in targets]
    waits = {job.state for job in opened}
    standing = _standing(entry.gone, bool(entry.error), last.state if last else "", states, waits)
    return ManifestRow(
        id=entry.manifest.id,
        repository=entry.manifest.repository,
        path=entry.manifest.path,
        name=entry.name or entry.manifest.path,
        state=standing,
        commit=entry.commit,
        error=entry.error,
        gone=entry.gone,
        schedule=schedule_words(entry.schedule),
        next=due,
        targets=tuple(targets),
        last=last,
        open=tuple(opened),
    )


def _standing(
    gone: bool, broken: bool, last: str, targets: Iterable[tuple[str, bool]], opened: Collection[str]
) -> Standing:
    """The worst that can be said of it: from how its last job ended, its targets (their states, and whether others have
    changed them), and the states of its open jobs.
    """
    standing: Standing = "ok" if last else "new"
    for state, drift in targets:
        # What never ran yet is not down.
        if last and state not in ("running", "starting"):
            standing = "down"
        elif standing != "down":
            standing = "drift" if drift or standing == "drift" else "ok"
    if last == "failed":
        standing = "failed"
    if gone or broken:
        return "gone" if gone else "broken"
    if standing not in ("ok", "new"):
        return standing
    waits: tuple[Standing, ...] = ("approval", "running", "waiting")
    return next((one for one in waits if one in opened), standing)


__all__ = ["Manifests"]
