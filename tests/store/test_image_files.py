"""Files of an image by path and glob: links, whiteouts, hard links, and only the layers that must be read."""

from __future__ import annotations

from pathlib import Path

import pytest
from store_images import pack, text

from pipeline.assemble.entry import Entry
from pipeline.store import Store
from pipeline.store.image_files import ImageFiles


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_files_are_as_a_container_sees_them(store: Store) -> None:
    lower = pack(store, [text("etc/a", "old"), text("etc/gone", "x"), text("usr/lib/b", "b")])
    upper = [text("etc/a", "new"), text("etc/.wh.gone", ""), Entry("etc/l", "symlink", link="/usr/lib/b")]
    files = ImageFiles(store, [lower, pack(store, [*upper, Entry("etc/h", "hardlink", link="etc/a")])])
    assert [files.read(f"/etc/{name}") for name in ("a", "gone", "l", "h", "none")] == [
        b"new",
        None,
        b"b",
        b"new",
        None,
    ]
    assert files.read("/etc") is None
    assert files.glob("/etc/*") == ["/etc/a", "/etc/h", "/etc/l"]
    assert files.glob("/**/b") == ["/usr/lib/b"]
    assert files.glob("/**/lib/**/b") == ["/usr/lib/b"]
    assert files.glob("/*") == []


def test_a_layer_without_what_is_asked_for_is_not_read(store: Store) -> None:
    big, small = pack(store, [text("big/x", "x")]), pack(store, [text("etc/a", "a"), text("etc/b", "b")])
    files = ImageFiles(store, [big, small], ["/etc/*"])
    store.blobs.path(big.blob.digest).unlink()
    assert files.read("/etc/a") == b"a"
    store.blobs.path(small.blob.digest).unlink()
    assert files.read("/etc/b") == b"b"


def test_what_was_read_is_not_read_again_for_the_next_image_on_the_layer(store: Store) -> None:
    lower = pack(store, [text("etc/a", "a"), text("etc/b", "b"), text("lib/c", "\x7fELF")])
    files = ImageFiles(store, [lower], ["/etc/*", "/lib/*"])
    assert files.read("/etc/a") == b"a"
    store.blobs.path(lower.blob.digest).unlink()
    again = ImageFiles(store, [lower, pack(store, [text("etc/new", "n")])])
    assert [again.read(path) for path in ("/etc/a", "/etc/b", "/etc/new")] == [b"a", b"b", b"n"]
    assert list(store.files(lower)) == ["etc/a", "etc/b"]
