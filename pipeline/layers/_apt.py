"""The commands of an apt layer: what installs packages, and leaves nothing that differs from one time to the next."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pipeline.recipe import Json

DEBS = "/run/pipeline/debs"
"""The container's folder of locked packages, there for the step alone."""
KEYS = "/run/pipeline/keys"
"""The container's folder of the keys of further sources, NAME.asc each, there for the step alone."""

CACHES = ("/var/cache/apt", "/var/lib/apt/lists")

ENV = {
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBCONF_NOWARNINGS": "yes",
    # No service is to start.
    "RUNLEVEL": "1",
    # The day that an account was made on, in /etc/shadow, is no input (reproducible-builds.org, "SOURCE_DATE_EPOCH").
    "SOURCE_DATE_EPOCH": "315532800",
}
# The container is thrown away when anything fails: dpkg need not wait for the disk (dpkg(1), "unsafe-io").
_OPTIONS = (
    "-o Acquire::Retries=3 -o Acquire::Languages=none -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0 "
    "-o Dpkg::Options::=--force-confold -o Dpkg::Options::=--force-unsafe-io"
)
_STATE = "/run/pipeline/apt"
# Only the files that are given count: no list of packages, no archive.
_ALONE = (
    f"-o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts=/dev/null "
    f"-o Dir::State::Lists={_STATE}/lists -o Dir::Cache={_STATE}/cache"
)
_START = """\
if [ ! -e /usr/sbin/policy-rc.d ]; then
  printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d
  chmod 755 /usr/sbin/policy-rc.d
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi"""
# What differs between two runs, and nobody needs: logs, a cache, and the older state of databases.
_END = """\
rm -rf /var/log/apt /var/log/dpkg.log /var/log/alternatives.log /var/cache/ldconfig/aux-cache
rm -f /var/cache/debconf/*-old /var/lib/dpkg/*-old"""
_REFUSED = (
    "the packages below are not those that were locked for: "
    "name what a command installs in an apt layer, or say 'locked: false'"
)


def script(asked: Json) -> str:
    """Installs what `packages` names in the versions that its archives have now.

    `asked` is {packages, recommends, update, sources}; a source with a `key` finds it in KEYS.
    """
    lines = [_START, *_sources(asked["sources"])]
    if asked["update"]:
        lines.append(f"apt-get {_OPTIONS} update")
    recommends = "" if asked["recommends"] else " --no-install-recommends"
    lines.append(f"apt-get {_OPTIONS} install -y{recommends} {shlex.join(asked['packages'])}")
    return "\n".join([*lines, _END])


def locked_script(
    packages: Sequence[Mapping[str, Any]], asked: Collection[str], below: Collection[str], sources: Json
) -> str:
    """Installs the locked packages, which lie in DEBS, and sees that they are there in exactly their versions.

    `asked` are the names that the manifest has, `below` those of the packages that are there before: of the others apt
    is told that they came for the sake of something, as it would know had it fetched them itself.
    """
    lines = [_START, *_sources(sources)]
    install = f"apt-get {_OPTIONS} {_ALONE} install -y --no-install-recommends --no-remove --allow-downgrades"
    if packages:
        lines += [
            f"mkdir -p {_STATE}/lists/partial {_STATE}/cache/archives/partial",
            f"automatic=$(apt-mark {_ALONE} showauto)",
            f"said=$({install} --simulate {DEBS}/*.deb 2>&1) || "
            f"{{ printf '%s\\n' \"$said\" {shlex.quote(_REFUSED)} >&2; exit 1; }}",
            f"{install} {DEBS}/*.deb",
            *_verified(packages),
        ]
        names = [package["name"] for package in packages]
        lines += [
            f'automatic={shlex.quote(" ".join(name for name in names if name not in {*below, *asked}))}" $automatic"',
            f'[ "$automatic" = " " ] || apt-mark {_ALONE} auto $automatic > /dev/null',
        ]
        if chosen := [name for name in names if name in asked]:
            lines.append(f"apt-mark {_ALONE} manual {shlex.join(chosen)} > /dev/null")
    return "\n".join([*lines, _END])


def _verified(packages: Sequence[Mapping[str, Any]]) -> list[str]:
    """Compares what dpkg says is installed with the lock, a line for each package."""
    names = [p["name"] if p["architecture"] == "all" else f"{p['name']}:{p['architecture']}" for p in packages]
    wanted = "\n".join(sorted(f"installed {p['name']} {p['version']}" for p in packages))
    return [
        f"wanted={shlex.quote(wanted)}",
        f"found=$(dpkg-query -W -f '${{db:Status-Status}} ${{Package}} ${{Version}}\\n' {shlex.join(names)}"
        " | LC_ALL=C sort)",
        'if [ "$wanted" != "$found" ]; then',
        "  echo 'what is installed is not what was locked:' >&2",
        '  printf "%s\\n" "$wanted" "$found" | sort | uniq -u >&2; exit 1',
        "fi",
    ]


def _sources(sources: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Writes sources in deb822 style (sources.list(5)), and their keys beside them."""
    lines = ["mkdir -p /etc/apt/keyrings /etc/apt/sources.list.d"] if sources else []
    for name, source in sorted(sources.items()):
        keyring = f"/etc/apt/keyrings/{name}.asc" if source.get("key") else ""
        fields = {
            "Types": "deb",
            "URIs": " ".join(source["uris"]),
            "Suites": " ".join(source["suites"]),
            "Components": " ".join(source.get("components") or ()),
            "Architectures": " ".join(source.get("architectures") or ()),
            "Signed-By": keyring,
        }
        text = "".join(f"{field}: {value}\n" for field, value in fields.items() if value)
        if keyring:
            lines.append(f"cp {KEYS}/{name}.asc {keyring}")
        lines.append(f"printf %s {shlex.quote(text)} > /etc/apt/sources.list.d/{name}.sources")
    return lines
