"""The duty that looks at what is live, several manifests with one command, so that what was changed can be mended."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pipeline.noun import noun
from pipeline.serve import drift
from pipeline.serve.book import Book
from pipeline.serve.environment import environment
from pipeline.serve.model import Job, Tracked
from pipeline.serve.names import is_twice
from pipeline.serve.ports import Commands, Git
from pipeline.serve.queue import Queue
from pipeline.serve.reconcile import Reconcile
from pipeline.serve.settings import Repository

BATCH = 50
"""Manifests of one command: starting it costs more than loading a manifest."""
EVERY = 60.0
"""Seconds after which it is seen that manifests came or went."""
_NEAR = 0.1
"""The share of the interval that a look may be early, to go along with others."""
_PLACE = ".looks"
_NEVER = float("inf")


@noun
class Kit:
    """What looks are done with; `environ` is the server's environment."""

    repositories: Mapping[str, Repository]
    gits: Mapping[str, Git]
    commands: Commands
    book: Book
    queue: Queue
    environ: Mapping[str, str]


class Looks:
    """`ports.Duty`. A repository's `policies.look` is the interval."""

    name = "looks"

    def __init__(self, kit: Kit) -> None:
        self._kit, self._reconcile = kit, Reconcile(kit.book, kit.queue)
        self._known: dict[str, str] = {}
        self._due: dict[str, float] = {}
        self._changed: deque[str] = deque()
        self._refreshed = 0.0

    def heard(self, job: Job) -> bool:
        """Whether a job that changed has ended and may have changed what is live: that is looked at with the next call.
        For any thread.
        """
        ended = job.state in ("done", "failed", "cancelled") and drift.deploys(job)
        if ended:
            self._changed.append(job.manifest.id)
        return ended

    def due(self, now: float) -> float | None:
        if self._changed or now < self._refreshed:
            return now
        return min([self._refreshed + EVERY, *self._due.values()])

    def do(self, now: float) -> None:
        """Looks at some of those that are due. Raises PipelineError where a repository cannot be read."""
        if now - self._refreshed >= EVERY or now < self._refreshed:
            self._refresh(now)
        while self._changed:
            if Tracked.of(id_ := self._changed.popleft()).repository in self._kit.repositories:
                self._due[id_] = 0.0
        busy = {job.manifest.id for job in self._kit.queue.open() if job.state == "running" and job.action != "plan"}
        for id_ in busy & self._due.keys():
            # Its end makes it due.
            self._due[id_] = max(self._due[id_], now + EVERY)
        if batch := self._batch(busy, now):
            self._look(self._kit.repositories[batch[0].repository], batch, now)

    def _batch(self, busy: Collection[str], now: float) -> list[Tracked]:
        """Manifests of one repository, the one that is due for longest first; none where none is."""
        order = sorted((due, id_) for id_, due in self._due.items() if id_ not in busy)
        if not order or order[0][0] > now:
            return []
        name = Tracked.of(order[0][1]).repository
        look = self._kit.repositories[name].policies.look or _NEVER
        near = now + (look * _NEAR if look < _NEVER else 0.0)
        batch = [one for due, id_ in order if due <= near and (one := Tracked.of(id_)).repository == name][:BATCH]
        for one in batch:
            # Whatever comes of it, it is not looked at again at once.
            self._due[one.id] = now + look
        return batch

    def _refresh(self, now: float) -> None:
        """Manifests that are new or have gone."""
        self._refreshed = now
        there = self._kit.book.hashes()
        for id_ in self._due.keys() - there.keys():
            del self._due[id_]
        for id_, blob in there.items():
            repository = self._kit.repositories.get(Tracked.of(id_).repository)
            known = self._known.get(id_) == blob or self._due.get(id_, _NEVER) < _NEVER
            if repository and repository.policies.look and not known:
                self._due[id_] = self._first(id_, blob, repository.policies.look, now)
        self._known = there

    def _first(self, id_: str, blob: str, look: float, now: float) -> float:
        left = self._reconcile.left(Tracked.of(id_))
        if left.idle == blob:
            return _NEVER
        return min(left.looked, now) + look if left.looked and not left.idle else now

    # -- one look -----------------------------------------------------------------------------------------------

    def _look(self, repository: Repository, manifests: Sequence[Tracked], now: float) -> None:
        kit = self._kit
        commit, git = kit.book.repository(repository.name).applied, kit.gits.get(repository.name)
        if not commit or git is None:
            return
        # The services by its name are another one's.
        twice = {one.manifest for one in kit.book.entries_of([one.id for one in manifests]) if is_twice(one)}
        manifests = [manifest for manifest in manifests if manifest not in twice]
        before = {manifest: self._reconcile.last(manifest) for manifest in manifests}
        with git.at(commit, _PLACE) as folder:
            there = [manifest for manifest in manifests if (folder / manifest.path).is_file()]
            paths = [manifest.path for manifest in there]
            words = ["status", *paths, "--output", "json"]
            said = kit.commands.ask(words, environment(kit.environ, repository), folder) if there else (0, "[]", "")
        rows = answers(paths, *said)
        for manifest in there:
            found = rows[manifest.path]
            if not self._reconcile.settle(repository, manifest, before[manifest], found, now):
                self._due[manifest.id] = 0.0
            elif found == []:
                self._reconcile.idle(manifest, self._known.get(manifest.id, ""))
                self._due[manifest.id] = _NEVER


def answers(paths: Sequence[str], code: int, out: str, err: str) -> Mapping[str, Sequence[Mapping[str, Any]] | str]:
    """What `pipeline status PATHS… --output json` said: each manifest's rows, or why there are none."""
    try:
        rows = json.loads(out)
    except ValueError:
        rows = None
    if not isinstance(rows, list):
        said = next((line for line in err.splitlines() if line.strip()), "")
        why = said.removeprefix("error: ") or f"the command ended with exit code {code}"
        return dict.fromkeys(paths, why)
    found: dict[str, list[Mapping[str, Any]] | str] = {path: [] for path in paths}
    for row in rows:
        path = row.get("manifest", paths[0])
        there = found[path]
        if "error" in row:
            found[path] = str(row["error"]).partition("\n")[0]
        elif isinstance(there, list):
            there.append(row)
    return found


__all__ = ["BATCH", "Kit", "Looks", "answers"]
