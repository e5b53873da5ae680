from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from store_images import name, pack, put_image, text

from pipeline.oci.descriptor import Descriptor, Layer
from pipeline.store import Store, projects
from pipeline.store.collect import Collected, Limits, collect
from pipeline.store.lookup import documents
from pipeline.store.verify import verify

NOW = time.time()
ALL = Limits(before=NOW + 1e6)


def blobs(store: Store) -> set[str]:
    return {path.name for path in (store.folder / "blobs/sha256").iterdir()}


def of(image: Descriptor, store: Store) -> set[str]:
    """The blobs of an image."""
    (part,) = documents(store, image)
    digests = [image.digest, part.config_blob.digest, *(layer.blob.digest for layer in part.layers)]
    return {digest.removeprefix("sha256:") for digest in digests}


def record(store: Store, key: str, layers: list[Layer], step: str = "shop layer code") -> None:
    store.database.keep(key, {"layers": [layer.to_json() for layer in layers], "config": {}}, step, {"a": key})


@pytest.fixture
def old(store: Store) -> Descriptor:
    """An image that nothing names."""
    return put_image(store, [pack(store, [text("old", "old")])])


def test_what_nothing_names_goes_with_its_listing(store: Store, scoring: Descriptor, old: Descriptor) -> None:
    gone = of(old, store)
    done = collect(store, ALL)
    assert {item.digest.removeprefix("sha256:") for item in done.items if item.kind == "blob"} == gone
    assert blobs(store) == of(scoring, store)
    assert len(list((store.folder / "contents").iterdir())) == 3
    assert collect(store, ALL).items == ()


def test_an_index_keeps_the_images_of_each_platform(store: Store, both: Descriptor, old: Descriptor) -> None:
    before = blobs(store) - of(old, store)
    collect(store, ALL)
    assert blobs(store) == before
    assert len(documents(store, both)) == 2


def test_what_is_too_new_stays(store: Store, old: Descriptor) -> None:
    assert collect(store, Limits(before=NOW - 3600)).items == ()
    assert of(old, store) <= blobs(store)


@pytest.mark.usefixtures("scoring", "old")
def test_a_dry_run_says_the_same_and_removes_nothing(store: Store) -> None:
    before = blobs(store)
    told = collect(store, ALL, dry_run=True)
    assert blobs(store) == before
    assert collect(store, ALL).items == told.items


def test_by_size_the_oldest_go_first_and_needed_ones_never(store: Store, scoring: Descriptor) -> None:
    sizes = {}
    for age in (3, 1, 2):
        digest = store.blobs.put(f"{age} {'x' * 10000}".encode())
        os.utime(store.blobs.place(digest), (NOW - age, NOW - age))
        sizes[age] = digest
    total = collect(store, Limits(0), dry_run=True).total
    collect(store, Limits(0, keep=total - 15000))
    assert [age for age, digest in sizes.items() if store.blobs.has(digest)] == [1]
    collect(store, Limits(0, keep=0))
    assert blobs(store) == of(scoring, store)


def test_what_a_manifest_that_is_there_stands_on_stays(store: Store, tmp_path: Path) -> None:
    manifest = tmp_path / "shop.yaml"
    manifest.touch()
    projects.note(store.database, "shop", manifest, ["layer code"], NOW - 10**7)
    layer = pack(store, [text("code", "1")])
    record(store, "k1", [layer])
    collect(store, ALL)
    assert store.has_layer(layer)


def test_a_manifest_that_was_deleted_loses_its_results_names_and_tags_after_a_time(
    store: Store, tmp_path: Path, scoring: Descriptor
) -> None:
    projects.note(store.database, "shop", tmp_path / "gone.yaml", ["layer code"], NOW - 1000)
    layer = pack(store, [text("code", "1")])
    record(store, "k1", [layer])
    name(store, put_image(store, [layer]), "shop/web", "v1")
    assert collect(store, Limits(before=NOW - 2000)).forgotten == ()
    assert collect(store, ALL).forgotten == ("shop",)
    assert list(store.images()) == ["scoring"] and list(store.tags()) == [("scoring", "v1")]
    assert store.database.record("k1") is None and store.database.lineage("shop layer code") is None
    assert blobs(store) == of(scoring, store)


def test_a_step_that_a_manifest_has_no_more_keeps_nothing(store: Store, tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").touch()
    projects.note(store.database, "shop", tmp_path / "shop.yaml", ["layer other"], NOW)
    record(store, "k1", [pack(store, [text("code", "1")])])
    collect(store, ALL)
    assert blobs(store) == set()


def test_a_superseded_result_has_the_age_of_what_came_after_it(store: Store) -> None:
    layers = [pack(store, [text("code", version)]) for version in ("1", "2")]
    for layer in layers:
        os.utime(store.blobs.place(layer.blob.digest), (1, 1))
    record(store, "k1", layers[:1])
    record(store, "k2", layers[1:])
    collect(store, Limits(before=NOW - 100))
    assert store.blobs.has(layers[0].blob.digest)
    collect(store, ALL)
    assert not store.blobs.has(layers[0].blob.digest) and store.has_layer(layers[1])


def test_results_whose_blobs_are_gone_and_memos_of_them_are_forgotten(store: Store) -> None:
    layers = [pack(store, [text("code", version)]) for version in ("1", "2")]
    for number, layer in enumerate(layers):
        record(store, f"k{number}", [layer])
        store.database.remember(f"origin {layer.blob.digest}", {"repository": "r/x"})
    store.database.remember("order 1234", ["a"])
    collect(store, ALL)
    assert store.database.record("k0") is None and store.database.record("k1") is not None
    assert store.database.memo(f"origin {layers[0].blob.digest}") is None
    assert store.database.memo(f"origin {layers[1].blob.digest}") is not None
    assert store.database.memo("order 1234") == ["a"]


def test_a_layer_packed_for_registries_stays_with_its_layer(store: Store, scoring: Descriptor) -> None:
    (part,) = documents(store, scoring)
    kept = store.blobs.put(b"packed")
    store.database.remember(f"gzip 1 2 {part.layers[0].diff_id}", {"digest": kept})
    other = store.blobs.put(b"packed of a layer that is gone")
    store.database.remember(f"gzip 1 2 sha256:{'0' * 64}", {"digest": other})
    collect(store, ALL)
    assert store.blobs.has(kept) and not store.blobs.has(other)
    assert store.database.memo(f"gzip 1 2 sha256:{'0' * 64}") is None


def test_the_last_revisions_of_each_target_stay(store: Store) -> None:
    images = [put_image(store, [pack(store, [text("v", str(number))])]) for number in range(5)]
    for number, image in enumerate(images):
        value = {"image": image.to_json(), "service": "shop-here"}
        store.database.keep(f"t{number}", value, "shop target here", {"n": str(number)})
        store.database.execute("UPDATE keys SET made = ? WHERE key = ?", NOW - 100 + number, f"t{number}")
    collect(store, Limits(ALL.before, revisions=2))
    assert [store.blobs.has(image.digest) for image in images] == [False, False, False, True, True]


def test_what_a_service_runs_stays_unpacked_too(store: Store, old: Descriptor) -> None:
    layers = [pack(store, [text("free", "free")]), documents(store, old)[0].layers[0]]
    free, used = (store.roots.layer(layer) for layer in layers)
    collect(store, ALL, services=[json.dumps({"image": old.digest})])
    assert used.is_dir() and not free.exists()
    assert of(old, store) <= blobs(store)


def test_a_needed_layer_that_nobody_runs_may_be_unpacked_again(store: Store, scoring: Descriptor) -> None:
    layer = documents(store, scoring)[0].layers[0]
    folder = store.roots.layer(layer)
    collect(store, Limits(before=NOW - 3600))
    assert folder.is_dir()
    collect(store, ALL)
    assert not folder.exists() and store.has_layer(layer)
    assert store.roots.layer(layer).is_dir()


def test_a_run_loses_nothing_that_it_counts_on_or_made(store: Store) -> None:
    run = Store(store.folder)
    hit, other = (pack(run, [text("code", version)]) for version in ("1", "2"))
    record(run, "k1", [hit])
    record(run, "k2", [other])
    with run.uses.run() as lease:
        lease(["k1"])
        made = pack(run, [text("code", "made"), text("more", "more")])
        os.utime(run.blobs.place(made.blob.digest), (1, 1))  # as by a clock that jumped
        again = run.blobs.put(b"was there before")
        done = collect(store, ALL)
        assert done.runs == 1
        assert run.has_layer(hit) and run.has_layer(made) and run.blobs.has(again)
    collect(store, ALL)
    assert not store.has_layer(made) and not store.blobs.has(again)


def test_what_killed_processes_left_goes(store: Store) -> None:
    store.roots.folder.mkdir()
    (store.roots.folder / ".abc.partial").mkdir()
    (store.roots.folder / ".abc.lock").touch()
    (store.roots.folder / "abc.copy-only").touch()
    with store.guard("step"):
        collect(store, ALL)
        assert (store.folder / "guards/step").exists()
    collect(store, ALL)
    assert list(store.roots.folder.iterdir()) == [] and list((store.folder / "guards").iterdir()) == []


_KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.store import Store
from pipeline.store.collect import Limits, collect

left = int(sys.argv[2])

def reached(point):
    global left
    left -= 1
    if left < 0:
        print(point, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

collect(Store(Path(sys.argv[1])), Limits(before=9e9), reached=reached)
"""


def test_killed_at_any_point_it_leaves_a_whole_store_and_the_next_one_finishes(
    store: Store, scoring: Descriptor, tmp_path: Path
) -> None:
    whole = of(scoring, store)
    points = []
    for point in range(100):
        projects.note(store.database, "shop", tmp_path / "gone.yaml", ["layer code"], 0)
        layer = pack(store, [text("code", str(point))])
        record(store, "k1", [layer])
        name(store, put_image(store, [layer]), "shop/web", "v1")
        store.roots.layer(layer)
        command = [sys.executable, "-c", _KILLED, str(store.folder), str(point)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if not ended.returncode:
            break
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        points.append(ended.stdout.strip())
        assert whole <= blobs(store)
        collect(store, ALL)
        _is_clear(store, whole)
    assert {"manifest forgotten", "blob set aside", "unpacked layer set aside", "rows removed", "set aside"} <= {
        *points
    }


def _is_clear(store: Store, whole: set[str]) -> None:
    assert blobs(store) == whole
    assert verify(store).damage == ()
    assert list(store.roots.folder.glob("*")) == []
    assert [path for path in store.folder.glob("scratch/*/*") if path.name != "lock"] == []
    assert list(store.images()) == ["scoring"] and store.database.record("k1") is None


def test_two_at_once_do_the_work_of_one(store: Store, scoring: Descriptor, old: Descriptor) -> None:
    from concurrent.futures import ThreadPoolExecutor

    gone = of(old, store)

    def one(_number: int) -> Collected:
        return collect(Store(store.folder), ALL)

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(one, range(2)))
    digests = [item.digest.removeprefix("sha256:") for each in done for item in each.items if item.kind == "blob"]
    assert sorted(digests) == sorted(gone)
    assert blobs(store) == of(scoring, store)
