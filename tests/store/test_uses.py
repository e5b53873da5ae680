from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import StoreError
from pipeline.store.uses import Uses


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "uses"


def test_whoever_plans_holds_off_a_collection(folder: Path) -> None:
    with (
        Uses(folder).run(),
        pytest.raises(StoreError, match="others have been planning, pushing or exporting for 0 s") as caught,
        Uses(folder).alone(0),
    ):
        pass
    assert caught.value.transient


def test_a_run_that_has_planned_leaves_a_lease_of_what_it_counts_on_and_adds(folder: Path) -> None:
    run = Uses(folder)
    with run.run() as lease:
        lease(["key1", "key2"])
        with run.publishing("sha256:abc"):
            pass
        with Uses(folder).alone(0) as leased:
            assert leased.runs == 1
            assert leased.names == {"key1", "key2", "sha256:abc"}
    with Uses(folder).alone(0) as leased:
        assert not leased.runs and not leased.names
    assert [path.name for path in folder.iterdir()] == ["gate"]


def test_two_runs_have_a_lease_each(folder: Path) -> None:
    with Uses(folder).run() as one, Uses(folder).run() as other:
        one(["a"])
        other(["b"])
        with Uses(folder).alone(0) as leased:
            assert (leased.runs, leased.names) == (2, {"a", "b"})


def test_the_lease_of_a_dead_process_counts_for_nothing(folder: Path) -> None:
    folder.mkdir()
    (folder / "999999-dead").write_text("key\n")
    with Uses(folder).alone(0) as leased:
        assert leased.runs == 0
    assert not (folder / "999999-dead").exists()


def test_only_one_collects_at_a_time(folder: Path) -> None:
    with Uses(folder).alone(0), pytest.raises(StoreError), Uses(folder).alone(0):
        pass


def test_nobody_publishes_while_somebody_collects(folder: Path) -> None:
    import threading

    told: list[str] = []

    def publish() -> None:
        with Uses(folder).publishing("sha256:abc"):
            told.append("published")

    with Uses(folder).alone(0):
        thread = threading.Thread(target=publish)
        thread.start()
        thread.join(0.05)
        told.append("collected")
    thread.join()
    assert told == ["collected", "published"]
