"""The store's SQLite file: what each key made, what a step's inputs were last time, and small memories."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import StoreError
from pipeline.noun import noun
from pipeline.store import read_only
from pipeline.store.quarantine import FOLDER, set_aside
from pipeline.store.reserve import keep
from pipeline.store.schema import FROM_1, SCHEMA, SEALED, VERSION
from pipeline.store.scratch import cannot_write, is_full
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


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other process makes the tables meanwhile: SQLite does not wait when two change to WAL at the same time."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class Database:
    """Tables of JSON by key. One connection, shared by the threads of a run; WAL, so a kill loses nothing committed.

    Where it may not be written it can be read, and remembers nothing. With `mend` a file that is damaged is set aside,
    and one without anything takes its place: `mended` says so.
    """

    def __init__(self, path: Path, mend: bool = False) -> None:
        self._lock = threading.RLock()
        self._path = path
        self._mend = mend
        self.mended = ""
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            if not (mend and _is_damage(error)):
                raise self._failed(error) from error
            self._set_aside()
            self._reopened()
        except OSError as error:
            raise cannot_write(error, path.parent) from error

    def _reopened(self) -> None:
        try:
            self._open()
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _open(self) -> None:
        self.read_only = read_only.is_so(self._path)
        if self.read_only:
            self._connection = read_only.connect(self._path)
        else:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self._path, timeout=30, check_same_thread=False, isolation_level=None)
        # What a disk has altered is told by a row's checksum, and is no reason to fail.
        self._connection.text_factory = lambda data: data.decode("utf-8", "replace")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version < VERSION and not self.read_only:
            # Before the tables: once they are there, nobody comes by here again.
            keep(self._path.parent)
            with _alone(self._path.parent):
                self._create()
        self._inode = self._path.stat().st_ino
        if version > VERSION:
            raise StoreError(
                f"the store's database {self._path} was written by a newer version of pipeline",
                remedy="use that version, or another PIPELINE_HOME",
            )

    def _set_aside(self) -> None:
        """Moves the damaged file away, unless another process has put a new one in its place."""
        folder = self._path.parent / FOLDER
        with contextlib.suppress(OSError), _alone(self._path.parent):
            if getattr(self, "_inode", None) in (None, self._path.stat().st_ino):
                for end in ("-shm", "-wal", ""):
                    set_aside(self._path.with_name(self._path.name + end), folder)
                fact = f"the store's database was damaged, and is set aside in {folder}"
                self.mended = f"{fact}: what it knew is made anew"

    def _create(self) -> None:
        """Makes the tables, or brings them up to date; several processes may be at it."""
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("BEGIN IMMEDIATE")
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        for statement in f"{SCHEMA} {FROM_1 if version == 1 else ''}".split(";"):
            self._connection.execute(statement)
        if 0 < version < VERSION:
            self._seal()
        self._connection.execute(f"PRAGMA user_version={max(version, VERSION)}")
        self._connection.execute("COMMIT")

    def _seal(self) -> None:
        """Gives the rows of version 3 their checksums."""
        for table, column in SEALED.items():
            if table == "files":
                self._connection.execute("DELETE FROM files")
                continue
            key = "name || ':' || tag" if table == "tags" else "name" if table == "images" else "key"
            for row, name, text in self._connection.execute(f"SELECT rowid, {key}, {column} FROM {table}").fetchall():
                if opened(name, text) is None:
                    statement = f"UPDATE {table} SET {column} = ? WHERE rowid = ?"
                    self._connection.execute(statement, (sealed(name, json.loads(text)), row))

    def execute(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        try:
            with self._lock:
                return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _failed(self, error: sqlite3.Error) -> StoreError:
        text = f"the store's database {self._path} failed: {error}"
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if _is_damage(error):
            if not self._mend:
                return StoreError(text, remedy=_SET_ASIDE)
            self._set_aside()
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
                if self._connection.in_transaction:
                    self.execute("ROLLBACK")
                raise
            self.execute("COMMIT")

    def flaws(self) -> list[str]:
        """What SQLite finds wrong in the file; nothing when it is whole."""
        try:
            with self._lock:
                rows = self._connection.execute("PRAGMA integrity_check(3)").fetchall()
        except sqlite3.Error as error:
            return [str(error)]
        return [str(row[0]) for row in rows if row[0] != "ok"]

    def renew(self) -> None:
        """Sets the file aside and begins an empty one, unless another process has done so. Where it may not be moved,
        it stays.
        """
        with self._lock:
            self._connection.close()
            self._set_aside()
            self._reopened()

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


_SET_ASIDE = "run `pipeline store verify`: it sets the file aside, and the next run makes anew what it knew"


def _read(inputs: str) -> dict[str, str]:
    """Inputs as they were; none of them where a disk has altered them: they only tell why something is done."""
    try:
        found = json.loads(inputs)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _is_damage(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
