"""The server's own SQLite file: jobs, repositories, manifests, clocks, what is live, and what is still to be told."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import StoreError

VERSION = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, manifest TEXT NOT NULL, action TEXT NOT NULL,
    cause TEXT NOT NULL, reason TEXT NOT NULL, url TEXT NOT NULL, who TEXT NOT NULL, state TEXT NOT NULL,
    "commit" TEXT NOT NULL, asked TEXT NOT NULL, created REAL NOT NULL, started REAL NOT NULL, ended REAL NOT NULL,
    attempt INTEGER NOT NULL, exit_code INTEGER, told TEXT NOT NULL, replaced_by INTEGER, approved_by TEXT NOT NULL,
    due REAL NOT NULL);
CREATE INDEX IF NOT EXISTS jobs_state ON jobs (state, id);
CREATE INDEX IF NOT EXISTS jobs_of ON jobs (manifest, id);
CREATE INDEX IF NOT EXISTS jobs_ended ON jobs (manifest, id, state, action, started)
    WHERE state IN ('done', 'failed', 'cancelled');
CREATE TABLE IF NOT EXISTS repositories (name TEXT PRIMARY KEY, state TEXT NOT NULL, seen TEXT NOT NULL,
    applied TEXT NOT NULL, detail TEXT NOT NULL, checked REAL NOT NULL, changed REAL NOT NULL, accepted TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS manifests (id TEXT PRIMARY KEY, name TEXT NOT NULL, blob TEXT NOT NULL, uses TEXT NOT NULL,
    schedule TEXT NOT NULL, error TEXT NOT NULL, "commit" TEXT NOT NULL, gone INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS clocks (name TEXT PRIMARY KEY, said TEXT NOT NULL, fired REAL NOT NULL, due REAL NOT NULL);
CREATE TABLE IF NOT EXISTS live (manifest TEXT NOT NULL, target TEXT NOT NULL, seen REAL NOT NULL, facts TEXT NOT NULL,
    PRIMARY KEY (manifest, target));
CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, key TEXT NOT NULL,
    body TEXT NOT NULL, created REAL NOT NULL, due REAL NOT NULL, tries INTEGER NOT NULL, error TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS notes_due ON notes (due);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS audit (id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, who TEXT NOT NULL,
    what TEXT NOT NULL);
"""


class Database:
    """One connection, shared by the threads of a server; WAL, and what is committed outlives a kill. `mask` keeps
    secrets out of what others said (git, clusters, commands), before that is written.

    Raises StoreError where it cannot be used, or a newer version made it.
    """

    def __init__(self, path: Path, mask: Callable[[str], str] = lambda text: text) -> None:
        self._lock = threading.RLock()
        self._after: list[Callable[[], object]] = []
        self.path, self._mask = path, mask
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
            self._connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")
            self._make()
        except (OSError, sqlite3.Error) as error:
            raise _cannot(path, error) from error

    def _make(self) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            remedy = "use that version, or give the server another folder"
            raise StoreError(f"{self.path} was made by a newer version of pipeline", remedy=remedy)
        if version < VERSION:
            self._connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT;")

    def execute(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows that a query gives. Raises StoreError."""
        with self._lock:
            try:
                return self._connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise _cannot(self.path, error) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block, or nothing; one inside another is part of it."""
        with self._lock:
            inner = self._connection.in_transaction
            if not inner:
                self.execute("BEGIN IMMEDIATE")
            try:
                yield
                after = [] if inner else self._commit()
            except BaseException:
                if not inner:
                    self._roll_back()
                raise
        for call in after:
            call()

    def _commit(self) -> list[Callable[[], object]]:
        self.execute("COMMIT")
        after, self._after = self._after, []
        return after

    def _roll_back(self) -> None:
        self._after = []
        # SQLite has rolled back by itself after some errors, such as a full disk.
        if self._connection.in_transaction:
            self._connection.rollback()

    def after(self, call: Callable[[], object]) -> None:
        """Calls it once all that was written so far is committed: now, or at the end of the outermost transaction, when
        others may use the database again. Not at all where that is rolled back.
        """
        with self._lock:
            if self._connection.in_transaction:
                self._after.append(call)
                return
        call()

    def masked(self, value: Any) -> Any:
        """A value of JSON types without secrets in its texts."""
        if isinstance(value, str):
            return self._mask(value)
        if isinstance(value, Mapping):
            return {key: self.masked(item) for key, item in value.items()}
        return [self.masked(item) for item in value] if isinstance(value, list | tuple) else value

    def fact(self, name: str) -> Any:
        """A value of JSON types that was kept by this name; None for none."""
        rows = self.execute("SELECT value FROM facts WHERE name = ?", name)
        return json.loads(rows[0][0]) if rows else None

    def keep(self, name: str, value: Any) -> None:
        self.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", name, json.dumps(value))

    def close(self) -> None:
        with self._lock:
            self._connection.close()


def _cannot(path: Path, error: Exception) -> StoreError:
    remedy = "is the disk full, or the folder not yours? The server's folder is below PIPELINE_HOME"
    return StoreError(f"cannot use the server's database {path}: {error}", remedy=remedy)


__all__ = ["Database"]
