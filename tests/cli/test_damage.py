"""Every blob of a small store is damaged in turn: whoever reads it says so, and the next run makes it again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Project


@pytest.fixture
def built(shop: Project) -> Project:
    assert shop("run").code == 0
    return shop


def blobs(project: Project) -> list[Path]:
    return sorted((project.folder / "home/store/blobs/sha256").iterdir())


def altered(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def damages(project: Project) -> Iterator[Path]:
    """Damages one blob after the other; each is to be mended before the next."""
    for path in blobs(project):
        altered(path)
        yield path


READERS = [
    ("image", "export", "web", "{out}.tar"),
    ("image", "export", "web", "{out}"),
    ("image", "files", "web"),
    ("image", "show", "web"),
]


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: " ".join(reader[1:]))
def test_a_reader_of_a_damaged_blob_fails_clearly_and_a_run_mends_it(built: Project, reader: tuple[str, ...]) -> None:
    for number, path in enumerate(damages(built)):
        words = [word.format(out=built.folder / f"out{number}") for word in reader]
        first = built(*words)
        assert first.code in (0, 3), first.err
        if first.code:
            assert "damaged" in first.err and not path.exists(), first.err
        assert "Traceback" not in first.err and "bug:" not in first.err
        if not first.code:
            assert built("store", "verify").code == 3
        assert built("run").code == 0
        assert built(*words).code == 0
        assert built("store", "verify").code == 0


def test_verify_removes_it_and_the_plan_says_what_is_made_again(built: Project) -> None:
    for path in damages(built):
        ended = built("store", "verify", "--output", "json")
        assert ended.code == 3
        assert [one["name"] for one in ended.json["damage"]] == [f"sha256:{path.name}"]
        assert built("plan", "--check").code == 10
        misses = {step["step"] for step in built("plan", "--output", "json").json["steps"] if not step["hit"]}
        run = built("run", "--output", "json")
        assert run.code == 0
        made = {event["step"] for event in run.events if event.get("outcome") == "made"}
        # A service that runs what is made again stays as it is.
        assert made == misses and "target here" not in misses
        assert path.exists()


def test_a_dry_run_removes_nothing(built: Project) -> None:
    path = blobs(built)[0]
    altered(path)
    assert built("store", "verify", "--dry-run").code == 3
    assert path.exists()
    assert json.loads(built("store", "verify", "--output", "json").out)["whole"] is False


def test_a_whole_store_is_said_to_be(built: Project) -> None:
    ended = built("store", "verify")
    assert ended.code == 0 and ended.out.rstrip().endswith("all whole")
