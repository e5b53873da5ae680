"""A connection to the store's SQLite file: opened, made, shared by threads, and set aside where it is damaged."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import StoreError
from pipeline.store import read_only
from pipeline.store.quarantine import FOLDER, set_aside
from pipeline.store.reserve import keep
from pipeline.store.schema import FROM_1, SCHEMA, SEALED, VERSION
from pipeline.store.scratch import cannot_write, is_full
from pipeline.store.seal import opened, sealed

_LOOK = 1.0
"""Seconds after which it is looked whether the file is still the one that was opened."""
_SET_ASIDE = "run `pipeline store verify`: it sets the file aside, and the next run makes anew what it knew"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other process makes the tables meanwhile: SQLite does not wait when two change to WAL at the same time."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class Connection:
    """One connection, shared by the threads of a process; WAL, so a kill loses nothing committed. Another process may
    set the file aside and begin a new one: that is noticed after `look` seconds, and the new one is opened.

    Where it may not be written it can be read, and remembers nothing. With `mend` a file that is damaged is set aside,
    and one without anything takes its place: `mended` says so. With `late` nothing is opened before something is asked,
    so that a file which cannot be used is an error then, each time, until it can be.
    """

    def __init__(self, path: Path, mend: bool = False, late: bool = False, look: float = _LOOK) -> None:
        self._lock = threading.RLock()
        self._path, self._mend, self._look = path, mend, look
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._looked = 0.0
        self.read_only = False
        self.mended = ""
        if not late:
            self._begin()

    def _begin(self) -> sqlite3.Connection:
        try:
            return self._open()
        except sqlite3.Error as error:
            if not (self._mend and is_damage(error)):
                raise self._failed(error) from error
            self._set_aside()
            return self._reopened()
        except OSError as error:
            raise cannot_write(error, self._path.parent) from error

    def _reopened(self) -> sqlite3.Connection:
        try:
            return self._open()
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _open(self) -> sqlite3.Connection:
        # What is found damaged is this file, and not one that takes its place meanwhile.
        self._file = identity(self._path)
        self.read_only = read_only.is_so(self._path)
        if self.read_only:
            connection = read_only.connect(self._path)
        else:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, timeout=30, check_same_thread=False, isolation_level=None)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._file, self._looked = identity(self._path), time.monotonic()
        self._connection = connection
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        # What a disk has altered is told by a row's checksum, and is no reason to fail.
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        connection.execute("PRAGMA synchronous=NORMAL")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version < VERSION and not self.read_only:
            # Before the tables: once they are there, nobody comes by here again.
            keep(self._path.parent)
            with _alone(self._path.parent):
                _create(connection)
        if version > VERSION:
            raise StoreError(
                f"the store's database {self._path} was written by a newer version of pipeline",
                remedy="use that version, or another PIPELINE_HOME",
            )

    def _live(self) -> sqlite3.Connection:
        """The connection; a new one where there is none, or another file is where its own was."""
        if self._connection is None:
            return self._begin()
        if self._connection.in_transaction or time.monotonic() - self._looked < self._look:
            return self._connection
        self._looked = time.monotonic()
        if identity(self._path) == self._file:
            return self._connection
        # SQLite leaves the new file's log alone: it sees that its own file was moved.
        self._close()
        return self._begin()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _set_aside(self) -> None:
        """Moves the damaged file away, unless another process has put a new one in its place."""
        folder = self._path.parent / FOLDER
        with contextlib.suppress(OSError), _alone(self._path.parent):
            if self._file is not None and self._file == identity(self._path):
                for end in ("-shm", "-wal", ""):
                    set_aside(self._path.with_name(self._path.name + end), folder)
                fact = f"the store's database was damaged, and is set aside in {folder}"
                self.mended = f"{fact}: what it knew is made anew"

    def execute(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows that a statement gives. Raises StoreError."""
        try:
            with self._lock:
                return self._live().execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _failed(self, error: sqlite3.Error) -> StoreError:
        text = f"the store's database {self._path} failed: {error}"
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if is_damage(error):
            if not self._mend:
                return StoreError(text, remedy=_SET_ASIDE)
            self._set_aside()
            self._looked = -self._look
            return StoreError(text, remedy="run the build again: the file is set aside, and what it knew made anew")
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return StoreError(text, remedy="wait for the other run to end", transient=True)
        if code == sqlite3.SQLITE_CANTOPEN and not is_full(self._path.parent):
            remedy = f"check that it is a file, and the permissions of {self._path.parent}"
            return StoreError(text, remedy=remedy)
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
            return cannot_write(PermissionError(errno.EACCES, str(error)), self._path.parent, text.partition(": ")[0])
        if code == sqlite3.SQLITE_FULL or is_full(self._path.parent):
            return cannot_write(OSError(errno.ENOSPC, str(error)), self._path.parent, text.partition(": ")[0])
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
                if self._connection and self._connection.in_transaction:
                    self.execute("ROLLBACK")
                raise
            self.execute("COMMIT")

    def flaws(self) -> list[str]:
        """What SQLite finds wrong in the file; nothing when it is whole."""
        try:
            with self._lock:
                rows = self._live().execute("PRAGMA integrity_check(3)").fetchall()
        except (sqlite3.Error, StoreError) as error:
            return [str(error)]
        # A row may have several lines, with a heading between asterisks.
        lines = [line for row in rows if row[0] != "ok" for line in str(row[0]).splitlines()]
        return [line for line in lines if not line.startswith("***")] or lines

    def renew(self) -> None:
        """Sets the file aside and begins an empty one, unless another process has done so. Where it may not be moved,
        it stays.
        """
        with self._lock:
            self._close()
            self._set_aside()
            self._reopened()


def identity(path: Path) -> tuple[int, int] | None:
    """Which file it is; None where none is, or nobody can tell."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _create(connection: sqlite3.Connection) -> None:
    """Makes the tables, or brings them up to date; several processes may be at it."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("BEGIN IMMEDIATE")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    for statement in f"{SCHEMA} {FROM_1 if version == 1 else ''}".split(";"):
        connection.execute(statement)
    if 0 < version < VERSION:
        _seal(connection)
    connection.execute(f"PRAGMA user_version={max(version, VERSION)}")
    connection.execute("COMMIT")


def _seal(connection: sqlite3.Connection) -> None:
    """Gives the rows of version 3 their checksums."""
    for table, column in SEALED.items():
        if table == "files":
            connection.execute("DELETE FROM files")
            continue
        key = "name || ':' || tag" if table == "tags" else "name" if table == "images" else "key"
        for row, name, text in connection.execute(f"SELECT rowid, {key}, {column} FROM {table}").fetchall():
            if opened(name, text) is None:
                statement = f"UPDATE {table} SET {column} = ? WHERE rowid = ?"
                connection.execute(statement, (sealed(name, json.loads(text)), row))


def is_damage(error: Exception) -> bool:
    """Whether an error of SQLite says that the file itself is wrong."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


__all__ = ["Connection", "identity", "is_damage"]
