"""The server's own SQLite file: jobs, repositories, manifests, clocks, what is live, and what is still to be told."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import StoreError
from pipeline.serve import opening
from pipeline.serve.tables import TABLES, VERSION
from pipeline.store.connection import is_damage

_LOOK = 1.0
"""Seconds after which it is looked whether its files are still there."""


class Database:
    """One connection, shared by the threads of a server; WAL, and what is committed outlives a kill. `mask` keeps
    secrets out of what others said (git, clusters, commands), before that is written.

    A file that is damaged is set aside at the start: `lost` says so. `begun` is called in the transaction that makes
    the tables of an empty file, so that what follows from that is known together with them. Of damage that is met
    later nothing more is read or written. A file that is removed meanwhile is written again, which `say` is told of.

    Raises StoreError where it cannot be used, or a newer version made it.
    """

    def __init__(
        self,
        path: Path,
        mask: Callable[[str], str] = lambda text: text,
        begun: Callable[[Database], None] = lambda _database: None,
        say: Callable[[str], None] = lambda _line: None,
        look: float = _LOOK,
    ) -> None:
        self._lock = threading.RLock()
        self._after: list[Callable[[], object]] = []
        self.path, self._mask, self._say, self._look = path, mask, say, look
        self._broken: tuple[str, str] | None = None
        self._failing = False
        self._looked = time.monotonic()
        self._files: opening.Files = (None, None)
        try:
            self._connection, self.lost = opening.opened(path)
            self._make(begun)
            self._files = opening.files(path)
        except (OSError, sqlite3.Error) as error:
            raise opening.cannot(path, error) from error

    def _make(self, begun: Callable[[Database], None]) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            remedy = "use that version, or give the server another folder"
            raise StoreError(f"{self.path} was made by a newer version of pipeline", remedy=remedy)
        self._connection.execute("PRAGMA journal_mode = WAL")
        if version < VERSION:
            with self.transaction():
                for statement in TABLES.split(";"):
                    self.execute(statement)
                if not version:
                    begun(self)
                self.execute(f"PRAGMA user_version = {VERSION}")

    def execute(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows that a query gives. Raises StoreError."""
        with self._lock:
            try:
                return self._live().execute(query, values).fetchall()
            except (OSError, sqlite3.Error) as error:
                raise self._failed(error) from error

    def _live(self) -> sqlite3.Connection:
        """The connection, whose files are where they were."""
        if self._broken:
            raise self._error()
        if self._connection.in_transaction or time.monotonic() - self._looked < self._look:
            return self._connection
        found = opening.files(self.path)
        if None in self._files:
            self._files = found
        elif found != self._files:
            self._put_back(found)
        self._looked = time.monotonic()
        return self._connection

    def _put_back(self, found: opening.Files) -> None:
        if found[0] not in (None, self._files[0]):
            fact = f"another file was put in the place of the server's database {self.path} while it was open"
            self._broken = (fact, "start the server anew with the one that is meant")
            raise self._error()
        self._connection = opening.written_again(self.path, self._connection)
        self._files = opening.files(self.path)
        self._say(f"{self.path} was removed while it was open: all of it is written again")

    def _error(self) -> StoreError:
        fact, remedy = self._broken or ("", "")
        return StoreError(fact, remedy=remedy)

    def _failed(self, error: Exception) -> StoreError:
        self._failing = True
        failed = opening.cannot(self.path, error)
        if is_damage(error):
            self._broken = (failed.message, failed.remedy)
        return failed

    def check(self) -> None:
        """Raises StoreError where it cannot be used now. After something has failed, a write tells whether that is
        over.
        """
        if self._failing:
            self.keep("checked", time.time())
            self._failing = False
        self.execute("SELECT count(*) FROM repositories")

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
        with contextlib.suppress(sqlite3.Error):
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

    def facts(self, beginning: str) -> dict[str, Any]:
        """Those that are kept by names with this beginning."""
        rows = self.execute("SELECT name, value FROM facts WHERE substr(name, 1, ?) = ?", len(beginning), beginning)
        return {name: value for name, text in rows if (value := json.loads(text)) is not None}

    def keep(self, name: str, value: Any) -> None:
        self.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", name, json.dumps(value))

    def forget(self, name: str) -> None:
        """Of what was kept by a name; nothing where nothing was."""
        self.execute("DELETE FROM facts WHERE name = ?", name)

    def close(self) -> None:
        with self._lock:
            self._connection.close()


__all__ = ["Database"]
