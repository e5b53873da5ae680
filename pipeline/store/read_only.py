"""Reads a store's database where nothing may be written: SQLite wants to write beside a file in WAL mode."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote


def is_so(path: Path) -> bool:
    """Whether a database is there, and it or its folder may not be written."""
    return path.exists() and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))


def connect(path: Path) -> sqlite3.Connection:
    """The database as it is now. Raises sqlite3.Error."""
    try:
        # While others work with it their index of the log can be read (sqlite.org/wal.html, "Read-Only Databases").
        return _connected(path, "mode=ro")
    except sqlite3.OperationalError:
        log = path.with_name(path.name + "-wal")
        if not (log.exists() and log.stat().st_size):
            return _connected(path, "mode=ro&immutable=1")
    return _copied(path, log)


def _connected(path: Path, how: str) -> sqlite3.Connection:
    address = f"file:{quote(str(path.absolute()))}?{how}"
    connection = sqlite3.connect(address, uri=True, timeout=30, check_same_thread=False, isolation_level=None)
    # Nothing is opened before something is asked.
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return connection


def _copied(path: Path, log: Path) -> sqlite3.Connection:
    """A killed process left its log, which only who may write can take into the file: both are copied."""
    import shutil
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="pipeline-") as folder:
        for file in (path, log):
            shutil.copyfile(file, Path(folder, file.name))
        whole = sqlite3.connect(Path(folder, path.name))
        connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        whole.backup(connection)
        whole.close()
    connection.execute("PRAGMA query_only=ON")
    return connection
