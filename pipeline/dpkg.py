"""What is known of Debian and Ubuntu without asking anyone: releases, architectures, and what package versions tell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from pipeline.facts import Facts, Platform, Python
from pipeline.noun import noun


@noun
class Suite:
    """A release of a distribution: its code name and its number (`VERSION_ID`), empty while it has none."""

    codename: str
    distribution: str
    release: str


SUITES: Mapping[str, Suite] = {
    name: Suite(name, distribution, release)
    for distribution, releases in {
        "debian": {"buster": "10", "bullseye": "11", "bookworm": "12", "trixie": "13", "forky": "14", "sid": ""},
        "ubuntu": {
            "focal": "20.04",
            "jammy": "22.04",
            "noble": "24.04",
            "oracular": "24.10",
            "plucky": "25.04",
            "questing": "25.10",
            "resolute": "26.04",
        },
    }.items()
    for name, release in releases.items()
}
"""The releases known by name; others need `distribution` in the manifest."""

ARCHITECTURES: Mapping[str, str] = {
    "amd64": "amd64",
    "arm64": "arm64",
    "arm64/v8": "arm64",
    "arm": "armhf",
    "arm/v7": "armhf",
    "arm/v6": "armel",
    "arm/v5": "armel",
    "386": "i386",
    "ppc64le": "ppc64el",
    "s390x": "s390x",
    "riscv64": "riscv64",
    "mips64le": "mips64el",
}
"""OCI architecture (and variant) to Debian's name for it (wiki.debian.org/Multiarch/Tuples)."""

MULTIARCH: Mapping[str, str] = {
    "amd64": "x86_64-linux-gnu",
    "arm64": "aarch64-linux-gnu",
    "armhf": "arm-linux-gnueabihf",
    "armel": "arm-linux-gnueabi",
    "i386": "i386-linux-gnu",
    "ppc64el": "powerpc64le-linux-gnu",
    "s390x": "s390x-linux-gnu",
    "riscv64": "riscv64-linux-gnu",
    "mips64el": "mips64el-linux-gnuabi64",
}
"""Debian architecture to the folder below /usr/lib that holds its libraries."""

COMPONENTS: Mapping[str, tuple[str, ...]] = {"debian": ("main",), "ubuntu": ("main", "universe")}
"""The components used when the manifest names none."""

_PYTHON = re.compile(r"python(3\.\d+)$")
_UPSTREAM = re.compile(r"(?:\d+:)?(\d+(?:\.\d+)*)")


def architecture(platform: Platform) -> str | None:
    """Debian's name of a platform's architecture; None when Debian and Ubuntu have no such port."""
    if platform.os != "linux":
        return None
    name = f"{platform.architecture}/{platform.variant}" if platform.variant else platform.architecture
    return ARCHITECTURES.get(name) or (ARCHITECTURES.get(platform.architecture) if name.startswith("amd64/") else None)


def suite_of(distribution: str, release: str) -> str:
    """The code name of a release by its number; empty for one that is not known."""
    found = (s.codename for s in SUITES.values() if release and (s.distribution, s.release) == (distribution, release))
    return next(found, "")


def upstream(version: str) -> str:
    """`3.11.2` of `1:3.11.2-6+deb12u1`: the leading numbers of the upstream version."""
    match = _UPSTREAM.match(version)
    return match[1] if match else ""


def stanza(text: str) -> dict[str, str]:
    """A control paragraph as its fields; continuation lines stay in the value."""
    fields: dict[str, str] = {}
    key = ""
    for line in text.split("\n"):
        if line[:1] in (" ", "\t"):
            fields[key] = f"{fields.get(key, '')}\n{line}"
        elif ":" in line:
            key, _, value = line.partition(":")
            fields[key] = value.strip()
    return fields


def python_of(packages: Mapping[str, str]) -> Python | None:
    """The interpreter that packages bring, with its whole standard library; the one `python3` stands for, if any."""
    minors = {match[1]: version for name, version in packages.items() if (match := _PYTHON.match(name))}
    if not minors:
        return None
    default = ".".join(upstream(packages.get("python3", "")).split(".")[:2])
    minor = default if default in minors else max(minors, key=lambda m: int(m.split(".")[1]))
    executable = "/usr/bin/python3" if minor == default else f"/usr/bin/python{minor}"
    site = f"/usr/local/lib/python{minor}/dist-packages"
    return Python(upstream(minors[minor]), executable, "/usr/local", site)


def facts_of(packages: Mapping[str, str], distribution: str, release: str, parent: Facts) -> Facts:
    """`parent` with these packages (name to version) added to what it has."""
    together = {**parent.packages, **packages}
    libc = ".".join(upstream(packages.get("libc6", "")).split(".")[:2])
    return replace(
        parent,
        distribution=distribution,
        release=release,
        libc=libc or parent.libc,
        python=python_of(packages) or parent.python,
        packages=dict(sorted(together.items())),
    )


@noun
class ExtraArchive:
    """One more archive of packages, as a source of apt has it (sources.list(5)); `keyring` is a path on this machine.

    A suite that ends in / is a folder with an index of its own, without components.
    """

    name: str
    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    keyring: str = ""

    @property
    def label(self) -> str:
        """The name that packages of this archive are locked with: no other archive's."""
        return f"sources.{self.name}"


@noun
class ArchiveSettings:
    """Which suites of a distribution to use, and where a manifest says they are (empty: as apt is set, else public).

    `keyring` is a path on this machine. `check_valid_until` off is for snapshot mirrors. `extra` archives come after
    the distribution's own.
    """

    distribution: str
    suite: str
    components: tuple[str, ...] = ()
    mirror: str = ""
    security_mirror: str = ""
    keyring: str = ""
    updates: bool = True
    security: bool = True
    check_valid_until: bool = True
    extra: tuple[ExtraArchive, ...] = ()
