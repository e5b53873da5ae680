"""Exports: what other tools would read in them, byte for byte the same, and nothing overwritten that is not ours."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import zstandard
from store_images import AMD64, ARM64, name, pack, put_image, text

from pipeline.assemble import tar
from pipeline.assemble.entry import Entry
from pipeline.errors import StoreError, UsageError
from pipeline.facts import Platform
from pipeline.oci.descriptor import Descriptor
from pipeline.store import Store
from pipeline.store.archive import Archive
from pipeline.store.export import export

Read = Callable[[str], bytes]


def folder_reader(folder: Path) -> Read:
    return lambda path: (folder / path).read_bytes()


def tar_reader(path: Path) -> Read:
    with tarfile.open(path) as archive:
        files = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
        known = {name: file.read() for name, file in files.items() if file}
    return known.__getitem__


def blob(read: Read, descriptor: Mapping[str, Any]) -> bytes:
    """A descriptor's blob, verified."""
    data = read("blobs/" + descriptor["digest"].replace(":", "/"))
    assert len(data) == descriptor["size"]
    assert "sha256:" + hashlib.sha256(data).hexdigest() == descriptor["digest"]
    return data


def images(read: Read) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """Every image of a layout by its tag: (platform, config) for each platform; all digests and sizes are checked."""
    assert json.loads(read("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads(read("index.json"))
    assert index["schemaVersion"] == 2
    found = {}
    for entry in index["manifests"]:
        document = json.loads(blob(read, entry))
        parts = document.get("manifests", [entry])
        found[entry["annotations"]["org.opencontainers.image.ref.name"]] = [image(read, part) for part in parts]
    return found


def image(read: Read, descriptor: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    manifest = json.loads(blob(read, descriptor))
    assert manifest["mediaType"] == descriptor["mediaType"]
    config = json.loads(blob(read, manifest["config"]))
    diff_ids = []
    for layer in manifest["layers"]:
        data = blob(read, layer)
        if layer["mediaType"].endswith("zstd"):
            data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
        elif layer["mediaType"].endswith("gzip"):
            data = gzip.decompress(data)
        diff_ids.append("sha256:" + hashlib.sha256(data).hexdigest())
    assert diff_ids == config["rootfs"]["diff_ids"]
    return f"{config['os']}/{config['architecture']}", config


def test_a_folder_is_an_image_layout(store: Store, scoring: Descriptor, tmp_path: Path) -> None:
    made = export(store, "scoring", tmp_path / "new/layout")
    found = images(folder_reader(tmp_path / "new/layout"))
    assert [platform for platform, _ in found["v1"]] == ["linux/amd64"]
    assert (made.format, made.reference, made.digest) == ("oci", "scoring:v1", scoring.digest)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["layout"]


def test_an_oci_archive_is_the_same_in_a_tar(store: Store, scoring: Descriptor, tmp_path: Path) -> None:
    made = export(store, "scoring", tmp_path / "a.tar", format="oci-archive")
    found = images(tar_reader(tmp_path / "a.tar"))
    assert made.digest == scoring.digest
    assert found["v1"][0][1]["config"]["User"] == "1000"
    assert made.size == (tmp_path / "a.tar").stat().st_size


def test_a_docker_archive_has_uncompressed_layers_and_the_same_image_id(
    store: Store, scoring: Descriptor, tmp_path: Path
) -> None:
    made = export(store, "scoring:v1", tmp_path / "a.tar")
    read = tar_reader(tmp_path / "a.tar")
    (entry,) = json.loads(read("manifest.json"))
    config = json.loads(read(entry["Config"]))
    assert entry["RepoTags"] == ["scoring:v1"]
    assert ["sha256:" + hashlib.sha256(read(path)).hexdigest() for path in entry["Layers"]] == config["rootfs"][
        "diff_ids"
    ]
    stored = json.loads(store.blobs.read(scoring.digest))
    assert made.image_ids == {"linux/amd64": stored["config"]["digest"]}
    assert "sha256:" + hashlib.sha256(read(entry["Config"])).hexdigest() == stored["config"]["digest"]
    with tarfile.open(fileobj=io.BytesIO(read(entry["Layers"][1]))) as layer:
        assert layer.getnames() == ["opt/model.bin", "opt/ü"]


def test_a_docker_archive_is_an_image_layout_as_well(store: Store, scoring: Descriptor, tmp_path: Path) -> None:
    made = export(store, "scoring", tmp_path / "a.tar")
    read = tar_reader(tmp_path / "a.tar")
    assert [platform for platform, _ in images(read)["v1"]] == ["linux/amd64"]
    (entry,) = json.loads(read("index.json"))["manifests"]
    assert entry["digest"] == made.digest != scoring.digest
    assert entry["annotations"]["io.containerd.image.name"] == "docker.io/library/scoring:v1"


@pytest.mark.parametrize("format_", ["oci-archive", "docker-archive"])
def test_two_exports_are_the_same_bytes(store: Store, scoring: Descriptor, tmp_path: Path, format_: Any) -> None:
    for place in ("a.tar", "b.tar"):
        export(store, scoring.digest, tmp_path / place, format=format_)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    with tarfile.open(tmp_path / "a.tar") as archive:
        assert {(m.uid, m.gid, m.mtime) for m in archive} == {(0, 0, 315532800)}


def test_several_platforms_go_whole_into_oci_formats(store: Store, both: Descriptor, tmp_path: Path) -> None:
    made = export(store, "both", tmp_path / "layout")
    export(store, "both", tmp_path / "a.tar", format="oci-archive")
    for read in (folder_reader(tmp_path / "layout"), tar_reader(tmp_path / "a.tar")):
        assert [platform for platform, _ in images(read)["v1"]] == ["linux/amd64", "linux/arm64"]
    assert (made.digest, list(made.image_ids)) == (both.digest, ["linux/amd64", "linux/arm64"])


@pytest.mark.usefixtures("both")
def test_one_platform_can_be_chosen(store: Store, tmp_path: Path) -> None:
    export(store, "both", tmp_path / "layout", platform=ARM64)
    export(store, "both", tmp_path / "a.tar", machine=ARM64)
    export(store, "both", tmp_path / "b.tar", platform=AMD64, machine=ARM64)
    seen = [folder_reader(tmp_path / "layout"), tar_reader(tmp_path / "a.tar"), tar_reader(tmp_path / "b.tar")]
    platforms = [[platform for platform, _ in images(read)["v1"]] for read in seen]
    assert platforms == [["linux/arm64"], ["linux/arm64"], ["linux/amd64"]]


@pytest.mark.usefixtures("both")
def test_a_docker_archive_of_a_foreign_image_asks_for_the_platform(store: Store, tmp_path: Path) -> None:
    for choice in ({}, {"machine": Platform("linux", "s390x")}, {"platform": Platform("linux", "386")}):
        with pytest.raises(UsageError, match="--platform: linux/amd64, linux/arm64"):
            export(store, "both", tmp_path / "a.tar", **choice)  # type: ignore[arg-type]
    assert not (tmp_path / "a.tar").exists()


def test_a_second_image_is_added_to_a_layout(store: Store, scoring: Descriptor, tmp_path: Path) -> None:
    export(store, "scoring", tmp_path / "layout")
    again = export(store, "scoring", tmp_path / "layout", tag="v2")
    assert again.size == 0
    other = name(store, put_image(store, [pack(store, [text("x", "x")])]), "scoring", "v1")
    export(store, "scoring", tmp_path / "layout")
    found = images(folder_reader(tmp_path / "layout"))
    assert set(found) == {"v1", "v2"}
    index = json.loads((tmp_path / "layout/index.json").read_bytes())
    assert [e["digest"] for e in index["manifests"]] == [scoring.digest, other.digest]


@pytest.mark.usefixtures("both")
def test_a_tag_of_another_image_is_not_taken(store: Store, tmp_path: Path) -> None:
    export(store, "scoring", tmp_path / "layout")
    with pytest.raises(UsageError, match=r"the tag v1 is docker.io/library/scoring:v1"):
        export(store, "both", tmp_path / "layout")
    export(store, "both", tmp_path / "layout", tag="v2")
    assert set(images(folder_reader(tmp_path / "layout"))) == {"v1", "v2"}
    export(store, "both", tmp_path / "layout", force=True)


@pytest.mark.usefixtures("scoring")
def test_a_layout_of_another_tool_keeps_what_it_has(store: Store, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    (layout / "blobs/sha256").mkdir(parents=True)
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0", "x": 1}')
    theirs = {"mediaType": "application/x", "digest": "sha256:" + "0" * 64, "size": 1}
    (layout / "index.json").write_text(
        json.dumps({"schemaVersion": 2, "manifests": [theirs], "annotations": {"a": "b"}})
    )
    export(store, "scoring", layout)
    index = json.loads((layout / "index.json").read_bytes())
    assert index["manifests"][0] == theirs
    assert index["annotations"] == {"a": "b"}
    assert json.loads((layout / "oci-layout").read_bytes())["x"] == 1


@pytest.mark.usefixtures("scoring")
@pytest.mark.parametrize("index", ["", "[]", '{"manifests": [1]}', '{"manifests": {}}', "\xff"])
def test_a_damaged_layout_is_one_clear_error(store: Store, tmp_path: Path, index: str) -> None:
    export(store, "scoring", tmp_path / "layout")
    (tmp_path / "layout/index.json").write_text(index, encoding="latin-1")
    with pytest.raises(UsageError, match=r"index\.json cannot be read"):
        export(store, "scoring", tmp_path / "layout")


@pytest.mark.usefixtures("scoring")
def test_nothing_foreign_is_overwritten(store: Store, tmp_path: Path) -> None:
    (tmp_path / "notes.tar").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("mine")
    (tmp_path / "empty").mkdir()
    for destination, format_ in (("notes.tar", None), ("full", None), ("full", "oci-archive"), ("notes.tar", "oci")):
        with pytest.raises(UsageError):
            export(store, "scoring", tmp_path / destination, format=format_)  # type: ignore[arg-type]
    export(store, "scoring", tmp_path / "empty")
    assert (tmp_path / "notes.tar").read_text() == "mine"
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["file"]
    export(store, "scoring", tmp_path / "notes.tar", force=True)
    export(store, "scoring", tmp_path / "full", force=True)
    assert (tmp_path / "full/file").read_text() == "mine"
    assert images(tar_reader(tmp_path / "notes.tar")) == images(tar_reader(tmp_path / "notes.tar"))


@pytest.mark.usefixtures("both")
def test_an_earlier_export_is_replaced(store: Store, tmp_path: Path) -> None:
    export(store, "scoring", tmp_path / "a.tar")
    export(store, "both", tmp_path / "a.tar", format="oci-archive")
    assert len(images(tar_reader(tmp_path / "a.tar"))["v1"]) == 2


@pytest.mark.usefixtures("scoring")
@pytest.mark.parametrize(
    ("tag", "docker", "ref"),
    [
        ("v9", "scoring:v9", "v9"),
        ("shop/score:1", "shop/score:1", "1"),
        ("ghcr.io/me/score:1", "ghcr.io/me/score:1", "1"),
        ("localhost:5000/score", "localhost:5000/score:v1", "v1"),
    ],
)
def test_the_name_can_be_chosen(store: Store, tmp_path: Path, tag: str, docker: str, ref: str) -> None:
    made = export(store, "scoring", tmp_path / "a.tar", tag=tag)
    read = tar_reader(tmp_path / "a.tar")
    assert json.loads(read("manifest.json"))[0]["RepoTags"] == [docker]
    assert list(images(read)) == [ref]
    assert made.reference == docker


@pytest.mark.usefixtures("scoring")
@pytest.mark.parametrize("tag", ["me/UPPER:1", "a b", "v1:", "-x", "a:b:c"])
def test_a_name_that_no_tool_takes_is_refused(store: Store, tmp_path: Path, tag: str) -> None:
    with pytest.raises(UsageError):
        export(store, "scoring", tmp_path / "a.tar", tag=tag)
    assert not (tmp_path / "a.tar").exists()


@pytest.mark.usefixtures("scoring")
@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("scorin", "did you mean 'scoring'"),
        ("scoring:v2", "no tag 'v2'"),
        ("sha256:0000", "no image"),
        ("", "no image"),
    ],
)
def test_an_unknown_image_is_one_clear_error(store: Store, tmp_path: Path, asked: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        export(store, asked, tmp_path / "a.tar")


@pytest.mark.usefixtures("both")
def test_an_image_is_found_by_digest_and_by_image_id(store: Store, tmp_path: Path) -> None:
    scoring = store.images()["scoring"][0].digest
    config = json.loads(store.blobs.read(scoring))["config"]["digest"]
    for number, asked in enumerate([scoring, scoring[:19], scoring[7:19], config, config[7:19]]):
        assert export(store, asked, tmp_path / str(number)).digest == scoring
    newer = name(store, put_image(store, [pack(store, [text("x", "x")])]), "scoring", "v1")
    name(store, newer, "both", "v1")
    assert export(store, scoring, tmp_path / "old").reference == "image:latest"


@pytest.mark.usefixtures("scoring")
@pytest.mark.parametrize("destination", ["a.tar.gz", "a.tgz", "a.zip"])
def test_a_compressed_archive_is_not_promised(store: Store, tmp_path: Path, destination: str) -> None:
    with pytest.raises(UsageError, match=r"name it \*\.tar"):
        export(store, "scoring", tmp_path / destination)


@pytest.mark.parametrize("destination", ["layout", "a.tar"])
@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_damaged_layer_is_never_exported(
    store: Store, scoring: Descriptor, tmp_path: Path, destination: str, layer: int, damage: str
) -> None:
    digest = json.loads(store.blobs.read(scoring.digest))["layers"][layer]["digest"]
    path = store.blobs.path(digest)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(data if damage == "flip" else data[: len(data) // 2])
    with pytest.raises(StoreError, match=digest[7:19]):
        export(store, "scoring", tmp_path / "out" / destination)
    assert list((tmp_path / "out").iterdir()) == []
    assert not path.exists(), "it is made anew, or had from where it was"


@pytest.mark.usefixtures("scoring")
def test_a_destination_that_cannot_be_written_is_one_clear_error(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for destination in ("file/a.tar", "file/layout"):
        with pytest.raises(StoreError, match="cannot write"):
            export(store, "scoring", tmp_path / destination)


def test_the_same_layer_twice_is_written_once(store: Store, tmp_path: Path) -> None:
    layer = pack(store, [text("a", "a")])
    name(store, put_image(store, [layer, layer]), "twice", "v1")
    export(store, "twice", tmp_path / "a.tar")
    read = tar_reader(tmp_path / "a.tar")
    assert len(json.loads(read("manifest.json"))[0]["Layers"]) == 2
    assert images(read)
    with tarfile.open(tmp_path / "a.tar") as archive:
        assert len(archive.getnames()) == len(set(archive.getnames()))


def test_a_member_whose_size_was_guessed_wrong_has_the_right_header(tmp_path: Path) -> None:
    for guess in (0, 3, 5, 9 << 30):
        path = tmp_path / f"{guess}.tar"
        with path.open("wb") as file:
            archive = Archive(file)
            assert archive.stream("blobs/x", guess, lambda: [b"ab", b"cde"]) == 5
            archive.add("after", b"z")
            archive.close()
        assert len(tar.header(Entry("blobs/x", size=9 << 30))) > tar.BLOCK
        read = tar_reader(path)
        assert (read("blobs/x"), read("after")) == (b"abcde", b"z")


SKOPEO = shutil.which("skopeo")


@pytest.mark.usefixtures("scoring")
@pytest.mark.skipif(not SKOPEO, reason="needs skopeo")
@pytest.mark.parametrize(
    ("format_", "address"),
    [
        ("oci", "oci:{}:v1"),
        ("oci-archive", "oci-archive:{}:v1"),
        ("docker-archive", "docker-archive:{}"),
        ("docker-archive", "oci-archive:{}:v1"),
    ],
)
def test_skopeo_reads_it(store: Store, tmp_path: Path, format_: Any, address: str) -> None:
    export(store, "scoring", tmp_path / "exported", format=format_)
    copy = [
        "skopeo",
        "--insecure-policy",
        "copy",
        "-q",
        address.format(tmp_path / "exported"),
        f"oci:{tmp_path}/copy:x",
    ]
    subprocess.run(copy, check=True, env={**os.environ, "TMPDIR": str(tmp_path)}, timeout=60)
    assert images(folder_reader(tmp_path / "copy"))["x"][0][1]["config"]["Entrypoint"] == ["/bin/app"]
