"""What holds of every registry: Debian's docker-registry, and the one in memory that ships."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from registry_images import layer_bytes, make_image, make_index

from pipeline.facts import Platform
from pipeline.registry import Registries
from pipeline.registry.problems import Damaged, NotFound, Refused
from pipeline.registry.transfers import copy, pull, push, tag
from pipeline.store import Store

Given = tuple[Registries, str]
LAYERS = [layer_bytes("one"), layer_bytes("two"), layer_bytes("three", 10)]
ABSENT = "sha256:" + "0" * 64


def test_push_tag_resolve_pull(registries: Given, name: str, store: Store, tmp_path: Path) -> None:
    opened, address = registries
    target = opened.repository(f"{address}/{name}")
    image = make_image(store, LAYERS)
    done = push(store, image, target)
    assert (done.image, done.copied, done.present, done.mounted) == (image, 4, 0, 0)
    assert target.tags() == []
    tag(store, image, target, ["v1", "latest"])
    assert target.tags() == ["latest", "v1"]
    found = target.resolve("v1")
    assert (found.digest, found.size, found.media_type) == (image.digest, image.size, image.media_type)

    other = Store(tmp_path / "other")
    back = pull(other, target, "v1")
    assert back.image.digest == image.digest
    assert back.copied == 4
    assert other.blobs.read(image.digest) == store.blobs.read(image.digest)
    assert pull(other, target, "v1").copied == 0


def test_a_second_push_asks_once(registries: Given, name: str, store: Store) -> None:
    opened, address = registries
    image = make_image(store, LAYERS)
    push(store, image, opened.repository(f"{address}/{name}"))
    again = push(store, image, opened.repository(f"{address}/{name}"))
    assert (again.requests, again.moved, again.present) == (1, 0, 4)


def test_one_new_layer_takes_few_requests(registries: Given, name: str, store: Store) -> None:
    opened, address = registries
    push(store, make_image(store, LAYERS), opened.repository(f"{address}/{name}"))
    opened.repository(f"{address}/{name}").tag(make_image(store, LAYERS).digest, ["v1"])
    image = make_image(store, [*LAYERS, layer_bytes("new", 500_000)])
    done = push(store, image, opened.repository(f"{address}/{name}"))
    assert (done.copied, done.present) == (2, 3)
    assert done.requests <= 7
    elsewhere = Store(store.folder.with_name("elsewhere"))
    image = make_image(elsewhere, [*LAYERS, layer_bytes("newer", 500_000)])
    done = push(elsewhere, image, opened.repository(f"{address}/{name}"), like=["no-such-tag", "v1"])
    assert (done.copied, done.present) == (2, 3)
    assert done.requests <= 8


def test_layers_are_mounted_from_a_sibling(registries: Given, name: str, store: Store) -> None:
    opened, address = registries
    image = make_image(store, LAYERS)
    push(store, image, opened.repository(f"{address}/{name}"))
    done = push(store, image, opened.repository(f"{address}/{name}-sibling"))
    assert (done.mounted, done.copied) == (4, 0)
    assert done.moved == image.size
    assert opened.repository(f"{address}/{name}-sibling").resolve(image.digest).digest == image.digest


def test_images_pushed_together_send_a_shared_layer_once(registries: Given, name: str, store: Store) -> None:
    opened, address = registries
    shared = layer_bytes(f"shared of {name}", 2_000_000)
    images = [make_image(store, [shared], note=f"{name} {number}") for number in range(5)]
    with ThreadPoolExecutor(5) as pool:
        numbered = enumerate(images)
        jobs = [pool.submit(push, store, each, opened.repository(f"{address}/{name}-{n}")) for n, each in numbered]
        done = [job.result() for job in jobs]
    assert sum(each.mounted for each in done) == 4
    assert sum(each.moved for each in done) < 2 * len(shared)


def test_a_base_is_mounted_and_never_read(registries: Given, name: str, store: Store, tmp_path: Path) -> None:
    opened, address = registries
    base = opened.repository(f"{address}/{name}-base")
    pushed = make_image(store, LAYERS)
    push(store, pushed, base)
    build = Store(tmp_path / "build")
    pulled = pull(build, base, pushed.digest, layers=False)
    assert pulled.copied == 1
    origins = {blob.digest: base for blob in base.manifest(pushed.digest).blobs}
    image = make_image(store, [*LAYERS, layer_bytes("app")])
    for digest in (image.digest, *(b.digest for b in _blobs(store, image) if b.digest not in origins)):
        build.blobs.put(store.blobs.path(digest).read_bytes())
    done = push(build, image, opened.repository(f"{address}/{name}"), origins=origins)
    assert (done.mounted, done.copied) == (3, 2)


def _blobs(store: Store, image: object) -> list[object]:
    from pipeline.registry.documents import document

    return list(document(store.blobs.read(image.digest), "here").blobs)  # type: ignore[attr-defined]


def test_several_platforms(registries: Given, name: str, store: Store, tmp_path: Path) -> None:
    opened, address = registries
    amd, arm = Platform(), Platform("linux", "arm64", "v8")
    images = [make_image(store, [layer_bytes("amd")], amd), make_image(store, [layer_bytes("arm")], arm)]
    index = make_index(store, images)
    target = opened.repository(f"{address}/{name}")
    push(store, index, target)
    target.tag(index.digest, ["v1"])
    assert target.resolve("v1").digest == index.digest
    assert target.resolve("v1", Platform("linux", "arm64")).digest == images[1].digest
    other = Store(tmp_path / "other")
    assert pull(other, target, "v1", platform=amd).image.digest == images[0].digest
    assert not other.blobs.has(images[1].digest)
    assert pull(other, target, "v1").image.digest == index.digest
    assert other.blobs.has(images[1].digest)
    with pytest.raises(Exception, match=r"no image for linux/s390x \(it has linux/amd64, linux/arm64/v8\)"):
        target.resolve("v1", Platform("linux", "s390x"))


def test_copy_within_a_registry_mounts(registries: Given, name: str, store: Store) -> None:
    opened, address = registries
    source = opened.repository(f"{address}/{name}")
    image = make_image(store, LAYERS)
    push(store, image, source)
    done = copy(source, image.digest, opened.repository(f"{address}/{name}-copy"))
    assert (done.image.digest, done.mounted, done.copied) == (image.digest, 4, 0)


def test_copy_to_another_registry_streams(registries: Given, name: str, store: Store) -> None:
    from registry_doubles import USERS
    from registry_doubles import opened as open_as_bob

    from pipeline.registry.memory import MemoryRegistry

    opened, address = registries
    source = opened.repository(f"{address}/{name}")
    image = make_image(store, LAYERS)
    push(store, image, source)
    far = open_as_bob("far.example.com", MemoryRegistry(USERS)).repository("far.example.com/copy")
    done = copy(source, image.digest, far)
    assert (done.copied, done.mounted) == (4, 0)
    assert far.manifest(image.digest).data == store.blobs.read(image.digest)


def test_what_is_not_there(registries: Given, name: str, store: Store) -> None:
    opened, address = registries
    target = opened.repository(f"{address}/{name}")
    assert target.tags() == []
    assert not target.has_blob(ABSENT)
    assert not target.has_manifest(ABSENT)
    for wanted in ("v9", ABSENT):
        with pytest.raises(NotFound, match=f"{address}/{name}.*{wanted}"):
            target.resolve(wanted)
    with pytest.raises(NotFound):
        pull(store, target, "v9")


def test_an_image_manifest_without_its_blobs_is_refused(registries: Given, name: str, store: Store) -> None:
    opened, address = registries
    from pipeline.registry.documents import document

    target = opened.repository(f"{address}/{name}")
    image = make_image(store, [layer_bytes("nowhere")])
    with pytest.raises(Refused) as caught:
        target.put_manifest(document(store.blobs.read(image.digest), "here"))
    assert "MANIFEST_BLOB_UNKNOWN" in caught.value.codes


def test_a_blob_with_a_wrong_digest_is_refused(registries: Given, name: str) -> None:
    opened, address = registries
    target = opened.repository(f"{address}/{name}")
    session = target.start_upload()
    assert session is not None
    with pytest.raises(Damaged):
        target.put_blob(session, ABSENT, 5, lambda: b"hello")


def test_an_upload_goes_on_in_parts(registries: Given, name: str) -> None:
    opened, address = registries
    from pipeline.digest import digest_of

    target = opened.repository(f"{address}/{name}")
    data = layer_bytes("parts", 1000)
    session = target.start_upload()
    assert session is not None
    session = target.patch_blob(session, 600, lambda: data[:600])
    found = target.upload_status(session)
    assert found is not None
    assert found.offset == 600
    target.put_blob(found, digest_of(data), 1000, lambda: data[600:])
    with target.open_blob(digest_of(data), 990) as chunks:
        assert b"".join(chunks) == data[990:]


def test_many_tags_come_in_pages(registries: Given, name: str, store: Store) -> None:
    opened, address = registries
    target = opened.repository(f"{address}/{name}")
    image = make_image(store, [])
    push(store, image, target)
    target.tag(image.digest, [f"v{n:02}" for n in range(7)])
    assert target.tags(page=3) == [f"v{n:02}" for n in range(7)]


def test_an_empty_layer(registries: Given, name: str, store: Store, tmp_path: Path) -> None:
    opened, address = registries
    target = opened.repository(f"{address}/{name}")
    image = make_image(store, [b""])
    push(store, image, target)
    assert pull(Store(tmp_path / "other"), target, image.digest).copied == 2


def test_what_was_seen_a_moment_ago_is_not_asked_for_again(registries: Given, name: str, store: Store) -> None:
    opened, address = registries
    target = opened.repository(f"{address}/{name}")
    first = make_image(store, LAYERS)
    push(store, first, target)
    assert push(store, first, target, seen=[first.digest]).requests == 0
    # The config is begun and ended, the layer is begun and ended, and the image manifest is put.
    done = push(store, make_image(store, [*LAYERS, layer_bytes("new", 500)]), target, seen=[first.digest])
    assert (done.copied, done.present, done.requests) == (2, 3, 5)
    unknown = push(store, make_image(store, LAYERS, note="other"), target, seen=[ABSENT])
    assert (unknown.copied, unknown.present) == (1, 3)
