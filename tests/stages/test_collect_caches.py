"""What is cleared beside the store, and what was set aside in it, by age alone; the clock is told."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pipeline.errors import Lost
from pipeline.home import Home
from pipeline.stages.collect import Cleared, collect
from pipeline.stages.verify import verify
from pipeline.store import Store
from pipeline.store.collect import Limits

DAY = 86400.0


def package(home: Home, name: str) -> Path:
    folder = home.cache / "conda/pkgs" / name
    (folder / "info").mkdir(parents=True)
    (folder / "info/index.json").write_text("{}")
    (folder / "file").write_bytes(b"x" * 5000)
    return folder


def cleared(home: Home, days: float, dry_run: bool = False) -> Cleared:
    """What goes when so many days have passed since now, of what was not used for a week."""
    now = time.time() + days * DAY
    return collect(home, Store(home.store), Limits(now - 7 * DAY), now=lambda: now, dry_run=dry_run)


def test_conda_packages_go_as_wholes_once_nobody_used_them(home: Home) -> None:
    old, repodata = package(home, "tool-1.0-0"), home.cache / "conda/repodata/a.json"
    repodata.parent.mkdir()
    repodata.write_text("{}")
    assert cleared(home, 6).aged == () and old.is_dir()
    told = cleared(home, 8, dry_run=True)
    assert {each.path for each in told.aged} == {old, repodata} and old.is_dir()
    assert next(each.size for each in told.aged if each.path == old) >= 5000
    cleared(home, 8)
    assert list((home.cache / "conda/pkgs").iterdir()) == [] and not repodata.exists()


def test_what_a_killed_collection_left_of_a_package_goes(home: Home) -> None:
    kept, left = package(home, "tool-1.0-0"), package(home, ".gone-1-other-1.0-0")
    cleared(home, 1)
    assert kept.is_dir() and not left.exists()


@pytest.fixture
def damaged(home: Home) -> Path:
    """Where a damaged blob lies after somebody read it."""
    store = Store(home.store)
    digest = store.blobs.put(b"content")
    store.blobs.place(digest).write_bytes(b"kontent")
    with pytest.raises(Lost, match="set aside") as raised:
        store.blobs.read(digest)
    assert raised.value.digest == digest and not store.blobs.has(digest)
    return home.store / "damaged" / digest.removeprefix("sha256:")


def test_what_was_set_aside_is_named_and_cleared_by_a_collection(home: Home, damaged: Path) -> None:
    assert damaged.read_bytes() == b"kontent"
    assert cleared(home, 1).store.items == ()
    assert [(item.kind, item.size) for item in cleared(home, 8).store.items] == [("damaged file", 7)]
    assert not damaged.exists()


def test_what_was_set_aside_is_named_and_cleared_by_verify(home: Home, damaged: Path) -> None:
    assert verify(home, Store(home.store), dry_run=True).aside == ((damaged, 7),)
    assert damaged.exists()
    done = verify(home, Store(home.store))
    assert done.aside == ((damaged, 7),) and done.damage == ()
    assert not damaged.exists() and verify(home, Store(home.store)).aside == ()
