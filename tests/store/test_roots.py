"""Unpacking layers: what an overlay reads, and nothing outside of the layer's folder."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import tarfile
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
import zstandard

from pipeline.digest import Digest, digest_of
from pipeline.errors import AssembleError, Lost, StoreError
from pipeline.oci.descriptor import LAYER, LAYER_GZIP, LAYER_ZSTD, Descriptor, Layer
from pipeline.store.roots import Roots, overlay_ready, remove_tree

Member = tuple[str, dict[str, object], bytes]


def member(name: str, content: bytes = b"", **fields: object) -> Member:
    return name, fields, content


def tar(members: Iterable[Member]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, fields, content in members:
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(content), 0o644, 1_000_000_000
            for key, value in fields.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def directory(name: str, mode: int = 0o755) -> Member:
    return member(name, type=tarfile.DIRTYPE, mode=mode)


def symlink(name: str, target: str) -> Member:
    return member(name, type=tarfile.SYMTYPE, linkname=target)


@pytest.fixture
def strict() -> Iterator[None]:
    """As users have it who let nobody else read what they make."""
    before = os.umask(0o077)
    yield
    os.umask(before)


class Shelf:
    """Blobs in a folder, and the roots made of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.roots = Roots(folder / "roots", self.path)

    def path(self, digest: Digest) -> Path:
        return self.folder / digest.removeprefix("sha256:")

    def put(self, content: bytes, media_type: str = LAYER) -> Layer:
        pack: Callable[[bytes], bytes] = {
            LAYER: bytes,
            LAYER_GZIP: gzip.compress,
            LAYER_ZSTD: zstandard.ZstdCompressor().compress,
        }[media_type]
        blob = pack(content)
        self.path(digest_of(blob)).write_bytes(blob)
        return Layer(Descriptor(media_type, digest_of(blob), len(blob)), digest_of(content))

    def unpack(self, *members: Member) -> Path:
        return self.roots.layer(self.put(tar(members)))


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


@pytest.mark.parametrize("media_type", [LAYER, LAYER_GZIP, LAYER_ZSTD])
def test_files_keep_content_mode_time_and_links(shelf: Shelf, media_type: str) -> None:
    big = os.urandom(3_000_000)
    layer = shelf.put(
        tar(
            [
                directory("./"),
                directory("./usr", 0o750),
                member("./usr/tool", b"#!", mode=0o755),
                member("usr/big", big),
                symlink("usr/link", "/etc/passwd"),
                member("usr/same", type=tarfile.LNKTYPE, linkname="usr/tool"),
                member("deep/er/file", b"x"),
                member("usr/" + "long" * 60, b"pax"),
            ]
        ),
        media_type,
    )
    root = shelf.roots.layer(layer)
    assert root.name == layer.diff_id.removeprefix("sha256:")
    assert (root / "usr/big").read_bytes() == big
    assert (root / "usr/tool").stat().st_mode & 0o777 == 0o755
    assert (root / "usr/tool").stat().st_mtime == (root / "usr").stat().st_mtime == 1_000_000_000
    assert (root / "usr").stat().st_mode & 0o777 == 0o750
    assert str((root / "usr/link").readlink()) == "/etc/passwd"
    assert (root / "usr/same").samefile(root / "usr/tool")
    assert (root / "deep/er/file").read_bytes() == b"x"
    assert (root / "usr" / ("long" * 60)).read_bytes() == b"pax"


def test_whiteouts_become_the_overlays_own(shelf: Shelf) -> None:
    root = shelf.unpack(
        directory("a"), member("a/.wh..wh..opq"), member("a/new", b"1"), member("b/.wh.gone"), member("b/.wh..wh.plnk")
    )
    if not overlay_ready(root):
        pytest.skip("this file system holds no whiteouts")
    gone = (root / "b/gone").lstat()
    assert stat.S_ISCHR(gone.st_mode)
    assert gone.st_rdev == 0
    assert os.getxattr(root / "a", "user.overlay.opaque") == b"y"
    assert sorted(os.listdir(root / "a")) == ["new"]
    assert sorted(os.listdir(root / "b")) == ["gone"]


def test_a_folder_that_replaces_one_below_hides_it(shelf: Shelf) -> None:
    root = shelf.unpack(member("a/.wh.b"), member("a/b/c", b"1"))
    if not overlay_ready(root):
        pytest.skip("this file system holds no whiteouts")
    assert (root / "a/b/c").read_bytes() == b"1"
    assert os.getxattr(root / "a/b", "user.overlay.opaque") == b"y"


def test_the_later_of_two_members_counts(shelf: Shelf) -> None:
    root = shelf.unpack(
        member("a", b"1"),
        member("a", b"2"),
        member("d/x", b"1"),
        symlink("d", "a"),
        symlink("l", "/etc"),
        directory("e"),
    )
    assert (root / "a").read_bytes() == b"2"
    assert str((root / "d").readlink()) == "a"


def test_absolute_names_are_the_images_own(shelf: Shelf) -> None:
    """As Docker and containerd read them: some builders write hard links so."""
    root = shelf.unpack(member("/d/a", b"1"), member("d/b", type=tarfile.LNKTYPE, linkname="/d/a"))
    assert (root / "d/b").read_bytes() == b"1"
    assert (root / "d/a").stat().st_ino == (root / "d/b").stat().st_ino


@pytest.mark.parametrize(
    "members",
    [
        [member("../out", b"x")],
        [member("a/../../out", b"x")],
        [symlink("a", "/"), member("a/out", b"x")],
        [symlink("a", ".."), member("a/out", b"x")],
        [symlink("a", "b"), directory("b"), directory("a/c")],
        [symlink("a", ".."), member("a/.wh.roots")],
        [member("a", type=tarfile.LNKTYPE, linkname="../../outside")],
        [symlink("s", "../.."), member("a", type=tarfile.LNKTYPE, linkname="s/outside")],
        [member("a", type=tarfile.LNKTYPE, linkname="missing")],
        [member("a/.wh...", b"")],
        [member("/".join("d" * 300), b"x")],
        [member("", b"x", type=tarfile.REGTYPE)],
    ],
)
def test_what_leaves_the_layer_is_refused(shelf: Shelf, members: list[Member]) -> None:
    (shelf.folder / "outside").write_bytes(b"secret")
    before = sorted(os.listdir(shelf.folder))
    with pytest.raises(AssembleError):
        shelf.unpack(*members)
    assert [p for p in (shelf.folder / "roots").iterdir() if not p.name.endswith(".lock")] == []
    assert set(os.listdir(shelf.folder)) - set(before) <= {"roots"} | {
        p for p in os.listdir(shelf.folder) if len(p) == 64
    }
    assert (shelf.folder / "outside").stat().st_nlink == 1


def test_a_link_in_place_of_a_file_is_replaced_and_not_followed(shelf: Shelf) -> None:
    outside = shelf.folder / "outside"
    outside.write_bytes(b"mine")
    root = shelf.unpack(symlink("f", str(outside)), member("f", b"theirs"))
    assert outside.read_bytes() == b"mine"
    assert (root / "f").read_bytes() == b"theirs"


def test_overlay_attributes_are_not_taken_from_a_tar(shelf: Shelf) -> None:
    headers = {"SCHILY.xattr.user.overlay.redirect": "/", "SCHILY.xattr.user.note": "kept"}
    root = shelf.unpack(member("f", b"x", pax_headers=headers))
    assert "user.overlay.redirect" not in os.listxattr(root / "f")


@pytest.mark.parametrize(
    "spoil", [lambda b: b[: len(b) // 2], lambda b: b"\0" * len(b), lambda b: b[:2000] + b"!" + b[2001:]]
)
@pytest.mark.parametrize("media_type", [LAYER, LAYER_GZIP, LAYER_ZSTD])
def test_a_damaged_blob_is_an_error_and_leaves_nothing(
    shelf: Shelf, media_type: str, spoil: Callable[[bytes], bytes]
) -> None:
    layer = shelf.put(tar([member(f"f{n}", os.urandom(1000)) for n in range(9)]), media_type)
    blob = shelf.path(layer.blob.digest)
    blob.write_bytes(spoil(blob.read_bytes()))
    with pytest.raises(Lost, match=r"damaged on disk .* set aside") as raised:
        shelf.roots.layer(layer)
    assert raised.value.digest == layer.blob.digest
    assert [p for p in (shelf.folder / "roots").iterdir() if p.is_dir()] == []
    assert not blob.exists()


def test_a_member_hidden_behind_a_bad_header_is_an_error(shelf: Shelf) -> None:
    first, second = tar([member("a", b"1")])[:1024], tar([member("b", b"2")])
    layer = shelf.put(first + b"garbage".ljust(512, b"!") + second)
    with pytest.raises(StoreError, match="damaged"):
        shelf.roots.layer(layer)


def test_a_missing_blob_is_an_error(shelf: Shelf) -> None:
    layer = shelf.put(tar([]))
    shelf.path(layer.blob.digest).unlink()
    with pytest.raises(StoreError):
        shelf.roots.layer(layer)


def test_what_a_killed_run_left_is_taken_away(shelf: Shelf) -> None:
    layer = shelf.put(tar([member("f", b"x")]))
    partial = shelf.folder / "roots" / f".{layer.diff_id.removeprefix('sha256:')}.partial"
    (partial / "half").mkdir(parents=True)
    root = shelf.roots.layer(layer)
    assert sorted(os.listdir(root)) == ["f"]
    assert not partial.exists()


def test_two_at_once_unpack_once(shelf: Shelf) -> None:
    layer = shelf.put(tar([member(f"d/{n}", b"x") for n in range(300)]))
    reads: list[Digest] = []

    def path(digest: Digest) -> Path:
        reads.append(digest)
        return shelf.path(digest)

    found: list[Path] = []
    both = [
        threading.Thread(target=lambda: found.append(Roots(shelf.folder / "roots", path).layer(layer)))
        for _ in range(4)
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 4
    assert len(reads) == 1


def test_an_ordinary_users_layer_can_be_removed_again(shelf: Shelf) -> None:
    roots = Roots(shelf.folder / "user", shelf.path, as_root=False)
    layer = shelf.put(
        tar(
            [
                directory("closed", 0o000),
                member("closed/f", b"x", mode=0o000, uid=5, gid=6),
                member("s", b"", mode=0o4755),
            ]
        )
    )
    root = roots.layer(layer)
    assert (root / "closed").stat().st_mode & 0o700 == 0o700
    assert (root / "closed/f").stat().st_uid == os.geteuid()
    assert (root / "s").stat().st_mode & 0o7000 == 0
    remove_tree(root)
    assert not root.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root keeps owners")
def test_root_keeps_owners(shelf: Shelf) -> None:
    root = shelf.unpack(member("f", b"x", uid=1234, gid=2345), directory("d"))
    assert ((root / "f").stat().st_uid, (root / "f").stat().st_gid) == (1234, 2345)


def test_the_same_layer_twice_is_the_same_folder(shelf: Shelf) -> None:
    layer = shelf.put(tar([member("f", b"x")]))
    first = shelf.roots.layer(layer)
    shelf.path(layer.blob.digest).unlink()
    assert shelf.roots.layer(layer) == first
    assert hashlib.sha256((first / "f").read_bytes()).hexdigest() == hashlib.sha256(b"x").hexdigest()


def test_files_that_are_wanted_come_without_the_others(shelf: Shelf, tmp_path: Path) -> None:
    layer = shelf.put(tar([member("usr/lib/a.py", b"a"), member("usr/bin/b", b"b"), symlink("usr/lib/c.py", "a.py")]))
    (tmp_path / "scratch").mkdir()
    folder = shelf.roots.files(layer, lambda path: path.endswith(".py"), tmp_path / "scratch")
    assert [str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()] == ["usr/lib/a.py"]
    assert (folder / "usr/lib/a.py").read_bytes() == b"a"
    whole = shelf.roots.layer(layer)
    assert shelf.roots.files(layer, lambda _path: True, tmp_path / "scratch") == whole


def test_a_wanted_hard_link_takes_the_whole_layer(shelf: Shelf, tmp_path: Path) -> None:
    link = member("a.py", type=tarfile.LNKTYPE, linkname="elsewhere")
    layer = shelf.put(tar([member("elsewhere", b"a"), link]))
    folder = shelf.roots.files(layer, lambda path: path.endswith(".py"), tmp_path)
    assert (folder / "a.py").read_bytes() == b"a"
    assert folder == shelf.roots.layer(layer)


def test_wanted_files_of_a_damaged_or_hostile_layer_are_refused(shelf: Shelf, tmp_path: Path) -> None:
    with pytest.raises(AssembleError):
        shelf.roots.files(shelf.put(tar([member("../a.py", b"a")])), lambda _path: True, tmp_path)
    cut = shelf.put(zstandard.compress(tar([member("a.py", b"a" * 5000)]))[:-20], LAYER_ZSTD)
    with pytest.raises(StoreError, match="damaged"):
        shelf.roots.files(cut, lambda _path: True, tmp_path)


@pytest.mark.usefixtures("strict")
def test_folders_that_the_layer_does_not_list_are_for_everybody(shelf: Shelf) -> None:
    """A service may run as any user."""
    gone = member("opt/.wh..wh..opq")
    pipe = member("srv/pipe", type=tarfile.FIFOTYPE, mode=0o666)
    folder = shelf.roots.layer(shelf.put(tar([member("srv/app/start", b"x"), gone, member("opt/a/b", b"y"), pipe])))
    for path in (folder, folder / "srv", folder / "srv/app", folder / "opt", folder / "opt/a"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o755, path
    assert [stat.S_IMODE((folder / name).stat().st_mode) for name in ("srv/app/start", "srv/pipe")] == [0o644, 0o666]
