"""Where an overlay keeps changes: by what the engine says, and by the kernel's list of mounts."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.engine.overlay import mounted, named

OTHER = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw"
FOLDER = "/var/lib/docker/rootfs/overlayfs"


def mount(id_: str, options: str, type_: str = "overlay") -> str:
    return f"49 45 0:39 / {FOLDER}/{id_} rw,relatime shared:4 master:2 - {type_} overlay {options}"


def test_a_mount_named_for_the_container_tells() -> None:
    lines = [OTHER, mount("other", "rw,upperdir=/no"), mount("c1", r"rw,lowerdir=/a:/b,upperdir=/s\0401/fs,workdir=/w")]
    assert mounted("\n".join(lines), "c1") == Path("/s 1/fs")
    assert mounted("\n".join(lines), "c2") is None


@pytest.mark.parametrize(
    "line",
    [
        mount("c1", "rw,upperdir=/s/fs,userxattr"),
        mount("c1", "rw,upperdir=s/fs"),
        mount("c1", "rw,upperdir=/s/fs", "fuse.fuse-overlayfs"),
        mount("c1", "rw"),
        "",
        "- overlay",
    ],
)
def test_what_is_not_the_kernels_own_is_not_read(line: str) -> None:
    assert mounted(line, "c1") is None


def test_an_engine_that_names_it_tells() -> None:
    assert named({"Name": "overlay2", "Data": {"UpperDir": "/d/diff"}}) == Path("/d/diff")
    assert named({"Name": "vfs", "Data": {"UpperDir": "/d/diff"}}) is None
    assert named({"Name": "overlayfs", "Data": None}) is None
