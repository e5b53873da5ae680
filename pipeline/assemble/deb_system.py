"""What base packages and an installer would have left in an image: folders, os-release, name service, the shell."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.assemble.deb_tree import Tree
from pipeline.assemble.entry import Entry

# Filesystem Hierarchy Standard 3.0, with base-files' modes.
_FOLDERS: tuple[tuple[str, int], ...] = (
    ("boot", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("media", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("proc", 0o755),
    ("root", 0o700),
    ("run", 0o755),
    ("run/lock", 0o1777),
    ("srv", 0o755),
    ("sys", 0o755),
    ("tmp", 0o1777),
    ("usr/local", 0o755),
    ("usr/local/bin", 0o755),
    ("usr/local/etc", 0o755),
    ("usr/local/lib", 0o755),
    ("usr/local/sbin", 0o755),
    ("usr/local/share", 0o755),
    ("var", 0o755),
    ("var/cache", 0o755),
    ("var/lib", 0o755),
    ("var/log", 0o755),
    ("var/tmp", 0o1777),
)
_LINKS = (("var/run", "/run"), ("var/lock", "/run/lock"))
_NSSWITCH = """\
passwd:         files
group:          files
shadow:         files
gshadow:        files

hosts:          files dns
networks:       files

protocols:      db files
services:       db files
ethers:         db files
rpc:            db files

netgroup:       nis
"""
_NAMES = {"debian": "Debian GNU/Linux", "ubuntu": "Ubuntu"}
_HOMES = {"debian": "https://www.debian.org/", "ubuntu": "https://www.ubuntu.com/"}


def early(tree: Tree) -> Iterator[Entry]:
    """Folders and links whose kind packages take for granted, so before any package."""
    if tree.below.find("etc"):
        return
    for name, mode in _FOLDERS:
        yield from tree.place(Entry(name, "dir", mode))
    for name, link in _LINKS:
        yield from tree.place(Entry(name, "symlink", 0o777, link=link))


def late(tree: Tree, distribution: str, suite: str, release: str) -> Iterator[Entry]:
    """Files that scripts make where no package brought them."""
    if not tree.below.find("etc/nsswitch.conf"):
        yield from _file(tree, "etc/nsswitch.conf", _NSSWITCH)
    if not tree.below.find("usr/lib/os-release"):
        yield from _file(tree, "usr/lib/os-release", os_release(distribution, suite, release))
        yield from tree.place(Entry("etc/os-release", "symlink", 0o777, link="../usr/lib/os-release"))
    if tree.target("usr/bin/sh") is None:
        shell = next((name for name in ("dash", "bash", "busybox") if f"usr/bin/{name}" in tree.placed), None)
        if shell:
            yield from tree.place(Entry("usr/bin/sh", "symlink", 0o777, link=shell))
    if distribution in _NAMES and f"etc/dpkg/origins/{distribution}" in tree.placed:
        yield from tree.place(Entry("etc/dpkg/origins/default", "symlink", 0o777, link=distribution))


def _file(tree: Tree, path: str, text: str) -> Iterator[Entry]:
    data = text.encode()
    yield from tree.place(Entry(path, source=data, size=len(data)))


def os_release(distribution: str, suite: str, release: str) -> str:
    """os-release(5) for an image without base-files."""
    name = _NAMES.get(distribution, distribution.capitalize())
    version = f"{release} ({suite})" if release else suite
    fields = {"PRETTY_NAME": f"{name} {version}", "NAME": name}
    if release:
        fields |= {"VERSION_ID": release, "VERSION": version}
    fields |= {"VERSION_CODENAME": suite, "ID": distribution}
    if distribution == "ubuntu":
        fields |= {"ID_LIKE": "debian", "UBUNTU_CODENAME": suite}
    if distribution in _HOMES:
        fields["HOME_URL"] = _HOMES[distribution]
    plain = ("VERSION_CODENAME", "ID", "ID_LIKE", "UBUNTU_CODENAME")
    return "".join(f"{key}={value}\n" if key in plain else f'{key}="{value}"\n' for key, value in fields.items())
