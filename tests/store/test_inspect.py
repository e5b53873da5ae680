"""Looking inside images: lists, configs, files as a container sees them, and their content."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from store_images import AMD64, ARM64, name, pack, put_image, text

from pipeline.assemble.entry import Entry
from pipeline.digest import digest_of
from pipeline.errors import StoreError, UsageError
from pipeline.oci.descriptor import LAYER_GZIP, Descriptor, Layer
from pipeline.store import Store
from pipeline.store.inspect import cat, files, list_images, show


def paths(store: Store, image: str, *patterns: str, layer: str = "") -> list[str]:
    return [member.path for member in files(store, image, patterns, machine=AMD64, layer=layer)]


def read(store: Store, image: str, path: str) -> str:
    return b"".join(cat(store, image, path)).decode()


def stacked(store: Store, *layers: list[Entry], known: bool = True) -> str:
    name(store, put_image(store, [pack(store, entries, known=known) for entries in layers]), "stacked")
    return "stacked"


def test_an_empty_store_has_no_images(store: Store) -> None:
    assert list_images(store) == []


def test_the_list_has_a_row_for_each_image_that_a_name_or_a_tag_holds(store: Store, both: Descriptor) -> None:
    newer = name(store, put_image(store, [pack(store, [text("x", "xyz")])]), "scoring", "v2", "latest")
    rows = {(row.name, row.digest): row for row in list_images(store)}
    assert len(rows) == 3
    assert rows["scoring", newer.digest].tags == ("latest", "v2")
    assert rows["both", both.digest].platforms == ("linux/amd64", "linux/arm64")
    row = rows["scoring", newer.digest]
    assert (row.unpacked, row.platforms) == (3, ("linux/amd64",))
    assert row.size == json.loads(store.blobs.read(newer.digest))["layers"][0]["size"]
    assert row.made > 0
    assert list_images(store)[1] == row


def test_an_image_whose_blobs_are_gone_is_still_listed(store: Store, scoring: Descriptor) -> None:
    store.blobs.path(scoring.digest).unlink()
    (row,) = list_images(store)
    assert (row.name, row.size, row.unpacked, row.platforms) == ("scoring", None, None, ())


def test_show_has_config_and_layers(store: Store, scoring: Descriptor) -> None:
    shown = show(store, "scoring")
    assert (shown.reference, shown.digest, shown.platform) == ("scoring:v1", scoring.digest, "linux/amd64")
    assert shown.config["Entrypoint"] == ["/bin/app"]
    assert [layer.number for layer in shown.layers] == [1, 2, 3]
    assert shown.layers[1].media_type.endswith(".tar")
    assert shown.layers[0].created_by == "pack opt/app"
    assert shown.size == sum(layer.size for layer in shown.layers)
    assert json.loads(json.dumps(shown.to_json()))["layers"][0]["unpacked"] == len("old#!/bin/sh\n")


def test_show_chooses_the_platform(store: Store, both: Descriptor) -> None:
    assert show(store, "both", ARM64).platform == "linux/arm64"
    assert show(store, "both", machine=AMD64).platform == "linux/amd64"
    assert show(store, both.digest[:20], ARM64).platforms == ("linux/amd64", "linux/arm64")
    with pytest.raises(UsageError, match="several platforms"):
        show(store, "both")


@pytest.mark.usefixtures("scoring")
def test_files_are_what_a_container_sees(store: Store) -> None:
    assert paths(store, "scoring") == ["opt", "opt/app", "opt/model.bin", "opt/new", "opt/ü"]
    (member,) = files(store, "scoring", ["opt/new"])
    assert (member.layer, member.size, member.mode, member.type) == (3, 3, 0o644, "file")


@pytest.mark.parametrize("known", [True, False])
def test_one_layer_is_shown_as_it_is(store: Store, known: bool) -> None:
    image = stacked(store, [text("a", "1")], [text(".wh.a", ""), text("b", "2")], known=known)
    assert paths(store, image, layer="2") == [".wh.a", "b"]
    assert paths(store, image, layer=show(store, image).layers[0].digest[:20]) == ["a"]
    assert paths(store, image) == ["b"]
    for wrong in ("0", "3", "x", "sha256:"):
        with pytest.raises(UsageError, match="no layer"):
            paths(store, image, layer=wrong)


@pytest.mark.parametrize(
    ("layers", "seen"),
    [
        ([["d/", "d/a", "d/b"], ["d/.wh..wh..opq", "d/c"]], ["d", "d/c"]),
        ([["d/", "d/a", "e"], [".wh.d"]], ["e"]),
        ([["d/", "d/a"], [".wh.d"], ["d/", "d/b"]], ["d", "d/b"]),
        ([["d/", "d/a"], ["d"]], ["d"]),
        ([["d"], ["d/", "d/a"]], ["d", "d/a"]),
        ([["d"], ["d/a"]], ["d/a"]),
        ([["a", "b"], [".wh..wh..opq", "c"]], ["c"]),
        ([["dd", "d/", "d/a"], [".wh.d"]], ["dd"]),
        ([["a"], [".wh.a", "a"]], ["a"]),
    ],
)
def test_whiteouts_and_replacements(store: Store, layers: list[list[str]], seen: list[str]) -> None:
    stack = [[Entry(path.rstrip("/"), "dir" if path.endswith("/") else "file") for path in one] for one in layers]
    assert paths(store, stacked(store, *stack)) == seen


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.so", ["lib/deep/b.so", "x.so"]),
        ("/*.so", ["x.so"]),
        ("/lib", ["lib", "lib/deep", "lib/deep/b.so"]),
        ("lib/", ["lib", "lib/deep", "lib/deep/b.so"]),
        ("/lib/*", ["lib/deep", "lib/deep/b.so"]),
        ("/**/*.so", ["lib/deep/b.so", "x.so"]),
        ("deep", ["lib/deep", "lib/deep/b.so"]),
        (".hidden", [".hidden"]),
        ("./.hidden", [".hidden"]),
        ("?.so", ["lib/deep/b.so", "x.so"]),
        ("[ax].so", ["x.so"]),
        ("none", []),
        ("/", [".hidden", "lib", "lib/deep", "lib/deep/b.so", "x.so"]),
    ],
)
def test_patterns(store: Store, pattern: str, found: list[str]) -> None:
    entries = [
        Entry("lib", "dir"),
        Entry("lib/deep", "dir"),
        text("lib/deep/b.so", ""),
        text("x.so", ""),
        text(".hidden", ""),
    ]
    assert paths(store, stacked(store, entries), pattern) == found


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("compression", ["zstd", "none"])
def test_content_is_read_through_links(store: Store, known: bool, compression: str) -> None:
    entries = [
        Entry("usr", "dir", 0o755),
        Entry("usr/lib", "dir", 0o755),
        text("usr/lib/real", "content"),
        Entry("usr/lib/relative", "symlink", 0o777, link="../lib/real"),
        Entry("lib", "symlink", 0o777, link="/usr/lib"),
        Entry("hard", "hardlink", link="usr/lib/real"),
        Entry("out", "symlink", 0o777, link="../../../../usr/lib/real"),
        text("deep/implied/file", "deep"),
    ]
    layer = pack(store, entries, compression, known=known)  # type: ignore[arg-type]
    name(store, put_image(store, [layer]), "links")
    for path in ("/usr/lib/real", "lib/real", "/lib/relative", "hard", "/out", "usr/./lib/../lib//real"):
        assert read(store, "links", path) == "content"
    assert read(store, "links", "deep/implied/file") == "deep"


def test_the_newest_content_counts(store: Store) -> None:
    image = stacked(store, [text("a", "old"), text("b", "kept")], [text("a", "first"), text("a", "second")])
    assert read(store, image, "a") == "second"
    assert read(store, image, "b") == "kept"


def test_a_hard_link_keeps_the_content_that_a_higher_layer_replaces(store: Store) -> None:
    image = stacked(store, [text("a", "old"), Entry("b", "hardlink", link="a")], [text("a", "new")])
    assert (read(store, image, "a"), read(store, image, "b")) == ("new", "old")


def test_what_cannot_be_read_is_one_clear_error(store: Store) -> None:
    loop = [Entry("x", "symlink", link="y"), Entry("y", "symlink", link="x"), Entry("d", "dir"), Entry("p", "fifo")]
    image = stacked(store, [*loop, text("file", ""), Entry("dangling", "symlink", link="/gone")])
    for path, message in (("x", "goes round"), ("d", "folder"), ("p", "pipe"), ("fil", "did you mean '/file'")):
        with pytest.raises(UsageError, match=message):
            cat(store, image, path)
    for path in ("dangling", "file/below", "", "/"):
        with pytest.raises(UsageError):
            cat(store, image, path)


def test_a_layer_that_was_pulled_with_gzip_is_read(store: Store) -> None:
    plain = pack(store, [text("a", "content")], "none", known=False)
    data = gzip.compress(store.blobs.read(plain.blob.digest))
    store.blobs.put(data)
    layer = Layer(Descriptor(LAYER_GZIP, digest_of(data), len(data)), plain.diff_id)
    name(store, put_image(store, [layer]), "pulled")
    assert paths(store, "pulled") == ["a"]
    assert read(store, "pulled", "a") == "content"
    assert show(store, "pulled").layers[0].unpacked is None


@pytest.mark.parametrize("known", [True, False])
def test_a_damaged_layer_is_one_clear_error(store: Store, known: bool) -> None:
    image = stacked(store, [text("a", "content" * 1000)], known=known)
    path: Path = store.blobs.path(show(store, image).layers[0].digest)  # type: ignore[arg-type]
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(StoreError, match=r"damaged on disk .* set aside"):
        read(store, image, "a")
    with pytest.raises(StoreError, match="not in the store"):
        read(store, image, "a")


def test_an_image_is_found_without_its_manifests_name_while_that_is_clear(store: Store, scoring: Descriptor) -> None:
    name(store, scoring, "shop/rank", "v1")
    assert show(store, "rank").reference == show(store, "rank:v1").reference == "shop/rank:v1"
    with pytest.raises(UsageError, match="image shop/rank has no tag 'v2'"):
        show(store, "rank:v2")
    name(store, scoring, "other/rank", "v1")
    for asked in ("rank", "rank:v1"):
        with pytest.raises(UsageError, match="write other/rank or shop/rank"):
            show(store, asked)
    assert show(store, "other/rank").reference == "other/rank:v1"
