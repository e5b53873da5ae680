from __future__ import annotations

from pathlib import Path

import pytest
from store_images import pack, text

from pipeline.assemble.entry import Entry
from pipeline.oci.descriptor import Descriptor
from pipeline.store import Store
from pipeline.store.lookup import documents
from pipeline.store.verify import verify


def altered(path: Path) -> None:
    """Another byte in the middle; the size stays."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.usefixtures("both")
def test_a_whole_store(store: Store) -> None:
    seen: list[tuple[int, int]] = []
    done = verify(store, told=lambda count, of: seen.append((count, of)))
    files = list((store.folder / "blobs/sha256").iterdir())
    assert done.damage == () and done.blobs == len(files)
    assert done.size == sum(file.stat().st_size for file in files)
    assert max(seen) == (done.size, done.size)


@pytest.mark.usefixtures("scoring")
def test_each_damaged_blob_is_named_with_its_images_and_removed(store: Store) -> None:
    for file in (store.folder / "blobs/sha256").iterdir():
        data = file.read_bytes()
        altered(file)
        (found,) = verify(store, dry_run=True).damage
        assert (found.kind, found.name) == ("blob", f"sha256:{file.name}")
        assert file.exists()
        # What an image manifest that is damaged names is known no more.
        assert found.needed_by == ("scoring", "scoring:v1")
        assert verify(store).damage[0].path == file
        assert not file.exists()
        file.write_bytes(data)
    assert verify(store).damage == ()


def test_an_image_without_its_image_manifest(store: Store, scoring: Descriptor) -> None:
    store.blobs.place(scoring.digest).unlink()
    assert [(found.kind, found.name) for found in verify(store).damage] == [
        ("image", "scoring"),
        ("image", "scoring:v1"),
    ]


def test_a_layer_that_is_to_be_had_elsewhere_is_no_damage(store: Store, scoring: Descriptor) -> None:
    layer = documents(store, scoring)[0].layers[0]
    store.blobs.place(layer.blob.digest).unlink()
    assert verify(store).damage == ()


def test_a_listing_that_cannot_be_read(store: Store, scoring: Descriptor) -> None:
    layer = documents(store, scoring)[0].layers[0]
    store.contents_file(layer.diff_id).write_bytes(b"x")
    (found,) = verify(store).damage
    assert found.kind == "contents listing" and not store.knows(layer)


def test_an_unpacked_layer_that_lacks_a_file_or_has_another(store: Store, scoring: Descriptor) -> None:
    layer = documents(store, scoring)[0].layers[0]
    root = store.roots.layer(layer)
    (root / "opt/old").write_text("longer than before")
    assert [found.fact for found in verify(store, dry_run=True).damage] == ["opt/old has 18 of 3 bytes"]
    (root / "opt/old").unlink()
    assert [found.fact for found in verify(store).damage] == ["lacks opt/old"]
    assert not root.exists()
    assert (store.roots.layer(layer) / "opt/old").read_text() == "old"


def test_a_damaged_layer_that_a_service_runs_from_stays(store: Store, scoring: Descriptor) -> None:
    layer = documents(store, scoring)[0].layers[0]
    root = store.roots.layer(layer)
    (root / "opt/old").unlink()
    done = verify(store, in_use=lambda digest: digest == layer.diff_id)
    assert len(done.damage) == 1 and "a service runs from it" in done.kept[0]
    assert root.is_dir()


def test_a_packed_package_that_is_damaged(store: Store, tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.touch()
    bad.touch()
    done = verify(store, frames=lambda: iter([(good, True), (bad, False)]))
    assert [found.name for found in done.damage] == ["bad"]
    assert good.exists() and not bad.exists()


def test_what_lies_behind_a_link_or_comes_twice_is_no_damage(store: Store) -> None:
    entries = [
        Entry("lib", "symlink", link="/usr/lib"),
        text("lib/away", "not below the folder"),
        text("twice", "first"),
        text("twice", "and last"),
    ]
    layer = pack(store, [text("usr/x", "x")])
    members = [[e.path, e.type, e.mode, 0, 0, e.size, e.link, ""] for e in entries]
    store.put_contents(layer, {"members": members, "elf": {}})
    root = store.roots.layer(layer)
    (root / "lib").symlink_to("/usr/lib")
    (root / "twice").write_text("and last")
    assert verify(store).damage == ()


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_damaged_database_is_set_aside_for_an_empty_one(store: Store, number: int) -> None:
    folder = store.folder
    for each in range(300):
        store.database.remember(f"memo {each}", "x" * 200)
    store.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path = folder / "store.db"
    data = bytearray(path.read_bytes())
    # SQLite's file format, section 1.6: a page begins with its kind, the first one after the header of the file.
    place = 4096 * number if number else 100
    data[place] ^= 0xFF
    path.write_bytes(data)
    if number:
        assert {one.kind for one in verify(Store(folder), dry_run=True).damage} == {"database"}
        assert path.read_bytes() == data
    done = verify(Store(folder, mend=True))
    assert {one.kind for one in done.damage} == {"database"} and not done.kept
    assert (folder / "damaged/store.db").read_bytes() == data
    assert verify(Store(folder)).damage == ()
    assert Store(folder).database.memo("memo 1") is None


def test_damage_of_the_database_is_told_in_one_line(store: Store) -> None:
    for each in range(300):
        store.database.remember(f"memo {each}", "x" * 200)
    store.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path = store.folder / "store.db"
    data = bytearray(path.read_bytes())
    data[4096 * 2] ^= 0xFF
    path.write_bytes(data)
    (found,) = verify(Store(store.folder), dry_run=True).damage
    assert "\n" not in found.fact and "***" not in found.fact
