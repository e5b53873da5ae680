"""The layer writer: deterministic bytes, bounded by what was announced, nothing hostile gets in."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from pipeline.assemble import layer as layers
from pipeline.assemble.entry import Entry
from pipeline.errors import AssembleError, Interrupted
from pipeline.oci.descriptor import LAYER, LAYER_ZSTD
from pipeline.store.blobs import Blobs


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs", tmp_path / "scratch")


def entries(content: bytes = b"x" * 3000) -> list[Entry]:
    return [
        Entry("etc", "dir", 0o755),
        Entry("etc/big", source=content, size=len(content), owner="a.whl"),
        Entry("etc/link", "symlink", 0o777, link="big"),
        Entry("etc/hard", "hardlink", link="etc/big"),
    ]


def left(blobs: Blobs, tmp_path: Path) -> list[Path]:
    """Files other than locks that remain in the scratch folder, and blobs that were published."""
    scratch = [path for path in (tmp_path / "scratch").rglob("*") if path.is_file() and path.name != "lock"]
    return scratch + [path for path in blobs.folder.rglob("*") if path.is_file()]


def test_digests_are_those_of_the_bytes(blobs: Blobs) -> None:
    made, _ = layers.write(entries(), blobs)
    data = blobs.path(made.blob.digest).read_bytes()
    assert made.blob.media_type == LAYER_ZSTD
    assert (made.blob.digest, made.blob.size) == ("sha256:" + hashlib.sha256(data).hexdigest(), len(data))
    unpacked = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    assert made.diff_id == "sha256:" + hashlib.sha256(unpacked).hexdigest()
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as tar:
        assert tar.getnames() == ["etc", "etc/big", "etc/link", "etc/hard"]


def test_the_same_entries_give_the_same_layer_from_bytes_and_from_files(blobs: Blobs, tmp_path: Path) -> None:
    content = bytes(range(256)) * 20_000
    (tmp_path / "big").write_bytes(content)
    first, _ = layers.write(entries(content), blobs)
    second, _ = layers.write(
        [
            Entry(**{**{f: getattr(e, f) for f in e.__slots__}, "source": tmp_path / "big"}) if e.size else e
            for e in entries(content)
        ],
        blobs,
    )
    assert first == second


def test_uncompressed_layers_are_their_own_diff_id(blobs: Blobs) -> None:
    made, _ = layers.write(entries(), blobs, "none")
    assert made.blob.media_type == LAYER
    assert made.blob.digest == made.diff_id


def test_contents_say_what_is_inside_and_survive_json(blobs: Blobs) -> None:
    _, contents = layers.write(entries(), blobs)
    assert contents.members[1] == ["etc/big", "file", 0o644, 0, 0, 3000, "", "a.whl"]
    assert layers.Contents.from_json(contents.to_json()).members == contents.members


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a/", "a\0b", "\udcff"])
def test_hostile_paths_are_refused(blobs: Blobs, tmp_path: Path, path: str) -> None:
    with pytest.raises(AssembleError):
        layers.write([Entry("ok"), Entry(path)], blobs)
    assert left(blobs, tmp_path) == []


def test_a_file_of_another_size_than_announced_is_refused(blobs: Blobs, tmp_path: Path) -> None:
    source = tmp_path / "file"
    source.write_bytes(b"12345")
    for size in (4, 6):
        with pytest.raises(AssembleError, match="changed while it was packed"):
            layers.write([Entry("file", source=source, size=size)], blobs)
    with pytest.raises(AssembleError, match="4 were announced"):
        layers.write([Entry("file", source=b"12345", size=4)], blobs)
    assert left(blobs, tmp_path) == []


def test_a_file_that_is_gone_is_one_clear_error(blobs: Blobs, tmp_path: Path) -> None:
    with pytest.raises(AssembleError, match="cannot read"):
        layers.write([Entry("file", source=tmp_path / "gone", size=1)], blobs)


def test_a_packers_own_error_passes_through_and_leaves_nothing(blobs: Blobs, tmp_path: Path) -> None:
    def broken() -> Iterator[Entry]:
        yield Entry("ok", source=b"x" * 100, size=100)
        raise FileNotFoundError(2, "No such file", "/cache/some.whl")

    with pytest.raises(FileNotFoundError, match=r"some\.whl"):
        layers.write(broken(), blobs)
    assert left(blobs, tmp_path) == []


def test_stop_ends_the_work(blobs: Blobs, tmp_path: Path) -> None:
    def stop() -> None:
        raise Interrupted("interrupted")

    with pytest.raises(Interrupted):
        layers.write(entries(), blobs, stop=stop)
    assert left(blobs, tmp_path) == []
