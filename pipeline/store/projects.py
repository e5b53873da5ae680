"""Which manifests work with a store: where each is, when it was run last, and which steps it has now."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.digest import cache_key
from pipeline.noun import noun
from pipeline.store.database import Database
from pipeline.store.seal import opened

_DAY = 86400.0
_PROJECT, _STEPS = "project ", "steps "


@noun
class Project:
    """A manifest's file, and when it was run last (Unix time in seconds, to the day)."""

    path: str
    at: float

    def is_gone(self, before: float) -> bool:
        """Whether the manifest is not there any more, and was not run since `before`."""
        return self.at < before and not Path(self.path).exists()


def note(database: Database, name: str, path: Path, steps: Sequence[str], now: float) -> None:
    """Remembers a run of a whole manifest; written once a day, and when its steps are others."""
    known = database.memo(_PROJECT + name) or {}
    value = {"path": str(path.absolute()), "steps": cache_key(list(steps))}
    if {**value, "at": known.get("at")} == known and abs(now - known["at"]) < _DAY:
        return
    with database.transaction():
        database.remember(_STEPS + name, list(steps))
        database.remember(_PROJECT + name, {**value, "at": now})


def projects(database: Database) -> dict[str, Project]:
    """The manifests that ran here, by name."""
    rows = database.execute("SELECT key, value FROM memos WHERE key >= 'project ' AND key < 'project!'")
    found = {key.removeprefix(_PROJECT): opened(key, value) for key, value in rows}
    return {name: Project(value["path"], value["at"]) for name, value in found.items() if value}


def steps_of(database: Database, name: str) -> frozenset[str] | None:
    """The steps that a manifest had last; None when that is not known."""
    steps = database.memo(_STEPS + name)
    return None if steps is None else frozenset(steps)


def forget(database: Database, name: str) -> None:
    """Removes what is known of a manifest: its images' names and tags, and what its steps were last."""
    end = f"{name}0"
    # "/" comes before "0": a range in place of LIKE, for no letter of a name is to have a meaning of its own.
    with database.transaction():
        for table in ("images", "tags"):
            database.execute(f"DELETE FROM {table} WHERE name >= ? AND name < ?", f"{name}/", end)
        database.execute("DELETE FROM lineage WHERE step >= ? AND step < ?", f"{name} ", f"{name}!")
        database.execute("DELETE FROM memos WHERE key IN (?, ?)", _PROJECT + name, _STEPS + name)
