"""Finds what changed since it looked last, and keeps notes of what is to be told of it.

What it has seen stands in the server's database, and moves in one transaction with the notes: whenever the process is
killed, nothing is told twice by it, or never.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipeline.manifest.secrets import mask
from pipeline.serve import streaks
from pipeline.serve.book import Book
from pipeline.serve.comment import KEY, comment
from pipeline.serve.database import Database
from pipeline.serve.messages.model import Message
from pipeline.serve.model import HELD_BACK, OPEN, Job, RepositoryStatus, Tracked
from pipeline.serve.names import is_twice
from pipeline.serve.queue import Queue
from pipeline.serve.requests import NAME, planned
from pipeline.serve.settings import Settings
from pipeline.serve.telling import (
    Name,
    Telling,
    drift_message,
    message,
    repository_message,
    status,
    status_of,
    tellings,
)

SILENT = 300.0
"""Seconds that a repository may be out of reach before that is told: networks have hiccups."""
_DOWN = ("failed", "stopped", "absent")
"""States of a repository that a commit is the cause of, which then gets a status."""


class News:
    """`look` is called by one thread at a time. Raises StoreError."""

    def __init__(self, settings: Settings, database: Database, book: Book, queue: Queue) -> None:
        self._settings, self._database, self._book, self._queue = settings, database, book, queue
        self._apis = {name for name, one in settings.repositories.items() if one.host.kind and one.host.token}
        self._live: Mapping[tuple[str, str], str] | None = None

    def look(self, now: float) -> None:
        """`now` is Unix time in seconds."""
        with self._database.transaction():
            live = self._book.live_facts()
            self._jobs(now)
            self._repositories(now)
            all_told = live == self._live or self._targets(now)
        self._live = live if all_told else None

    # -- jobs ---------------------------------------------------------------------------------------------------

    def _jobs(self, now: float) -> None:
        seen = self._fact("jobs") or {"last": 0, "open": {}}
        running = self._queue.open()
        states = {str(job.id): f"{job.state} {job.attempt}" for job in running}
        added = self._queue.since(seen["last"])
        ended = self._queue.those([int(id_) for id_ in seen["open"] if id_ not in states])
        moved = [job for job in running if seen["open"].get(str(job.id)) != states[str(job.id)]]
        changed = {job.id: job for job in (*added, *ended, *moved)}
        if not changed:
            return
        streak, requests = dict(self._fact("streaks") or {}), set()
        for id_ in sorted(changed):
            job = changed[id_]
            self._job(job, streak, now)
            if job.action == "plan" and job.asked.get("request") and job.state not in OPEN:
                requests.add((job.manifest.repository, int(job.asked["request"])))
        for repository, request in sorted(requests):
            self._comment(repository, request, now)
        self._keep("streaks", streak)
        self._keep("jobs", {"last": max(seen["last"], *changed), "open": states})

    def _job(self, job: Job, streak: dict[str, Any], now: float) -> None:
        name = self._name_in(job)
        if job.manifest.repository in self._apis:
            later = self._queue.job(job.replaced_by) if job.replaced_by else None
            self._tell(status(job, name, later), now)
        for one in self._messages(job, name, streak, now):
            self._send(one, now, streaks.line_of(job))

    def _messages(self, job: Job, name: Name, streak: dict[str, Any], now: float) -> list[Message]:
        if job.action == "plan":
            return []
        if job.state == "approval":
            return [message("approval", job, name)]
        if job.state not in ("done", "failed"):
            return []
        line = streaks.line_of(job)
        said = streaks.after(job, streak.pop(line, None), now)
        if said.kept is not None:
            streak[line] = said.kept
        found = [message(said.event, job, name, said.count, said.since)] if said.event else []
        if job.state == "done":
            found += self._well(job, name, recovered=bool(said.event))
        return found

    def _well(self, job: Job, name: Name, recovered: bool) -> list[Message]:
        if job.told.get("policy") == "propose" and (job.told.get("url") or job.told.get("branch")):
            # What is proposed is news as long as it is something else than before.
            what = json.dumps([job.told.get(part) for part in ("url", "branch", "lock")], default=str)
            known, digest = self._fact("proposed") or {}, hashlib.sha256(what.encode()).hexdigest()[:16]
            if known.get(job.manifest.id) == digest:
                return []
            self._keep("proposed", {**known, job.manifest.id: digest})
            return [message("proposed", job, name)]
        return [] if recovered else [message("done", job, name)]

    def _comment(self, repository: str, request: int, now: float) -> None:
        """The comment of a pull request, once all plans of its newest commit are there."""
        jobs = self._queue.of_request(repository, request)
        if planned(self._database, repository).get(str(request), jobs[0].commit) != jobs[0].commit:
            # A newer commit of it has nothing to plan, which was told already.
            return
        newest: dict[Tracked, Job] = {}
        for job in jobs:
            if job.commit == jobs[0].commit:
                newest.setdefault(job.manifest, job)
        if repository not in self._apis or any(job.state in OPEN for job in newest.values()):
            return
        ended = [job for job in newest.values() if job.state in ("done", "failed")]
        if not ended:
            return
        names = {job.manifest: self._name_in(job).manifest for job in ended}
        body = comment(ended, lambda manifest: names[manifest] or manifest.path, self._page)
        facts = {"repository": repository, "request": request, "key": KEY, "body": body}
        self._tell(Telling("comment", f"{repository}/{request}/{KEY}", facts), now)

    # -- repositories -------------------------------------------------------------------------------------------

    def _repositories(self, now: float) -> None:
        before: Mapping[str, Any] = self._fact("repositories") or {}
        after = {name: self._repository(name, before.get(name, {}), now) for name in self._settings.repositories}
        if after != before:
            self._keep("repositories", after)

    def _repository(self, name: str, kept: Mapping[str, Any], now: float) -> Mapping[str, Any]:
        """Tells how a repository is, if that is news; what is kept of it then."""
        state = self._book.repository(name)
        if state.state in ("new", "ok"):
            if kept and state.state == "ok":
                self._send(repository_message(state, self._settings.url), now)
                self._mark(state, str(kept.get("held", "")), now)
            return {} if state.state == "ok" else kept
        held = state.seen if state.state in HELD_BACK else ""
        what = f"{state.state} {held}"
        if kept.get("told") == what or (state.state == "unreachable" and now - state.changed < SILENT):
            return kept
        self._send(repository_message(state, self._settings.url), now)
        self._mark(state, held, now)
        return {"told": what, "held": held}

    def _mark(self, state: RepositoryStatus, commit: str, now: float) -> None:
        """The status of a commit that is held back, or was until it was accepted."""
        if not commit or state.name not in self._apis:
            return
        page = f"{self._settings.url}/repositories" if self._settings.url else ""
        held = state.state in HELD_BACK
        if held or state.applied == commit:
            text = f"{state.state}: {state.detail or 'not applied'}" if held else "accepted"
            self._tell(status_of(state.name, commit, "failure" if held else "success", "pipeline", text, page), now)

    # -- what is live -------------------------------------------------------------------------------------------

    def _targets(self, now: float) -> bool:
        """Tells which targets are not as they were made; whether that is known of all."""
        all_told = True
        before: Mapping[str, Any] = self._fact("live") or {}
        busy = {job.manifest for job in self._queue.open() if job.state == "running"}
        after: dict[str, Any] = {}
        for one in self._book.live():
            key = f"{one.manifest.id} {one.target}"
            kept = before.get(key, {})
            if one.manifest in busy or one.state in ("starting", "unknown"):
                # It is being changed just now, or nobody knows: the next look is in time.
                after[key], all_told = kept, False
                continue
            down = one.state in _DOWN and (kept.get("ran") or kept.get("told"))
            trouble = [f"it is {one.state}" + (f": {one.detail}" if one.detail else "")] if down else []
            trouble += one.drift
            told = [one.state if down else "", *one.drift] if trouble else []
            if told != kept.get("told", []):
                name = self._name(one.manifest)
                self._send(drift_message(one.manifest, one.target, trouble, one.pinned, name, one.seen), now)
            ran = one.state == "running" or bool(kept.get("ran"))
            after[key] = {**({"ran": 1} if ran else {}), **({"told": told} if told else {})}
        if after != before:
            self._keep("live", after)
        return all_told

    # -- within -------------------------------------------------------------------------------------------------

    def _name(self, manifest: Tracked) -> Name:
        entry = self._book.entry(manifest)
        # A name that is another one's would have them tell over each other.
        return Name(entry.name if entry and not is_twice(entry) else "", self._settings.url.rstrip("/"))

    def _name_in(self, job: Job) -> Name:
        """As the job's commit calls its manifest, where that may not be applied yet."""
        name = self._name(job.manifest)
        return replace(name, manifest=job.asked.get(NAME) or name.manifest)

    def _page(self, job: Job) -> str:
        return self._name(job.manifest).job(job)

    def _send(self, one: Message, now: float, about: str = "") -> None:
        for telling in tellings(one, self._settings.messages, about):
            self._tell(telling, now)

    def _tell(self, telling: Telling | None, now: float) -> None:
        if telling is not None:
            self._book.tell(telling.kind, telling.key, _masked(telling.body, self._settings.secrets), now)

    def _fact(self, name: str) -> Any:
        return self._database.fact(f"news.{name}")

    def _keep(self, name: str, value: Any) -> None:
        self._database.keep(f"news.{name}", value)


def _masked(value: Any, secrets: Any) -> Any:
    """Without secrets, wherever in it one may stand: a command's output is masked, and who knows what else is told."""
    if isinstance(value, str):
        return mask(value, secrets)
    if isinstance(value, Mapping):
        return {key: _masked(item, secrets) for key, item in value.items()}
    return [_masked(item, secrets) for item in value] if isinstance(value, list | tuple) else value


__all__ = ["SILENT", "News"]
