"""A server whose store has a damaged database: all else goes on, and what cannot be read is said in its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from servelab import Lab, manifest
from webmaker import ACT, Web

from pipeline.errors import StoreError
from pipeline.serve.settings import Access
from pipeline.store import Store

NO_DATABASE = b"this is no database, and longer than a header" * 200
REMEDY = "run `pipeline store verify`"


def damage(store: Path) -> None:
    store.mkdir(parents=True, exist_ok=True)
    for end in ("-wal", "-shm"):
        (store / f"store.db{end}").unlink(missing_ok=True)
    (store / "store.db").write_bytes(NO_DATABASE)


@pytest.fixture
def damaged(tmp_path: Path) -> Web:
    web = Web(tmp_path, Access()).fill()
    damage(web.parts.home.store)
    return web


@pytest.mark.parametrize("path", ["/manifests/models/manifests/prod.yaml", "/images", "/runs"])
def test_a_page_says_in_its_place_what_cannot_be_read(damaged: Web, path: str) -> None:
    answer = damaged.client.get(path, headers={"Accept": "text/html"})
    assert answer.status_code == 200
    assert "store.db failed" in answer.text and REMEDY in answer.text


@pytest.mark.parametrize(
    "path", ["/", "/jobs", "/jobs/1", "/waiting", "/repositories", "/healthz", "/api/v1/manifests"]
)
def test_what_needs_no_store_is_as_ever(damaged: Web, path: str) -> None:
    answer = damaged.client.get(path)
    assert (answer.status_code, "store.db" in answer.text) == (200, False)


@pytest.mark.parametrize("path", ["images", "images/diabetes/scoring", "runs", "runs/1", "runs/1/log"])
def test_a_program_gets_the_reason_and_the_remedy(tmp_path: Path, path: str) -> None:
    web = Web(tmp_path)
    damage(web.parts.home.store)
    client = web.at(token=ACT)
    answer = client.get(f"/api/v1/{path}")
    assert answer.status_code == 503 and REMEDY in answer.json()["detail"]
    one = client.get("/api/v1/manifests/models/manifests/prod.yaml")
    assert one.status_code == 404


def test_pages_are_well_again_with_the_store(damaged: Web) -> None:
    assert REMEDY in damaged.client.get("/images").text
    Store(damaged.parts.home.store, mend=True)
    assert "The store has no image yet" in damaged.client.get("/images").text


def test_a_server_starts_and_its_runs_put_the_store_in_order(tmp_path: Path) -> None:
    lab = Lab(tmp_path, manifest("one"))
    damage(tmp_path / "home/store")
    core = lab.core()
    with pytest.raises(StoreError):
        core.journal.runs(1)
    lab.settle(core)
    (job,) = core.queue.jobs(10)
    assert (job.state, job.attempt) == ("done", 1)
    assert (tmp_path / "home/store/damaged/store.db").read_bytes() == NO_DATABASE
    assert [run.outcome for run in core.journal.runs(5)] == ["done"]
    core.close()


def test_a_job_ends_also_where_the_journal_cannot_tell_of_its_run(tmp_path: Path) -> None:
    lab = Lab(tmp_path, manifest("one"))
    core = lab.core()
    damage(tmp_path / "home/store")
    assert core.run_of(1) is None
    core.close()
