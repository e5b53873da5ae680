"""The store's SQLite file: what each key made, what a step's inputs were last time, and small memories."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from pipeline.noun import noun
from pipeline.store.connection import Connection
from pipeline.store.seal import opened, sealed


@noun
class Made:
    """A step's result: its key, the inputs by name as they were, and when it was made (Unix time in seconds, 0 where
    that is not known).
    """

    key: str
    inputs: Mapping[str, str]
    at: float


@noun
class Lineage:
    """What a step made last, and before that from other inputs."""

    last: Made
    before: Made | None = None


_NOTE = """
INSERT INTO lineage (step, key, inputs, made) VALUES (?, ?, ?, ?)
ON CONFLICT (step) DO UPDATE SET
    key_before = CASE WHEN key = excluded.key THEN key_before ELSE key END,
    inputs_before = CASE WHEN key = excluded.key THEN inputs_before ELSE inputs END,
    made_before = CASE WHEN key = excluded.key THEN made_before ELSE made END,
    key = excluded.key, inputs = excluded.inputs, made = excluded.made
"""


class Database(Connection):
    """Tables of JSON by key."""

    def record(self, key: str) -> dict[str, Any] | None:
        """What a cache key made."""
        rows = self.execute("SELECT record FROM keys WHERE key = ?", key)
        found: dict[str, Any] | None = opened(key, rows[0][0]) if rows else None
        return found

    def adopt(self, key: str, record: Mapping[str, Any]) -> None:
        """Takes over what another machine made; no step is noted as having ended here."""
        if not self.read_only:
            self.execute("INSERT OR REPLACE INTO keys VALUES (?, ?, ?)", key, sealed(key, record), time.time())

    def keep(self, key: str, record: Mapping[str, Any], step: str, inputs: Mapping[str, str]) -> None:
        """Commits a step's result, and its inputs for the next plan to compare with."""
        now = time.time()
        with self.transaction():
            self.execute("INSERT OR REPLACE INTO keys VALUES (?, ?, ?)", key, sealed(key, record), now)
            self.note(key, step, inputs, now)

    def note(self, key: str, step: str, inputs: Mapping[str, str], at: float) -> None:
        """Keeps that a step now is what `key` made at a time; what it was until now, when that is another, stays
        known as what was before.
        """
        self.execute(_NOTE, step, key, json.dumps(dict(inputs)), at)

    def forget(self, key: str) -> None:
        self.execute("DELETE FROM keys WHERE key = ?", key)

    def made(self, key: str) -> float:
        """When a key's result was made (Unix time in seconds); 0 for none."""
        rows = self.execute("SELECT made FROM keys WHERE key = ?", key)
        return float(rows[0][0]) if rows else 0.0

    def last_inputs(self, step: str) -> dict[str, str] | None:
        """The inputs with which a step ended well last; none of them where they were not kept."""
        rows = self.execute("SELECT inputs FROM lineage WHERE step = ?", step)
        return _read(rows[0][0]) if rows else None

    def last_keys(self, prefix: str) -> dict[str, str]:
        """The key of what each step last was whose name begins so, by the step's name."""
        # A range instead of LIKE: it uses the index, and no letter of a name has a meaning of its own.
        return dict(
            self.execute("SELECT step, key FROM lineage WHERE step >= ? AND step < ?", prefix, prefix + "\U0010ffff")
        )

    def lineage(self, step: str) -> Lineage | None:
        """What a step made last and before; None for a step that never ended well."""
        rows = self.execute("SELECT * FROM lineage WHERE step = ?", step)
        if not rows:
            return None
        _, key, inputs, made, key_before, inputs_before, made_before = rows[0]
        before = Made(key_before, _read(inputs_before), made_before) if key_before else None
        return Lineage(Made(key, _read(inputs), made), before)

    def memo(self, key: str) -> Any:
        """A remembered value, or None. Memos save time only: losing all of them changes no result."""
        rows = self.execute("SELECT value FROM memos WHERE key = ?", key)
        return opened(key, rows[0][0]) if rows else None

    def remember(self, key: str, value: Any) -> None:
        if not self.read_only:
            self.execute("INSERT OR REPLACE INTO memos VALUES (?, ?)", key, sealed(key, value))


def _read(inputs: str) -> dict[str, str]:
    """Inputs as they were; none of them where a disk has altered them: they only tell why something is done."""
    try:
        found = json.loads(inputs)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


__all__ = ["Database", "Lineage", "Made"]
