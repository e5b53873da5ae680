"""Tar headers: read back by Python's tarfile whatever the names, links and sizes."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.assemble import tar
from pipeline.assemble.entry import MTIME, Entry

names = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="/\0"), min_size=1, max_size=120
).filter(lambda name: name not in (".", ".."))
paths = st.lists(names, min_size=1, max_size=6).map("/".join)
numbers = st.integers(0, 0o7777777 * 4)


def read(data: bytes) -> tarfile.TarInfo:
    """The one member of an archive, as tarfile sees it without touching its content."""
    with tarfile.open(fileobj=io.BytesIO(data + tar.END), ignore_zeros=False) as archive:
        found = archive.next()
    assert found
    return found


@given(paths, st.integers(0, 0o7777), numbers, numbers, st.binary(max_size=1100))
def test_files_are_read_back(path: str, mode: int, uid: int, gid: int, content: bytes) -> None:
    data = tar.header(Entry(path, mode=mode, uid=uid, gid=gid, source=content, size=len(content)))
    whole = data + content + tar.padding(len(content)) + tar.END
    assert len(whole) % tar.BLOCK == 0
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        (member,) = archive.getmembers()
        file = archive.extractfile(member)
        assert file
        assert file.read() == content
    assert (member.name, member.mode, member.uid, member.gid) == (path, mode, uid, gid)
    assert (member.mtime, member.uname, member.gname) == (MTIME, "", "")


@given(paths, paths)
def test_links_and_folders_are_read_back(path: str, target: str) -> None:
    for type_, check in (("symlink", "issym"), ("hardlink", "islnk"), ("dir", "isdir"), ("fifo", "isfifo")):
        link = target if type_.endswith("link") else ""
        member = read(tar.header(Entry(path, type_, link=link)))  # type: ignore[arg-type]
        assert getattr(member, check)()
        assert (member.name, member.linkname) == (path, link)


@settings(max_examples=30)
@given(st.integers(0, 1 << 50))
def test_any_size_is_read_back(size: int) -> None:
    assert read(tar.header(Entry("weights.safetensors", size=size))).size == size


@pytest.mark.parametrize("length", [99, 100, 101, 155, 156, 157, 254, 255, 256, 257, 300])
@pytest.mark.parametrize("type_", ["file", "dir"])
def test_lengths_at_the_formats_edges(length: int, type_: str) -> None:
    for path in ("x" * length, f"{'d' * (length - 51)}/{'f' * 50}"):
        assert read(tar.header(Entry(path, type_))).name == path  # type: ignore[arg-type]


def test_devices_keep_their_numbers() -> None:
    member = read(tar.header(Entry("dev/null", "char", 0o666, device=(1, 3))))
    assert (member.ischr(), member.devmajor, member.devminor) == (True, 1, 3)


def test_a_plain_name_takes_one_block() -> None:
    assert len(tar.header(Entry("usr/bin/python3", size=100))) == tar.BLOCK


@pytest.mark.skipif(not shutil.which("tar"), reason="needs tar")
def test_gnu_tar_reads_the_same_names() -> None:
    wanted = ["short", "ü/ñ", "d" * 90 + "/" + "e" * 90, "x" * 200]
    data = b"".join(tar.header(Entry(path)) for path in wanted) + tar.END
    shown = subprocess.run(["tar", "t", "--quoting-style=literal"], input=data, capture_output=True, check=True)
    assert shown.stdout.decode().splitlines() == wanted
