"""The store's database: kept through kills, shared by processes, and clear about damage."""

from __future__ import annotations

import multiprocessing
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import StoreError
from pipeline.store.database import Database

OPEN_AND_COUNT = """
import sys
from pathlib import Path
from pipeline.store.database import Database
database = Database(Path(sys.argv[1]))
for number in range(30):
    database.remember(f"{sys.argv[2]} {number}", number)
"""

KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.store.database import Database
database = Database(Path(sys.argv[1]))
database.keep("key", {"made": 1}, "step", {"a": "1"})
with database.transaction():
    database.execute("INSERT INTO memos VALUES ('half', '1')")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_result_and_its_inputs_are_kept_together(tmp_path: Path) -> None:
    database = Database(tmp_path / "store.db")
    assert (database.record("key"), database.last_inputs("step"), database.memo("m")) == (None, None, None)
    database.keep("key", {"made": ["ü", 1]}, "step", {"packer": "1"})
    database.remember("m", {"x": None})
    again = Database(tmp_path / "store.db")
    assert again.record("key") == {"made": ["ü", 1]}
    assert again.last_inputs("step") == {"packer": "1"}
    assert again.memo("m") == {"x": None}
    again.forget("key")
    assert database.record("key") is None


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "store.db")
    with pytest.raises(KeyError), database.transaction():
        database.remember("a", 1)
        raise KeyError
    assert database.memo("a") is None
    with database.transaction():
        database.remember("a", 1)
    assert database.memo("a") == 1


def test_a_kill_loses_nothing_committed_and_keeps_nothing_half(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "store.db")], check=False)
    assert ended.returncode == -9
    database = Database(tmp_path / "store.db")
    assert database.record("key") == {"made": 1}
    assert database.memo("half") is None


def test_processes_open_a_new_store_at_once(tmp_path: Path) -> None:
    commands = [[sys.executable, "-c", OPEN_AND_COUNT, str(tmp_path / "store.db"), str(n)] for n in range(4)]
    running = [subprocess.Popen(command) for command in commands]
    assert [process.wait() for process in running] == [0, 0, 0, 0]
    assert Database(tmp_path / "store.db").execute("SELECT count(*) FROM memos") == [(120,)]


def test_threads_share_one_database(tmp_path: Path) -> None:
    database = Database(tmp_path / "store.db")

    def work(name: int) -> None:
        for number in range(50):
            database.keep(f"{name} {number}", {}, f"step {name}", {})

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert database.execute("SELECT count(*) FROM keys") == [(200,)]


@pytest.mark.parametrize("content", [b"this is no database, and longer than a header" * 30, b"\0" * 5000, b"SQLite"])
def test_a_file_that_is_no_database_is_set_aside_by_who_makes_it_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"store\.db failed: .*run `pipeline store verify`"):
        Database(path)
    assert path.read_bytes() == content
    database = Database(path, mend=True)
    assert "set aside" in database.mended
    database.remember("a", 1)
    assert (tmp_path / "damaged/store.db").read_bytes() == content
    assert Database(path, mend=True).memo("a") == 1


def _filled(path: Path) -> None:
    first = Database(path)
    for number in range(300):
        first.remember(f"memo {number}", "x" * 200)
    first.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def test_damage_inside_is_told_with_its_remedy_and_mended_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    _filled(path)
    data = bytearray(path.read_bytes())
    data[8192:] = b"\xff" * (len(data) - 8192)
    path.write_bytes(data)
    with pytest.raises(StoreError, match="run `pipeline store verify`"):
        Database(path).execute("SELECT * FROM memos")
    with pytest.raises(StoreError, match="set aside"):
        Database(path, mend=True).execute("SELECT * FROM memos")
    assert Database(path).execute("SELECT * FROM memos") == []


def test_a_new_database_of_another_process_stays(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    _filled(path)
    old = Database(path, mend=True, look=3600)
    for end in ("-shm", "-wal", ""):
        (tmp_path / f"store.db{end}").rename(tmp_path / f"elsewhere{end}")
    Database(path).remember("new", 1)
    data = bytearray((tmp_path / "elsewhere").read_bytes())
    data[8192:] = b"\xff" * (len(data) - 8192)
    (tmp_path / "elsewhere").write_bytes(data)
    with pytest.raises(StoreError):
        old.execute("SELECT * FROM memos")
    assert Database(path).memo("new") == 1


@pytest.mark.parametrize("gone", [False, True])
def test_a_file_that_another_process_has_begun_anew_is_opened(tmp_path: Path, gone: bool) -> None:
    path = tmp_path / "store.db"
    stays = Database(path, look=0)
    stays.remember("old", 1)
    for end in ("-shm", "-wal", ""):
        (tmp_path / f"store.db{end}").rename(tmp_path / f"damaged{end}")
    other = None if gone else Database(path)
    if other:
        other.remember("new", 2)
    assert (stays.memo("old"), stays.memo("new")) == (None, None if gone else 2)
    stays.remember("mine", 3)
    again = Database(path)
    assert (again.memo("old"), again.memo("new"), again.memo("mine")) == (None, None if gone else 2, 3)


def test_a_transaction_stays_in_the_file_that_it_began_in(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    stays = Database(path, look=0)
    with stays.transaction():
        stays.remember("a", 1)
        path.rename(tmp_path / "damaged")
        stays.remember("b", 2)
        assert stays.memo("a") == 1
    assert stays.memo("b") is None


def test_what_is_opened_late_can_be_used_as_soon_as_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"this is no database, and longer than a header" * 30)
    late = Database(path, late=True, look=0)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"store\.db failed: .*run `pipeline store verify`"):
            late.memo("a")
    Database(path, mend=True).remember("a", 1)
    assert late.memo("a") == 1
    for end in ("-shm", "-wal", ""):
        (tmp_path / f"store.db{end}").rename(tmp_path / f"kept{end}")
    path.write_bytes(b"\xff" * 9000)
    with pytest.raises(StoreError, match="run `pipeline store verify`"):
        late.memo("a")
    assert late.flaws()
    path.unlink()
    assert late.memo("a") is None and late.flaws() == []


def test_a_text_that_a_disk_altered_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    first = Database(path)
    first.remember("memo", "sha256:aaaa")
    first.keep("key", {"digest": "sha256:aaaa"}, "step", {"input": "aaaa"})
    first.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    del first
    path.write_bytes(path.read_bytes().replace(b"sha256:aaaa", b"sha256:aaab").replace(b'"input"', b'"in\xffut"'))
    database = Database(path)
    assert (database.memo("memo"), database.record("key")) == (None, None)
    assert database.last_inputs("step") is not None


def test_a_database_of_version_3_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    Database(path).execute("PRAGMA journal_mode=DELETE")
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO keys VALUES ('key', '{\"made\": 1}', 5)")
    connection.execute("INSERT INTO memos VALUES ('m', '[1]')")
    connection.execute("INSERT INTO files VALUES ('/a', 'stamp', 'sha256:a')")
    connection.execute("PRAGMA user_version=3")
    connection.commit()
    connection.close()
    database = Database(path)
    assert (database.record("key"), database.made("key"), database.memo("m")) == ({"made": 1}, 5, [1])
    assert database.execute("SELECT * FROM files") == []


def test_a_newer_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StoreError, match="newer version"):
        Database(path)


def test_a_folder_in_its_place_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "store.db").mkdir()
    with pytest.raises(StoreError, match=r"unable to open .*check that it is a file"):
        Database(tmp_path / "store.db")


def test_what_a_step_was_before_stays_known(tmp_path: Path) -> None:
    database = Database(tmp_path / "store.db")
    assert database.lineage("shop layer code") is None
    database.keep("one", {}, "shop layer code", {"file a": "1"})
    database.keep("two", {}, "shop layer code", {"file a": "2"})
    database.keep("two", {}, "shop layer code", {"file a": "2"})
    database.keep("other", {}, "shopping layer code", {})
    known = database.lineage("shop layer code")
    assert known and known.before
    assert (known.last.key, known.last.inputs) == ("two", {"file a": "2"})
    assert (known.before.key, known.before.inputs) == ("one", {"file a": "1"})
    assert known.last.at >= known.before.at == database.made("one") > 0
    assert database.last_keys("shop ") == {"shop layer code": "two"}


def test_a_database_of_version_1_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with sqlite3.connect(path) as old:
        old.executescript(
            "CREATE TABLE keys (key TEXT PRIMARY KEY, record TEXT NOT NULL, made REAL NOT NULL);"
            "CREATE TABLE steps (step TEXT PRIMARY KEY, inputs TEXT NOT NULL);"
            "INSERT INTO keys VALUES ('one', '{\"made\": 1}', 5.0);"
            "INSERT INTO steps VALUES ('shop layer code', '{\"a.py\": \"1\"}');"
            "PRAGMA user_version=1;"
        )
    old.close()
    for _ in range(2):
        database = Database(path)
        assert database.record("one") == {"made": 1}
        assert database.last_inputs("shop layer code") == {}
        assert database.last_inputs("shop layer new") is None


def _make_many(folder: Path, start: Any) -> None:
    for number in range(60):
        start.wait()
        Database(folder / str(number) / "store.db").remember("a", 1)


def test_several_processes_may_make_it_at_the_same_time(tmp_path: Path) -> None:
    """SQLite does not wait when two change to WAL."""
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(3, timeout=60)
    processes = [context.Process(target=_make_many, args=(tmp_path, start)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
