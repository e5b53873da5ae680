"""Layers of frames: the same bytes with and without the cache, which is bounded and never believed blindly."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import zstandard

from pipeline.assemble import frame_layer
from pipeline.assemble.entry import Entry
from pipeline.assemble.frame import Frame, Framed, frame_key
from pipeline.assemble.frame_cache import FrameCache
from pipeline.assemble.layer import Contents
from pipeline.errors import AssembleError
from pipeline.oci.descriptor import Layer
from pipeline.store.blobs import Blobs

Make = Callable[[], Iterable[Entry]]


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs", tmp_path / "scratch")


def file(path: str, content: bytes) -> Entry:
    return Entry(path, source=content, size=len(content), owner=path.partition("/")[2])


def package(name: str, packed: list[str] | None = None, **files: bytes) -> Frame:
    """A frame of files below lib/; `packed` notes each time that it is made."""

    def entries() -> Iterable[Entry]:
        if packed is not None:
            packed.append(name)
        return [file(f"lib/{path}", content) for path, content in sorted(files.items())]

    return Frame(frame_key("test", name), entries)


def framed(*frames: Frame) -> Framed:
    return Framed(
        frames, lambda paths: (Entry(path, "dir", 0o755) for path in sorted({p.rpartition("/")[0] for p in paths}))
    )


def unpacked(blobs: Blobs, layer: Layer) -> bytes:
    with blobs.path(layer.blob.digest).open("rb") as blob:
        return zstandard.ZstdDecompressor().stream_reader(blob, read_across_frames=True).read()


def files(blobs: Blobs, layer: Layer) -> dict[str, bytes]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(unpacked(blobs, layer))) as tar:
        for member in tar:
            content = tar.extractfile(member)
            found[member.name] = content.read() if content else b""
    return found


def test_a_layer_is_its_folders_and_its_packages(blobs: Blobs, tmp_path: Path) -> None:
    layer, contents = frame_layer.write(
        framed(package("b", two=b"2" * 3000), package("a", one=b"1")), blobs, FrameCache(tmp_path / "cache")
    )
    assert files(blobs, layer) == {"lib": b"", "lib/two": b"2" * 3000, "lib/one": b"1"}
    assert [member[0] for member in contents.members] == ["lib", "lib/two", "lib/one"]
    assert layer.diff_id == "sha256:" + hashlib.sha256(unpacked(blobs, layer)).hexdigest()
    data = blobs.path(layer.blob.digest).read_bytes()
    assert (layer.blob.digest, layer.blob.size) == ("sha256:" + hashlib.sha256(data).hexdigest(), len(data))


def test_what_is_packed_is_not_packed_again_for_another_layer(blobs: Blobs, tmp_path: Path) -> None:
    packed: list[str] = []
    one, two, three = (package(name, packed, **{name: os.urandom(5000)}) for name in ("one", "two", "three"))
    first = frame_layer.write(framed(one, two), blobs, FrameCache(tmp_path / "cache"))
    assert frame_layer.write(framed(one, two), blobs, FrameCache(tmp_path / "cache")) == first
    frame_layer.write(framed(one, three), blobs, FrameCache(tmp_path / "cache"))
    assert sorted(packed) == ["one", "three", "two"]
    assert frame_layer.write(framed(one, two), blobs, FrameCache(tmp_path / "another")) == first


def test_of_two_packages_with_one_file_the_later_stays(blobs: Blobs, tmp_path: Path) -> None:
    one, two = package("one", both=b"one", own=b"1"), package("two", both=b"two")
    made = [frame_layer.write(framed(one, two), blobs, FrameCache(tmp_path / "cache")) for _ in range(2)]
    assert made[0] == made[1]
    layer, contents = made[0]
    assert files(blobs, layer) == {"lib": b"", "lib/own": b"1", "lib/both": b"two"}
    assert [member[0] for member in contents.members] == ["lib", "lib/own", "lib/both"]
    alone, _ = frame_layer.write(framed(one), blobs, FrameCache(tmp_path / "cache"))
    assert files(blobs, alone)["lib/both"] == b"one"


@pytest.mark.parametrize(
    "harm", [lambda data: data[:-50], lambda data: data[:0], lambda data: data[:9] + b"?" + data[10:]]
)
def test_a_damaged_frame_is_made_anew(blobs: Blobs, tmp_path: Path, harm: Callable[[bytes], bytes]) -> None:
    packed: list[str] = []
    one, cache = package("one", packed, one=os.urandom(5000)), FrameCache(tmp_path / "cache")
    first = frame_layer.write(framed(one), blobs, cache)
    kept = tmp_path / "cache" / str(one.key)
    kept.write_bytes(harm(kept.read_bytes()))
    assert frame_layer.write(framed(one), blobs, cache) == first
    assert frame_layer.write(framed(one), blobs, cache) == first
    assert packed == ["one", "one"]


def test_what_cannot_be_packed_leaves_nothing(blobs: Blobs, tmp_path: Path) -> None:
    def broken() -> Iterable[Entry]:
        yield file("lib/fine", b"1")
        yield file("lib/../../climbs", b"2")

    cache = FrameCache(tmp_path / "cache")
    frame = Frame(frame_key("test", "broken"), broken)
    with pytest.raises(AssembleError, match="no path inside the image"):
        frame_layer.write(framed(frame), blobs, cache)
    assert frame.key and not cache.has(frame.key)
    assert [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] == ["lock"]


def test_a_frame_without_a_key_is_not_kept(blobs: Blobs, tmp_path: Path) -> None:
    packed: list[str] = []
    once = Frame(None, package("one", packed, one=b"1").entries)
    for _ in range(2):
        layer, _ = frame_layer.write(framed(once), blobs, FrameCache(tmp_path / "cache"))
        assert files(blobs, layer)["lib/one"] == b"1"
    assert packed == ["one", "one"]
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_file()]


def test_the_oldest_go_when_there_are_too_many(tmp_path: Path) -> None:
    clock = [1e9]
    made = [package(str(number), data=os.urandom(10_000)) for number in range(12)]
    for frame in made:
        # A cache of its own each time: every run looks at what there is.
        clock[0] += 4000
        FrameCache(tmp_path, limit=100_000, now=lambda: clock[0]).packed(frame)
        FrameCache(tmp_path, limit=100_000, now=lambda: clock[0]).packed(made[0])
    there = [number for number, frame in enumerate(made) if frame.key and FrameCache(tmp_path).has(frame.key)]
    assert there[0] == 0
    assert there[1:] == list(range(there[1], 12))
    assert sum(path.stat().st_size for path in tmp_path.iterdir() if path.is_file()) <= 100_000


def test_what_is_in_use_stays_however_much_it_is(blobs: Blobs, tmp_path: Path) -> None:
    made = framed(*(package(str(number), **{f"f{number}": os.urandom(10_000)}) for number in range(5)))
    layer, contents = frame_layer.write(made, blobs, FrameCache(tmp_path / "cache", limit=10_000))
    assert len(files(blobs, layer)) == 6
    assert isinstance(contents, Contents)
