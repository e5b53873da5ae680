"""The server's book: how repositories are, which manifests they have, what is live, and what is still to be told."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.noun import noun
from pipeline.serve.database import Database
from pipeline.serve.model import Entry, Live, Note, RepositoryStatus, Tracked


@noun
class Tick:
    """A clock that jobs come from (a manifest's schedule, a look at its bases): what it is set to, as text, when it
    fired last and when it is due (Unix times in seconds).
    """

    name: str
    said: str
    fired: float
    due: float


class Book:
    """Reads and writes all but the queue. Raises StoreError when the database cannot be used."""

    def __init__(self, database: Database) -> None:
        self.database = database

    # -- repositories and their manifests -----------------------------------------------------------------------

    def repository(self, name: str) -> RepositoryStatus:
        rows = self.database.execute("SELECT * FROM repositories WHERE name = ?", name)
        return RepositoryStatus(*rows[0]) if rows else RepositoryStatus(name)

    def put_repository(self, status: RepositoryStatus) -> None:
        status = replace(status, detail=self.database.masked(status.detail))
        values = [getattr(status, name) for name in status.__dataclass_fields__]
        self.database.execute("INSERT OR REPLACE INTO repositories VALUES (?, ?, ?, ?, ?, ?, ?, ?)", *values)

    def entries(self, repository: str = "") -> list[Entry]:
        """The manifests of a repository, or of all, by their ids."""
        least, end = (f"{repository}/", f"{repository}0") if repository else ("", "\U0010ffff")
        rows = self.database.execute("SELECT * FROM manifests WHERE id >= ? AND id < ? ORDER BY id", least, end)
        return [_entry(row) for row in rows]

    def has_entries(self, repository: str, error: str = "") -> bool:
        """Whether a repository has any manifest; one whose error begins so."""
        query = "SELECT 1 FROM manifests WHERE id >= ? AND id < ? AND substr(error, 1, ?) = ? LIMIT 1"
        return bool(self.database.execute(query, f"{repository}/", f"{repository}0", len(error), error))

    def entry(self, manifest: Tracked) -> Entry | None:
        rows = self.database.execute("SELECT * FROM manifests WHERE id = ?", manifest.id)
        return _entry(rows[0]) if rows else None

    def entries_of(self, ids: Sequence[str]) -> list[Entry]:
        """Several manifests by their ids, in one query."""
        chosen = "WHERE id IN (SELECT value FROM json_each(?))"
        return [_entry(row) for row in self.database.execute(f"SELECT * FROM manifests {chosen}", json.dumps(ids))]

    def put_entry(self, entry: Entry) -> None:
        self.database.execute(
            "INSERT OR REPLACE INTO manifests VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            *(entry.manifest.id, entry.name, entry.blob, json.dumps(entry.uses), json.dumps(entry.schedule)),
            *(self.database.masked(entry.error), entry.commit, int(entry.gone)),
        )

    def gone(self, repository: str) -> list[str]:
        """The paths of manifests that were deleted, and are not forgotten."""
        query = "SELECT id FROM manifests WHERE gone = 1 AND id >= ? AND id < ? ORDER BY id"
        return [Tracked.of(row[0]).path for row in self.database.execute(query, f"{repository}/", f"{repository}0")]

    def hashes(self) -> dict[str, str]:
        """The manifests that are there and can be read (their ids), with their Git hashes."""
        return dict(self.database.execute("SELECT id, blob FROM manifests WHERE gone = 0 AND error = ''"))

    def forget_entry(self, manifest: Tracked) -> None:
        """Of a manifest that is gone, and whose services are."""
        self.database.execute("DELETE FROM manifests WHERE id = ?", manifest.id)
        self.database.execute("DELETE FROM live WHERE manifest = ?", manifest.id)

    # -- clocks -------------------------------------------------------------------------------------------------

    def schedules(self) -> dict[str, str]:
        """The manifests that have a schedule (their ids), with what they say of it, as JSON text."""
        query = "SELECT id, schedule FROM manifests WHERE schedule NOT IN ('null', '{}') AND gone = 0 AND error = ''"
        return dict(self.database.execute(query))

    def ticks(self) -> dict[str, Tick]:
        return {row[0]: Tick(*row) for row in self.database.execute("SELECT * FROM clocks")}

    def put_tick(self, tick: Tick) -> None:
        self.database.execute(
            "INSERT OR REPLACE INTO clocks VALUES (?, ?, ?, ?)", *(tick.name, tick.said, tick.fired, tick.due)
        )

    def forget_tick(self, name: str) -> None:
        self.database.execute("DELETE FROM clocks WHERE name = ?", name)

    # -- what is live -------------------------------------------------------------------------------------------

    def live(self, manifest: Tracked | None = None) -> list[Live]:
        where, values = ("WHERE manifest = ?", [manifest.id]) if manifest else ("", [])
        rows = self.database.execute(f"SELECT * FROM live {where} ORDER BY manifest, target", *values)
        return [_live(row) for row in rows]

    def live_of(self, ids: Sequence[str]) -> list[Live]:
        """The targets of several manifests (their ids), in one query."""
        chosen = "WHERE manifest IN (SELECT value FROM json_each(?)) ORDER BY manifest, target"
        return [_live(row) for row in self.database.execute(f"SELECT * FROM live {chosen}", json.dumps(ids))]

    def put_live(self, manifest: Tracked, seen: Iterable[Live]) -> None:
        """All targets of a manifest, as they were seen; others that it had are forgotten."""
        with self.database.transaction():
            self.database.execute("DELETE FROM live WHERE manifest = ?", manifest.id)
            for one in seen:
                facts = {name: getattr(one, name) for name in one.__dataclass_fields__ if name not in _PLACE}
                facts |= {name: self.database.masked(facts[name]) for name in ("detail", "drift")}
                self.database.execute(
                    "INSERT INTO live VALUES (?, ?, ?, ?)", *(manifest.id, one.target, one.seen, json.dumps(facts))
                )

    def live_facts(self) -> dict[tuple[str, str], str]:
        """What is known of each target, by manifest (its id) and name: text that is another when that changed."""
        rows = self.database.execute("SELECT manifest, target, facts FROM live")
        return {(manifest, target): facts for manifest, target, facts in rows}

    # -- what is to be told -------------------------------------------------------------------------------------

    def tell(self, kind: str, key: str, body: Mapping[str, Any], now: float) -> None:
        """Keeps a note until it was delivered; it takes the place of one of the same kind and key that still waits."""
        with self.database.transaction():
            self.database.execute("DELETE FROM notes WHERE kind = ? AND key = ?", kind, key)
            self.database.execute(
                "INSERT INTO notes (kind, key, body, created, due, tries, error) VALUES (?, ?, ?, ?, ?, 0, '')",
                *(kind, key, json.dumps(dict(body)), now, now),
            )

    def notes(self, due: float) -> list[Note]:
        """Those to be delivered by then, the oldest first."""
        rows = self.database.execute("SELECT * FROM notes WHERE due <= ? ORDER BY id", due)
        return [Note(row[0], row[1], row[2], json.loads(row[3]), *row[4:]) for row in rows]

    def next_note(self) -> float | None:
        """When the next is to be delivered (Unix time); None where none waits."""
        rows = self.database.execute("SELECT min(due) FROM notes")
        return rows[0][0] if rows else None

    def told(self, note: Note) -> None:
        """It was delivered, or given up."""
        self.database.execute("DELETE FROM notes WHERE id = ?", note.id)

    def untold(self, note: Note, due: float, error: str) -> None:
        """It could not be delivered, and is due again."""
        self.database.execute(
            "UPDATE notes SET tries = tries + 1, due = ?, error = ? WHERE id = ?", *(due, error, note.id)
        )

    # -- who did what -------------------------------------------------------------------------------------------

    def audit(self, at: float, who: str, what: str) -> None:
        self.database.execute("INSERT INTO audit (at, who, what) VALUES (?, ?, ?)", at, who, self.database.masked(what))

    def audited(self, most: int) -> list[tuple[float, str, str]]:
        """(Unix time, who, what), the newest first."""
        rows = self.database.execute("SELECT at, who, what FROM audit ORDER BY id DESC LIMIT ?", most)
        return [(at, who, what) for at, who, what in rows]


_PLACE = ("manifest", "target", "seen")


def _entry(row: tuple[Any, ...]) -> Entry:
    id_, name, blob, uses, schedule, error, commit, gone = row
    return Entry(Tracked.of(id_), name, blob, tuple(json.loads(uses)), json.loads(schedule), error, commit, bool(gone))


def _live(row: tuple[Any, ...]) -> Live:
    id_, target, seen, facts = row
    values = json.loads(facts)
    return Live(Tracked.of(id_), target, seen, **{**values, "drift": tuple(values.get("drift", ()))})


__all__ = ["Book", "Tick"]
