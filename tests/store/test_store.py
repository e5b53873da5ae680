"""The store as a whole: images and tags, what layers hold, guards between processes, scratch."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from pipeline.assemble import layer as layers
from pipeline.assemble.entry import Entry
from pipeline.digest import digest_of
from pipeline.errors import StoreError
from pipeline.oci.descriptor import MANIFEST, Descriptor
from pipeline.store import Store


def image(text: str) -> Descriptor:
    return Descriptor(MANIFEST, digest_of(text.encode()), len(text), platform={"os": "linux", "architecture": "amd64"})


def test_images_and_tags_are_kept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.name_image("scoring", image("a"))
    store.move_tag("scoring", "v1", image("a"))
    store.name_image("scoring", image("b"))
    store.move_tag("scoring", "latest", image("b"))
    again = Store(tmp_path)
    assert again.images()["scoring"][0] == image("b")
    assert again.tags() == {("scoring", "latest"): image("b"), ("scoring", "v1"): image("a")}


def test_what_a_layer_holds_is_kept_beside_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    layer, contents = layers.write([Entry("a", source=b"x", size=1)], store.blobs)
    assert not store.has_layer(layer)
    store.put_contents(layer, contents.to_json())
    assert store.has_layer(layer)
    assert store.contents(layer) == contents.to_json()
    store.blobs.path(layer.blob.digest).write_bytes(b"")
    assert not store.has_layer(layer)


@pytest.mark.parametrize("damage", [b"", b"not zlib"])
def test_damaged_contents_are_removed_so_that_the_next_build_makes_them(tmp_path: Path, damage: bytes) -> None:
    store = Store(tmp_path)
    layer, contents = layers.write([Entry("a")], store.blobs)
    store.put_contents(layer, contents.to_json())
    (tmp_path / "contents" / layer.diff_id.removeprefix("sha256:")).write_bytes(damage)
    with pytest.raises(StoreError, match="damaged"):
        store.contents(layer)
    assert not store.has_layer(layer)
    with pytest.raises(StoreError, match="not in the store"):
        store.contents(layer)


def test_a_guard_lets_one_in_at_a_time(tmp_path: Path) -> None:
    inside: list[str] = []
    holding, let_go = threading.Event(), threading.Event()

    def first() -> None:
        with Store(tmp_path).guard("step"):
            holding.set()
            let_go.wait()
            inside.append("first")

    def second() -> None:
        with Store(tmp_path).guard("step"):
            inside.append("second")

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    holding.wait()
    threads[1].start()
    with Store(tmp_path).guard("another step"):
        assert inside == []
    let_go.set()
    for thread in threads:
        thread.join()
    assert inside == ["first", "second"]


def test_scratch_is_gone_afterwards(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(KeyError), store.scratch() as folder:
        (folder / "file").write_text("x")
        raise KeyError
    assert not folder.exists()


def test_a_store_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write .*Not a directory"):
        Store(tmp_path / "file" / "store")


def test_who_waits_for_a_guard_is_told_for_which_process(tmp_path: Path) -> None:
    told: list[int] = []
    waits = threading.Event()

    def second() -> None:
        with Store(tmp_path).guard("step", lambda process: (told.append(process), waits.set())):
            pass

    thread = threading.Thread(target=second)
    with Store(tmp_path).guard("step", told.append):
        assert not told
        thread.start()
        waits.wait()
    thread.join()
    assert told == [os.getpid()]
