"""The store's SQLite file: what each key made, what a step's inputs were last time, and small memories."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import StoreError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (key TEXT PRIMARY KEY, record TEXT NOT NULL, made REAL NOT NULL);
CREATE TABLE IF NOT EXISTS steps (step TEXT PRIMARY KEY, inputs TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS memos (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, stamp TEXT NOT NULL, digest TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS images (name TEXT PRIMARY KEY, digest TEXT NOT NULL, made REAL NOT NULL);
CREATE TABLE IF NOT EXISTS tags (name TEXT, tag TEXT, digest TEXT NOT NULL, moved REAL NOT NULL,
    PRIMARY KEY (name, tag));
CREATE TABLE IF NOT EXISTS journal (id INTEGER PRIMARY KEY, at REAL NOT NULL, run TEXT NOT NULL, event TEXT NOT NULL);
"""
_VERSION = 1


class Database:
    """Tables of JSON by key. One connection, shared by the threads of a run; WAL, so a kill loses nothing committed."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=30, check_same_thread=False, isolation_level=None)
            self._connection.execute("PRAGMA synchronous=NORMAL")
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if version < _VERSION:
                self._create()
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"the store's database {path} cannot be used: {error}",
                remedy="check the folder's permissions, or move the file away and run again",
            ) from error
        if version > _VERSION:
            raise StoreError(
                f"the store's database {path} was written by a newer version of pipeline",
                remedy="use that version, or another PIPELINE_HOME",
            )

    def _create(self) -> None:
        """Makes the tables; several processes may be at it."""
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version={_VERSION}; COMMIT;")

    def execute(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        try:
            with self._lock:
                return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _failed(self, error: sqlite3.Error) -> StoreError:
        text = f"the store's database {self._path} failed: {error}"
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return StoreError(text, remedy="move the file away and run again: what it knew is found out anew")
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return StoreError(text, remedy="wait for the other run to end", transient=True)
        return StoreError(text, remedy="check the space and the permissions of the store's disk")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, for several writes at once."""
        with self._lock:
            self.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                # SQLite has rolled back by itself after some errors, such as a full disk.
                if self._connection.in_transaction:
                    self.execute("ROLLBACK")
                raise
            self.execute("COMMIT")

    def record(self, key: str) -> dict[str, Any] | None:
        """What a cache key made."""
        rows = self.execute("SELECT record FROM keys WHERE key = ?", key)
        return json.loads(rows[0][0]) if rows else None

    def keep(self, key: str, record: Mapping[str, Any], step: str, inputs: Mapping[str, str]) -> None:
        """Commits a step's result, and its inputs for the next plan to compare with."""
        with self.transaction():
            self.execute("INSERT OR REPLACE INTO keys VALUES (?, ?, ?)", key, json.dumps(record), time.time())
            self.execute("INSERT OR REPLACE INTO steps VALUES (?, ?)", step, json.dumps(dict(inputs)))

    def forget(self, key: str) -> None:
        self.execute("DELETE FROM keys WHERE key = ?", key)

    def last_inputs(self, step: str) -> dict[str, str] | None:
        """The inputs with which a step ended well last."""
        rows = self.execute("SELECT inputs FROM steps WHERE step = ?", step)
        return json.loads(rows[0][0]) if rows else None

    def memo(self, key: str) -> Any:
        """A remembered value, or None. Memos save time only: losing all of them changes no result."""
        rows = self.execute("SELECT value FROM memos WHERE key = ?", key)
        return json.loads(rows[0][0]) if rows else None

    def remember(self, key: str, value: Any) -> None:
        self.execute("INSERT OR REPLACE INTO memos VALUES (?, ?)", key, json.dumps(value))
