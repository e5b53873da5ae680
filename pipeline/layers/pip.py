"""The `pip` layer kind: wheels from Python package indexes, locked by hash and assembled without pip or an engine."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.errors import AssembleError, UsageError
from pipeline.facts import Facts, Python
from pipeline.kinds import Files
from pipeline.layers._requirements import gather, requirement_flaw
from pipeline.recipe import Assemble, Json, Recipe

_TEXTS: dict[str, Any] = {"type": "array", "items": {"type": "string", "minLength": 1}}
_PATH: dict[str, Any] = {"type": "string", "minLength": 1, "format": "project-path"}


def _one_or_more(item: Mapping[str, Any]) -> dict[str, Any]:
    return {"oneOf": [dict(item), {"type": "array", "items": dict(item)}]}


SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "packages": {**_TEXTS, "description": "Requirements (PEP 508), such as numpy>=2 or uvicorn[standard]."},
        "requirements": {**_one_or_more(_PATH), "description": "Requirement files, in pip's format."},
        "constraints": {**_one_or_more(_PATH), "description": "Constraint files, in pip's format."},
        "index": {"type": "string", "description": "The package index; default: what pip and uv are set to."},
        "extra_index": {
            **_one_or_more({"type": "string"}),
            "description": "Further indexes; the best version of all counts, as with pip.",
        },
        "find_links": {
            **_one_or_more({"type": "string"}),
            "description": "Folders of the project, or pages, that hold wheels.",
        },
        "prefix": {
            "type": "string",
            "pattern": "^/",
            "description": "Where to install; default: the base's own place for added packages. Any other place needs "
            "PYTHONPATH set to its site-packages.",
        },
        "pre": {"type": "boolean", "default": False, "description": "Pre-releases count as well."},
        "no_deps": {"type": "boolean", "default": False, "description": "Leave out what the packages depend on."},
        "bytecode": {"type": "boolean", "default": True, "description": "Compile bytecode, for a faster start."},
    },
}
LOCKED = True

# Debian's names of architectures that wheels have another name for.
_MACHINES = {
    "amd64": "x86_64",
    "arm64": "aarch64",
    "386": "i686",
    "arm": "armv7l",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
}
_SOURCES = ("packages", "requirements", "constraints", "index", "extra_index", "find_links")


def flaws(spec: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    """Packages that are no requirements (PEP 508): (place in the spec, what is wrong, what would be right)."""
    for number, text in enumerate(spec.get("packages") or ()):
        if flaw := requirement_flaw(str(text)):
            yield ("packages", number), f"not a requirement: {flaw}", "write it as name==1.2"


def request(spec: Mapping[str, Any], files: Files) -> Json:
    wanted = gather(spec, files)
    if not wanted.requirements:
        raise UsageError(
            "the pip layer asks for no packages", remedy="list them in packages, or name a requirements file"
        )
    return wanted.public()


def needs(spec: Mapping[str, Any], parent: Facts) -> Mapping[str, str]:  # noqa: ARG001
    python, libc = _python(parent), parent.libc
    if not libc:
        raise AssembleError(
            "a pip layer needs to know the base's libc, and none was found", remedy="add libc6 to the base's packages"
        )
    if parent.platform.os != "linux" or parent.platform.architecture not in _MACHINES:
        raise AssembleError(f"there are no wheels for {parent.platform}", remedy="use a base for linux/amd64 or arm64")
    return {"python": python.minor, "libc": libc, "architecture": parent.platform.architecture}


def resolve(spec: Mapping[str, Any], request: Json, parent: Facts, indexes: Any) -> Json:  # noqa: ARG001
    """The wheels that answer the request, for the parent's Python and platform."""
    needs(spec, parent)
    python, platform = _python(parent).minor, platform_tag(parent)
    wanted = gather(spec, indexes.files)
    wheels = indexes.pypi.resolve(wanted, python=python, platform=platform, files=indexes.files)
    return {"python": python, "platform": platform, "wheels": wheels}


def facts(spec: Mapping[str, Any], locked: Json, parent: Facts) -> Facts:  # noqa: ARG001
    return parent


def _file_name(name: str) -> str:
    """Raises ValueError for what is no wheel's (PyPA, binary distribution format, "File name convention")."""
    if "/" in name or name.count("-") < 4 or not name.endswith(".whl"):
        raise ValueError(f"{name!r} is not the file name of a wheel")
    return name


def recipes(spec: Mapping[str, Any], locked: Json, parent: Facts) -> Sequence[Recipe]:
    """The wheels, which a new base with the same Python does not move, and their bytecode, which a new patch release of
    Python does.
    """
    python = _python(parent)
    if (locked["python"], locked["platform"]) != (python.minor, platform_tag(parent)):
        raise AssembleError(
            f"the lock has wheels for Python {locked['python']} on {locked['platform']}, and the base has Python "
            f"{python.minor} on {platform_tag(parent)}",
            remedy="run `pipeline lock` again",
        )
    wheels = sorted([_file_name(wheel["file"]), wheel["sha256"]] for wheel in locked["wheels"])
    if not wheels:
        return ()
    prefix, site = _places(spec, python)
    common = {"wheels": wheels, "platform": locked["platform"], "prefix": prefix, "site": site}
    sources = {name: spec[name] for name in _SOURCES if name in spec}
    count = f"{len(wheels)} package{'s' if len(wheels) != 1 else ''}"
    packed = Assemble(
        packer="wheel",
        part="wheels",
        inputs={**common, "python": python.minor, "executable": python.executable},
        sources=sources,
        summary=f"pip, {count}",
    )
    if not spec.get("bytecode", True):
        return (packed,)
    compiled = Assemble(
        packer="bytecode",
        part="bytecode",
        inputs={**common, "python": python.version},
        sources=sources,
        needs_root=True,
        summary=f"bytecode of {count}",
    )
    return packed, compiled


def _python(parent: Facts) -> Python:
    if parent.python is None:
        raise AssembleError(
            "a pip layer needs Python below it, and the base has none", remedy="add python3 to the base's packages"
        )
    return parent.python


def platform_tag(parent: Facts) -> str:
    """The newest platform tag the parent can load (PEP 600), such as manylinux_2_36_x86_64."""
    major, minor = parent.libc.split(".")[:2]
    return f"manylinux_{major}_{minor}_{_MACHINES.get(parent.platform.architecture, parent.platform.architecture)}"


def _places(spec: Mapping[str, Any], python: Python) -> tuple[str, str]:
    """The prefix, and the folder for packages below it."""
    prefix = posixpath.normpath(spec.get("prefix") or python.prefix)
    if prefix == posixpath.normpath(python.prefix):
        return prefix, python.site
    return prefix, f"{prefix}/lib/python{python.minor}/site-packages"
