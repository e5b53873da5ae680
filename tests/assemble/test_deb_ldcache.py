"""The dynamic linker's cache."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.assemble.deb_ldcache import cache, compare, encode, folders
from pipeline.assemble.deb_tree import Below, Tree
from pipeline.assemble.elf import Elf
from pipeline.assemble.entry import Entry

X86 = Elf(64, True, 62)


def tree(*entries: Entry) -> Tree:
    made = Tree(Below())
    list(made.start())
    for entry in entries:
        list(made.place(entry))
    return made


@pytest.mark.parametrize(
    ("lower", "higher"),
    [("liba.so.1", "libb.so.1"), ("liba.so.9", "liba.so.10"), ("liba.so", "liba.so.1"), ("lib-x", "lib1")],
)
def test_names_are_ordered_as_the_loader_does(lower: str, higher: str) -> None:
    assert compare(lower, higher) < 0 < compare(higher, lower)
    assert compare(lower, lower) == 0


@pytest.mark.skipif(not shutil.which("ldconfig") and not Path("/sbin/ldconfig").exists(), reason="there is no ldconfig")
@pytest.mark.skipif(sys.byteorder != "little", reason="ldconfig reads its own byte order")
def test_ldconfig_reads_it(tmp_path: Path) -> None:
    entries = [(f"lib{n}.so.{n}", 0x0303, f"/usr/lib/lib{n}.so.{n}") for n in (1, 2, 10)]
    (tmp_path / "cache").write_bytes(encode(entries, little=True))
    ldconfig = shutil.which("ldconfig") or "/sbin/ldconfig"
    command = [ldconfig, "-p", "-C", str(tmp_path / "cache")]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert lines[0].startswith("3 libs found")
    assert lines[1].strip() == "lib10.so.10 (libc6,x86-64) => /usr/lib/lib10.so.10"


def test_links_with_the_soname_count_and_links_for_compilers_do_not() -> None:
    folder = "usr/lib/x86_64-linux-gnu"
    made = tree(
        Entry(f"{folder}/libz.so.1.2.13"),
        Entry(f"{folder}/libz.so.1", "symlink", link="libz.so.1.2.13"),
        Entry(f"{folder}/libz.so", "symlink", link="libz.so.1.2.13"),
        Entry(f"{folder}/libbroken.so.1", "symlink", link="nowhere"),
        Entry("etc/alternatives/libblas", "symlink", link=f"/{folder}/blas/libblas.so.3"),
        Entry(f"{folder}/blas/libblas.so.3"),
        Entry(f"{folder}/libblas.so.3", "symlink", link="/etc/alternatives/libblas"),
    )
    libraries = {
        f"{folder}/libz.so.1.2.13": Elf(64, True, 62, soname="libz.so.1"),
        f"{folder}/blas/libblas.so.3": Elf(64, True, 62, soname="libblas.so.3"),
    }
    data = cache(made, made.placed, libraries, [folder])
    assert data.startswith(b"glibc-ld.so.cache1.1")
    assert sorted(data[48 + 24 * 2 :].rstrip(b"\0").split(b"\0")) == [
        f"/{folder}/libblas.so.3".encode(),
        f"/{folder}/libz.so.1".encode(),
        b"libblas.so.3",
        b"libz.so.1",
    ]


def test_the_first_folder_of_the_search_wins() -> None:
    made = tree(Entry("opt/x/liba.so.1"), Entry("usr/lib/liba.so.1"))
    data = cache(made, made.placed, {"opt/x/liba.so.1": X86, "usr/lib/liba.so.1": X86}, ["opt/x", "usr/lib"])
    assert b"/opt/x/liba.so.1" in data and b"/usr/lib/liba.so.1" not in data


def test_folders_of_the_configuration_come_first_and_once() -> None:
    texts = {
        "etc/ld.so.conf": b"include /etc/ld.so.conf.d/*.conf\n",
        "etc/ld.so.conf.d/b.conf": b"# comment\n/lib/x86_64-linux-gnu\n/opt/b\n",
        "etc/ld.so.conf.d/a.conf": b"/opt/a # why\n",
    }
    extra, always = folders(tree(), texts, "amd64")
    assert extra == ["opt/a", "opt/b"]
    assert always[:2] == ["usr/lib/x86_64-linux-gnu", "usr/lib64"]
