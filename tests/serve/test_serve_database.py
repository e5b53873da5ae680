"""The server's own database when it is damaged, cut short, removed, or its disk full: nothing is lost or done twice."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servelab import Lab, manifest
from webmaker import ACT, Web, session

from pipeline.errors import StoreError
from pipeline.serve.database import Database
from pipeline.serve.model import Job, Reason, Tracked
from pipeline.serve.queue import Queue
from pipeline.serve.settings import Access
from pipeline.serve.watch import accept

ONE = Tracked("models", "manifests/one.yaml")


def tail_lost(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 4096 // 2 * 4096)


def middle_damaged(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))


def head_damaged(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"no database at all" * 10)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def removed(path: Path) -> None:
    path.unlink()


HARMS = [tail_lost, middle_damaged, head_damaged, emptied, removed]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "lab", {**manifest("one"), **manifest("two")})


def serve_db(lab: Lab) -> Path:
    return lab.folder / "home/state/serve/serve.db"


# -- at the start -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("harm", HARMS)
def test_what_is_not_known_any_more_is_held_until_somebody_accepts_it(lab: Lab, harm: Callable[[Path], None]) -> None:
    core = lab.core()
    lab.settle(core)
    last = core.queue.jobs(1)[0].id
    core.close()
    newer = lab.origin.commit({"manifests/two.txt": "second"}, "Newer text")
    harm(serve_db(lab))

    core = lab.core()
    assert "serve.db was " in core.lost and "repository models is held" in core.lost
    lab.settle(core)
    status = core.book.repository("models")
    assert (status.state, status.seen, status.applied) == ("held", newer, "")
    assert core.lost.partition(":")[0] in status.detail and f"Accept {newer[:7]}" in status.detail
    assert core.queue.jobs(9) == [] and core.journal.runs(1)[0].id == 2, "nothing is run unasked"
    core.close()

    core = lab.core()
    assert core.lost == ""
    lab.settle(core)
    assert core.book.repository("models").state == "held", "it is so after another start, too"
    accept(core.book, "models", newer)
    lab.settle(core)
    jobs = core.queue.jobs(9)
    assert [(job.manifest.path, job.state) for job in jobs] == [
        ("manifests/two.yaml", "done"),
        ("manifests/one.yaml", "done"),
    ]
    assert min(job.id for job in jobs) > last, "no number is given twice"
    assert [run.outcome for run in core.journal.runs(2)] == ["done", "nothing to do"]
    lab.origin.commit({"manifests/one.txt": "third"}, "After that")
    lab.settle(core)
    assert core.queue.jobs(1)[0].state == "done", "commits are applied by themselves again"
    core.close()


def test_what_was_damaged_is_kept_with_the_logs_of_its_jobs(lab: Lab) -> None:
    core = lab.core()
    lab.settle(core)
    core.close()
    head_damaged(serve_db(lab))
    (serve_db(lab).parent / "session.key").write_bytes(b"k" * 32)
    kept = serve_db(lab).read_bytes()
    lab.core().close()
    found = {path.name: path for path in (serve_db(lab).parent / "damaged").rglob("*")}
    assert found["serve.db"].read_bytes() == kept
    assert {"1.jsonl", "2.jsonl"} <= set(found)
    assert not (serve_db(lab).parent / "session.key").exists(), "who had signed out is not known any more"


def test_a_first_start_is_no_loss(lab: Lab) -> None:
    core = lab.core()
    assert core.lost == ""
    lab.settle(core)
    assert core.book.repository("models").state == "ok"
    core.close()


def test_a_repository_that_is_new_is_not_held(lab: Lab) -> None:
    core = lab.core()
    lab.settle(core)
    core.close()
    removed(serve_db(lab))
    lab.config.write_text(lab.config.read_text().replace("{models:", "{fresh: {url: origin, folders: [.]}, models:"))
    core = lab.core()
    lab.settle(core)
    assert core.book.repository("fresh").state == "ok" and core.book.repository("models").state == "held"
    core.close()


def test_a_kill_in_the_middle_of_beginning_anew_forgets_no_loss(tmp_path: Path) -> None:
    path = tmp_path / "serve.db"

    def killed(_database: Database) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Database(path, begun=killed)
    begun: list[str] = []
    Database(path, begun=lambda one: begun.append(str(one.fact("x"))))
    assert begun == ["None"]
    Database(path, begun=lambda _one: begun.append("twice"))
    assert begun == ["None"]


def test_what_a_newer_version_made_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "serve.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="newer version"):
        Database(path)
    assert path.read_bytes() == before and not (tmp_path / "damaged").exists()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own."""
    folder = tmp_path / "small"
    folder.mkdir()
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", folder], check=False).returncode
    ):
        pytest.skip("needs root, for a small file system")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path) -> Path:
    """Takes all that is free."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            return path


def test_a_full_disk_at_the_start_is_said(small: Path) -> None:
    fill(small)
    with pytest.raises(StoreError, match=r"serve\.db: .*\(the disk is full: make room on that of "):
        Database(small / "serve.db")


def test_a_disk_that_may_only_be_read_is_said(small: Path) -> None:
    path = small / "serve.db"
    Database(path).close()
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    with pytest.raises(
        StoreError, match=r"let the user that runs the server write .*; is its disk mounted read-only\?"
    ):
        Database(path)


def test_a_folder_that_may_not_be_written_is_no_bug(lab: Lab, small: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    lab.environ["PIPELINE_HOME"] = str(small)
    with pytest.raises(StoreError, match="Read-only file system"):
        lab.core()


# -- while it runs ----------------------------------------------------------------------------------------------------


def job() -> Job:
    return Job(0, ONE, "run", Reason("hand", "by hand"))


def test_a_full_disk_passes(small: Path) -> None:
    database = Database(small / "serve.db")
    queue = Queue(database, lambda: 1.0)
    queue.add(job())
    filler = fill(small)
    with pytest.raises(StoreError, match="the disk is full") as caught:
        for _ in range(2000):
            queue.add(job())
    assert caught.value.transient
    with pytest.raises(StoreError, match="the disk is full"):
        for _ in range(2000):
            queue.add(job())
            database.check()
    filler.unlink()
    database.check()
    known = len(queue.jobs(5000))
    assert queue.add(job()).id == known + 1


@pytest.mark.parametrize("names", [["serve.db"], ["serve.db-wal"], ["serve.db", "serve.db-wal", "serve.db-shm"]])
def test_files_that_are_removed_are_written_again(tmp_path: Path, names: list[str]) -> None:
    path = tmp_path / "serve.db"
    said: list[str] = []
    database = Database(path, say=said.append, look=0)
    queue = Queue(database, lambda: 1.0)
    queue.add(job())
    for name in names:
        (tmp_path / name).unlink()
    queue.add(job())
    queue.add(job())
    assert said == [f"{path} was removed while it was open: all of it is written again"]
    database.close()
    assert len(Queue(Database(path), lambda: 1.0).jobs(9)) == 3
    assert not (tmp_path / "damaged").exists()


def test_another_file_in_its_place_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "serve.db"
    database = Database(path, look=0)
    (tmp_path / "other").write_bytes(b"other")
    (tmp_path / "other").replace(path)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"another file was put in the place .*\(start the server anew"):
            database.keep("a", 1)
    assert path.read_bytes() == b"other"


def test_damage_that_is_met_is_said_and_nothing_more_is_written(tmp_path: Path) -> None:
    path = tmp_path / "serve.db"
    database = Database(path)
    queue = Queue(database, lambda: 1.0)
    for _ in range(200):
        queue.add(job())
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.execute("PRAGMA shrink_memory")
    middle_damaged(path)
    told = r"cannot use the server's database .*malformed.* \(start the server anew: it sets the file aside"
    with pytest.raises(StoreError, match=told):
        queue.jobs(500)
    harmed = path.read_bytes()
    for call in (database.check, lambda: database.keep("a", 1), lambda: queue.add(job())):
        with pytest.raises(StoreError, match=told):
            call()
    assert path.read_bytes() == harmed


def test_how_a_job_ended_is_written_as_soon_as_it_can_be(lab: Lab) -> None:
    core = lab.core()
    begun: list[int] = []

    def heard(job: Job) -> None:
        if job.state == "running" and not begun:
            begun.append(job.id)
            # Whoever writes from now on fails, as on a full disk.
            core.database.execute(
                "CREATE TEMP TRIGGER full BEFORE UPDATE ON jobs BEGIN SELECT RAISE(ABORT, 'full'); END"
            )

    core.listeners.append(heard)
    with pytest.raises(StoreError):
        lab.settle(core)
    with pytest.raises(StoreError):
        core.workers.one()
    assert core.queue.job(begun[0]).state == "running"  # type: ignore[union-attr]
    core.database.execute("DROP TRIGGER full")
    lab.settle(core)
    first = core.queue.job(begun[0])
    assert first and (first.state, first.attempt) == ("done", 1)
    assert sorted(run.asked.name for run in core.journal.runs(9)) == ["one", "two"]
    core.close()


# -- what people see --------------------------------------------------------------------------------------------------


def broken(web: Web) -> None:
    """Another file is in the place of its database."""
    path = web.parts.database.path
    (path.parent / "other").write_bytes(b"other")
    (path.parent / "other").replace(path)


def test_health_and_pages_say_that_the_database_cannot_be_used(tmp_path: Path) -> None:
    web = Web(tmp_path, Access(), look=0).fill()
    assert web.client.get("/healthz").status_code == 200
    broken(web)
    health = web.client.get("/healthz")
    assert (health.status_code, health.json()["status"]) == (503, "down")
    assert "start the server anew" in health.json()["detail"]
    page = web.client.get("/", headers={"Accept": "text/html"})
    assert page.status_code == 503 and "start the server anew" in page.text


def test_who_has_not_signed_in_is_told_less(tmp_path: Path) -> None:
    web = Web(tmp_path, look=0).fill()
    session(web.client)
    broken(web)
    assert web.at().get("/healthz").json() == {"status": "down"}
    kept = web.client.get("/", headers={"Accept": "text/html"})
    assert kept.status_code == 503 and "its log and /healthz say why" in kept.text and str(tmp_path) not in kept.text
    by_token = web.at(token=ACT).get("/api/v1/jobs")
    assert by_token.status_code == 503 and "start the server anew" in by_token.json()["detail"]
