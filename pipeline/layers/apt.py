"""Layer kind `apt`: Debian or Ubuntu packages installed by apt in a container, their scripts included."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.errors import AssembleError
from pipeline.facts import Facts
from pipeline.kinds import Files, Held
from pipeline.layers.run import LIMITS, limits, shell_argv
from pipeline.recipe import Execute, Json, Recipe

LOCKED = False

_WORDS: dict[str, Any] = {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": r"^\S+$"}}

SCHEMA: dict[str, Any] = {
    "title": "Packages, by apt",
    "description": "Installs packages with apt, in a container made from the layers below; needs Docker or Podman. "
    "`debs` needs neither, and is for packages whose scripts are not needed.",
    "type": "object",
    "required": ["packages"],
    "additionalProperties": False,
    "properties": {
        "packages": {
            "type": "array",
            "minItems": 1,
            "uniqueItems": True,
            "items": {"type": "string", "pattern": r"^[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?(=[A-Za-z0-9.+:~*-]+)?$"},
            "description": "Packages by name, or `name=version`.",
            "examples": [["fuse", "libfuse-dev"]],
        },
        "recommends": {"type": "boolean", "default": False, "description": "Add what packages recommend, too."},
        "update": {"type": "boolean", "default": True, "description": "Fetch the lists of packages first."},
        "sources": {
            "type": "object",
            "propertyNames": {"pattern": "^[a-z0-9][a-z0-9_-]*$", "x-noun": "source"},
            "description": "Further archives, by name; they stay in the image.",
            "additionalProperties": {
                "type": "object",
                "required": ["uris", "suites"],
                "additionalProperties": False,
                "properties": {
                    "uris": {**_WORDS, "description": "Where the archive is."},
                    "suites": {**_WORDS, "description": "Its suites; one that ends in / is a folder, without parts."},
                    "components": {**_WORDS, "description": "Its parts, such as main."},
                    "architectures": {**_WORDS, "description": "For which architectures; default: the image's."},
                    "key": {
                        "type": "string",
                        "format": "project-path",
                        "description": "A file of armored OpenPGP keys that sign it; default: those the image trusts.",
                    },
                },
            },
        },
        **LIMITS,
    },
}

CACHES = ("/var/cache/apt", "/var/lib/apt/lists")

ENV = {
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBCONF_NOWARNINGS": "yes",
    # No service is to start.
    "RUNLEVEL": "1",
    # The day that an account was made on, in /etc/shadow, is no input (reproducible-builds.org, "SOURCE_DATE_EPOCH").
    "SOURCE_DATE_EPOCH": "315532800",
}
_OPTIONS = (
    "-o Acquire::Retries=3 -o Acquire::Languages=none -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0 "
    "-o Dpkg::Options::=--force-confold"
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


def request(spec: Mapping[str, Any], files: Files) -> Json:
    """What was asked for, the keys' text included."""
    sources = {
        name: {**source, "key": files.text(source["key"]) if source.get("key") else ""}
        for name, source in sorted((spec.get("sources") or {}).items())
    }
    return {
        "packages": sorted(spec["packages"]),
        "recommends": spec.get("recommends", False),
        "update": spec.get("update", True),
        "sources": sources,
    }


def needs(spec: Mapping[str, Any], parent: Facts) -> Mapping[str, str]:  # noqa: ARG001
    """AssembleError for an image that is known to have no apt."""
    if parent.packages and "apt" not in parent.packages:
        raise AssembleError(
            "an apt layer needs apt below it, and the image has none",
            remedy="add `essential: true` to the debian base, or use a debs layer",
        )
    return {}


def resolve(spec: Mapping[str, Any], request: Json, parent: Facts, indexes: Any, held: Held) -> Json:  # noqa: ARG001
    return request


def facts(spec: Mapping[str, Any], locked: Json, parent: Facts) -> Facts:  # noqa: ARG001
    return parent


def recipes(spec: Mapping[str, Any], locked: Json, parent: Facts) -> Sequence[Recipe]:  # noqa: ARG001
    count = len(locked["packages"])
    return (
        Execute(
            argv=shell_argv("/bin/sh", script(locked)),
            inputs=locked,
            env=ENV,
            caches=CACHES,
            network=spec.get("network", ""),
            **limits(spec),
            summary=f"apt, {count} package{'s' if count != 1 else ''}",
        ),
    )


def script(locked: Json) -> str:
    """What installs the packages of a request, and leaves nothing that differs from one time to the next."""
    lines = [_START]
    for name, source in locked["sources"].items():
        lines += _source(name, source)
    if locked["update"]:
        lines.append(f"apt-get {_OPTIONS} update")
    recommends = "" if locked["recommends"] else " --no-install-recommends"
    packages = " ".join(shlex.quote(package) for package in locked["packages"])
    lines.append(f"apt-get {_OPTIONS} install -y{recommends} {packages}")
    return "\n".join([*lines, _END])


def _source(name: str, source: Mapping[str, Any]) -> list[str]:
    """Writes a source in deb822 style (sources.list(5)), and its keys beside it."""
    fields = {
        "Types": "deb",
        "URIs": " ".join(source["uris"]),
        "Suites": " ".join(source["suites"]),
        "Components": " ".join(source.get("components") or ()),
        "Architectures": " ".join(source.get("architectures") or ()),
        "Signed-By": f"/etc/apt/keyrings/{name}.asc" if source["key"] else "",
    }
    text = "".join(f"{field}: {value}\n" for field, value in fields.items() if value)
    lines = ["mkdir -p /etc/apt/keyrings /etc/apt/sources.list.d"]
    if source["key"]:
        lines.append(_file(f"/etc/apt/keyrings/{name}.asc", source["key"]))
    return [*lines, _file(f"/etc/apt/sources.list.d/{name}.sources", text)]


def _file(path: str, text: str) -> str:
    return f"printf %s {shlex.quote(text)} > {path}"
