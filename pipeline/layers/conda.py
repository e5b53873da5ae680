"""The `conda` layer kind: an environment of conda packages, solved, locked and linked without conda or an engine."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.errors import AssembleError, ResolveError, UsageError
from pipeline.facts import Facts, Python
from pipeline.kinds import Files, Held
from pipeline.layers import pip
from pipeline.layers._conda import bytecode, is_python, pieces_of
from pipeline.layers._environment import read, spec_name
from pipeline.layers._requirements import gather, normalise, public
from pipeline.recipe import Assemble, Json, Recipe

LOCKED = True

_TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
_PIP: dict[str, Any] = {
    "type": "object",
    "required": ["pip"],
    "additionalProperties": False,
    "properties": {"pip": {"type": "array", "items": _TEXT, "description": "Lines of a requirements file."}},
}
SCHEMA: Mapping[str, Any] = {
    "title": "A conda environment",
    "description": "Solves conda packages for the platform and links them under a prefix; PATH begins with its bin.",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "file": {**_TEXT, "format": "project-path", "description": "An environment.yml, as conda reads it."},
        "channels": {
            "type": "array",
            "items": _TEXT,
            "description": "Channels by name, address or folder (./channel), best first; in place of the file's.",
            "examples": [["conda-forge"]],
        },
        "dependencies": {
            "type": "array",
            "items": {"oneOf": [_TEXT, _PIP]},
            "minItems": 1,
            "description": "Packages, as in an environment.yml: name=1.2, channel::name, and a `pip:` list.",
            "examples": [["python=3.11", "numpy>=2", {"pip": ["inference-schema"]}]],
        },
        "prefix": {
            "type": "string",
            "pattern": "^/",
            "x-hint": "an absolute path",
            "description": "Where it will be; default: /opt/conda/envs/NAME, or /opt/conda if it has no name.",
            "examples": ["/opt/conda/envs/serve"],
        },
        "cuda": {
            "type": "string",
            "pattern": r"^[0-9]+(\.[0-9]+)*$",
            "x-hint": 'as in "12.4"',
            "description": "The CUDA version that the driver of the target supports, for packages that need it.",
            "examples": ["12.4"],
        },
        "channel_priority": {
            "enum": ["strict", "disabled"],
            "default": "strict",
            "description": "Whether the first channel that has a package is the only one for it.",
        },
        "bytecode": {"type": "boolean", "default": True, "description": "Compile bytecode, for a faster start."},
    },
}

# Subdirectories of channels (conda documentation, "Channels").
_SUBDIRS = {
    "amd64": "linux-64",
    "arm64": "linux-aarch64",
    "386": "linux-32",
    "arm/v7": "linux-armv7l",
    "ppc64le": "linux-ppc64le",
    "s390x": "linux-s390x",
    "riscv64": "linux-riscv64",
}
# The oldest processor of each architecture, and an old kernel: what runs the image is not known.
_PROCESSORS = {"linux-64": "x86_64", "linux-32": "x86", "linux-aarch64": "aarch64", "linux-ppc64le": "ppc64le"}
_KERNEL = "4.18"
_ASKED = ("file", "channels", "dependencies")
# A plain version of PEP 440: what conda has beside those is no distribution's.
_VERSION = re.compile(r"[0-9]+(\.[0-9]+)*((a|b|rc)[0-9]+)?(\.post[0-9]+)?")


def request(spec: Mapping[str, Any], files: Files) -> Json:
    """What was asked for, without credentials."""
    asked = read(spec, files)
    if not asked.dependencies and not asked.pip:
        raise UsageError("the conda environment asks for no packages", remedy="list them in dependencies")
    value: dict[str, Any] = {
        "channels": [re.sub(r"/t/[^/]+(?=/)", "", public(channel)) for channel in asked.channels],
        "dependencies": list(asked.dependencies),
        "name": asked.name,
        "variables": dict(asked.variables),
        "cuda": spec.get("cuda", ""),
        "channel_priority": spec.get("channel_priority", ""),
    }
    if asked.pip:
        value["pip"] = gather({"environment": _asked(spec)}, files).public()
    return {key: part for key, part in value.items() if part}


def needs(spec: Mapping[str, Any], parent: Facts) -> Mapping[str, str]:  # noqa: ARG001
    """The glibc and the architecture. AssembleError for a base without them."""
    if not parent.libc:
        raise AssembleError(
            "a conda layer needs to know the base's glibc, and none was found",
            remedy="add libc6 to the base's packages",
        )
    _subdir(parent)
    return {"libc": parent.libc, "architecture": parent.platform.architecture}


def resolve(spec: Mapping[str, Any], request: Json, parent: Facts, indexes: Any, held: Held) -> Json:  # noqa: ARG001
    """The packages, and the wheels of the `pip:` list for the Python among them; what is `held` stays where it fits.

    ResolveError, OutOfReach.
    """
    needs(spec, parent)
    subdir, asked = _subdir(parent), read(spec, indexes.files)
    if asked.pip and "python" not in map(spec_name, asked.dependencies):
        # As conda does it: whoever asks for wheels gets an interpreter.
        asked = replace(asked, dependencies=(*asked.dependencies, "python"))
    packages = indexes.conda.solve(
        asked,
        subdir=subdir,
        virtual=_virtual(spec, parent, subdir),
        files=indexes.files,
        strict=spec.get("channel_priority", "strict") == "strict",
        held=held.packages("packages"),
        upgrade=held.upgrade,
    )
    locked = {
        "platform": subdir,
        "name": asked.name,
        "specs": list(dict.fromkeys(asked.dependencies)),
        "variables": dict(asked.variables),
        "packages": packages,
    }
    if asked.pip:
        locked["pip"] = _wheels(spec, locked, parent, indexes, held)
    return {key: part for key, part in locked.items() if part}


def _wheels(spec: Mapping[str, Any], locked: Json, parent: Facts, indexes: Any, held: Held) -> list[dict[str, Any]]:
    """The wheels that fit beside the conda packages; a distribution that those bring is kept as it is."""
    python = facts(spec, locked, parent).python
    if python is None or not _site(locked):
        raise ResolveError("the conda environment has no Python for its pip packages", remedy="add python to it")
    wanted = gather({"environment": _asked(spec)}, indexes.files)
    brought = [package for package in locked["packages"] if is_python(package)]
    have = indexes.conda.distributions(brought, read(spec, indexes.files), indexes.files)
    known = {normalise(name): version for name, version in have.items()}
    found: list[dict[str, Any]] = indexes.pypi.resolve(
        wanted,
        python=python.minor,
        platform=pip.platform_tag(parent),
        files=indexes.files,
        installed=known,
        held=pip.same_place(held, held.packages("pip"), {"platform": locked["platform"]}),
        upgrade=held.upgrade,
    )
    return found


def distributions(locked: Json) -> dict[str, str]:
    """The Python distributions that the environment brings, name to version; conda's own names and versions stand for
    those of its packages.
    """
    brought = [each for each in locked["packages"] if is_python(each) and _VERSION.fullmatch(str(each["version"]))]
    every = (*brought, *locked.get("pip", ()))
    return {normalise(each["name"]): str(each["version"]) for each in every if "name" in each}


def facts(spec: Mapping[str, Any], locked: Json, parent: Facts) -> Facts:
    """Its Python in place of the one below, and its programs and variables in the image's environment."""
    prefix, site = _prefix(spec, locked), _site(locked)
    python = parent.python
    if site:
        version = next(package["version"] for package in locked["packages"] if package["name"] == "python")
        python = Python(version, f"{prefix}/bin/python", prefix, f"{prefix}/{site}")
    path = tuple(dict.fromkeys((f"{prefix}/bin", *parent.path)))
    return replace(parent, python=python, path=path, env={**parent.env, **locked.get("variables", {})})


def recipes(spec: Mapping[str, Any], locked: Json, parent: Facts) -> Sequence[Recipe]:
    """The packages; bytecode for those that come without; the wheels of the pip list, and their bytecode."""
    if locked["platform"] != _subdir(parent):
        raise AssembleError(
            f"the lock has conda packages for {locked['platform']}, and the base is {parent.platform}",
            remedy="run `pipeline lock` again",
        )
    above, packages = facts(spec, locked, parent), locked["packages"]
    prefix, asked = _prefix(spec, locked), _asked(spec)
    count = f"{len(packages)} package{'s' if len(packages) != 1 else ''}"
    pieces = pieces_of(locked, above.python)
    own: dict[str, Json] = {"interpreter": [], "specs": locked["specs"], "packages": packages}
    inputs = {"platform": locked["platform"], "prefix": prefix, **pieces[-1].inputs, **own}
    # No part of its name: layers above that need this entry's files look for those that have none.
    made: list[Recipe] = [Assemble("conda", inputs, asked, summary=f"conda, {count}", pieces=pieces)]
    if above.python and spec.get("bytecode", True) and any(package.get("noarch") == "python" for package in packages):
        made.append(bytecode(packages, above.python))
    if locked.get("pip"):
        made += _pip(spec, locked, above, asked)
    return made


def _pip(spec: Mapping[str, Any], locked: Json, above: Facts, asked: Json) -> list[Recipe]:
    """As a pip layer on top of the packages would have it."""
    assert above.python
    wheels = {"python": above.python.minor, "platform": pip.platform_tag(above), "wheels": locked["pip"]}
    parts = {"wheels": "pip", "bytecode": "pip-bytecode"}
    return [
        replace(recipe, part=parts[recipe.part], sources={"environment": asked})
        for recipe in pip.recipes({"bytecode": spec.get("bytecode", True)}, wheels, above)
        if isinstance(recipe, Assemble)
    ]


def _asked(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {key: spec[key] for key in _ASKED if key in spec}


def _subdir(parent: Facts) -> str:
    platform = parent.platform
    name = "/".join(filter(None, (platform.architecture, platform.variant)))
    subdir = _SUBDIRS.get(name) or _SUBDIRS.get(platform.architecture)
    if platform.os != "linux" or subdir is None:
        raise AssembleError(f"there are no conda packages for {platform}", remedy="leave out that platform")
    return subdir


def _virtual(spec: Mapping[str, Any], parent: Facts, subdir: str) -> list[tuple[str, str, str]]:
    """Virtual packages, each with its version and build (conda documentation, "Managing virtual packages")."""
    found = [("__unix", "0", "0"), ("__linux", _KERNEL, "0"), ("__glibc", parent.libc, "0")]
    found.append(("__archspec", "1", _PROCESSORS.get(subdir, subdir.removeprefix("linux-"))))
    return [*found, ("__cuda", spec["cuda"], "0")] if spec.get("cuda") else found


def _prefix(spec: Mapping[str, Any], locked: Json) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]", "_", locked.get("name", ""))
    default = f"/opt/conda/envs/{name}" if name.strip(".") and name not in ("base", "root") else "/opt/conda"
    return posixpath.normpath(spec.get("prefix") or default)


def _site(locked: Json) -> str:
    """The folder for Python packages below the prefix; empty without Python."""
    python = next((package for package in locked["packages"] if package["name"] == "python"), None)
    if python is None:
        return ""
    minor = ".".join(python["version"].split(".")[:2])
    return str(python.get("site") or f"lib/python{minor}/site-packages")
