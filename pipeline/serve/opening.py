"""The server's SQLite file itself: opened and checked, set aside where damaged, written again where it was removed."""

from __future__ import annotations

import errno
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from pipeline.errors import StoreError
from pipeline.store.connection import identity, is_damage
from pipeline.store.scratch import is_full

FOLDER = "damaged"
"""Beside the database: what was set aside, each time in a folder of its own."""
_LOG, _INDEX = "-wal", "-shm"
_ENDS = (_LOG, _INDEX, "")
_RESTART = "start the server anew: it sets the file aside, and asks before it runs anything (docs/serve.md)"


class Flawed(sqlite3.DatabaseError):
    """What SQLite finds wrong in a file that it can open."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def opened(path: Path) -> tuple[sqlite3.Connection, str]:
    """A connection, and where a damaged file was set aside ("" for none): an empty one has begun then.

    Raises sqlite3.Error, OSError, and StoreError where what is damaged cannot be moved away.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = _connection(path)
    try:
        return _checked(connection), ""
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            connection.close()
            raise
        folder, flaw = aside(path.parent), str(error)
    try:
        _move(path, folder)
    except OSError as error:
        fact = f"the server's database {path} is damaged ({flaw}), and cannot be moved to {folder}: {error.strerror}"
        raise StoreError(fact, remedy=f"let the user that runs the server write {path.parent}") from error
    finally:
        # Only now: SQLite would write its log into the damaged file, and remove it.
        connection.close()
    return _checked(_connection(path)), f"{path.name} was damaged ({flaw}), and is set aside in {folder}"


def aside(state: Path) -> Path:
    """A folder for what is set aside now."""
    return state / FOLDER / time.strftime("%Y-%m-%dT%H-%M-%SZ", time.gmtime())


def _connection(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)


def _checked(connection: sqlite3.Connection) -> sqlite3.Connection:
    for flaw in connection.execute("PRAGMA quick_check(1)"):
        if flaw[0] != "ok":
            raise Flawed(str(flaw[0]).replace("\n", " "))
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def _move(path: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for end in _ENDS:
        one = path.with_name(path.name + end)
        if one.exists():
            one.replace(folder / one.name)


Files = tuple[tuple[int, int] | None, tuple[int, int] | None]


def files(path: Path) -> Files:
    """Which file the database is, and which its log, without opening them."""
    return identity(path), identity(path.with_name(path.name + _LOG))


def written_again(path: Path, held: sqlite3.Connection) -> sqlite3.Connection:
    """A connection to a new file at `path` with all that an open one holds whose file, or log, was removed. `held` is
    closed. Raises sqlite3.Error, OSError.
    """
    made = path.with_name(f".{path.name}.new")
    made.parent.mkdir(parents=True, exist_ok=True)
    made.unlink(missing_ok=True)
    with closing(sqlite3.connect(made)) as whole:
        held.backup(whole)
    held.close()
    for end in (_LOG, _INDEX):
        # SQLite would take the old file's log for the new one's.
        path.with_name(path.name + end).unlink(missing_ok=True)
    made.replace(path)
    for end in (_LOG, _INDEX):
        made.with_name(made.name + end).unlink(missing_ok=True)
    return _checked(_connection(path))


def cannot(path: Path, error: Exception) -> StoreError:
    """What SQLite or the file system said, with the remedy for that."""
    what = f"cannot use the server's database {path}: {error}"
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    number = error.errno if isinstance(error, OSError) else None
    if is_damage(error):
        return StoreError(what, remedy=_RESTART)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(what, remedy="end what else has it open (sqlite3, a backup)", transient=True)
    if code == sqlite3.SQLITE_FULL or number in (errno.ENOSPC, errno.EDQUOT) or is_full(path.parent):
        return StoreError(what, remedy=f"the disk is full: make room on that of {path.parent}", transient=True)
    if code in _RIGHTS or number in (errno.EACCES, errno.EPERM, errno.EROFS):
        remedy = f"let the user that runs the server write {path.parent}; is its disk mounted read-only?"
        return StoreError(what, remedy=remedy)
    return StoreError(what, remedy="is the disk in order? The system's log may say more (dmesg)")


_RIGHTS = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN)


__all__ = ["aside", "cannot", "files", "opened", "written_again"]
