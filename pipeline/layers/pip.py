"""The `pip` layer kind: wheels from Python package indexes, locked by hash and assembled without pip.

An engine is needed only for what has no wheel, where `build` allows that.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.errors import AssembleError, UsageError
from pipeline.facts import Facts, Python
from pipeline.kinds import Files, Held
from pipeline.layers._requirements import gather, normalise, requirement_flaw
from pipeline.layers._sources import BUILD_PACKAGES, command
from pipeline.recipe import Assemble, Json, Piece, Recipe

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
        "build": {
            "type": "boolean",
            "default": False,
            "description": "Build what has no wheel from its sources, in a container made from the layers below.",
        },
        "build_packages": BUILD_PACKAGES,
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
    if spec.get("build_packages") and not spec.get("build"):
        yield ("build_packages",), "nothing is built that they would be for", "set `build: true`, or leave them out"


def request(spec: Mapping[str, Any], files: Files) -> Json:
    wanted = gather(spec, files)
    if not wanted.requirements:
        raise UsageError(
            "the pip layer asks for no packages", remedy="list them in packages, or name a requirements file"
        )
    have = sorted(f"{name}=={version}" for name, version in (spec.get("installed") or {}).items())
    installed = {"installed": have} if have else {}
    return {**wanted.public(), **({"build": True} if spec.get("build") else {}), **installed}


def needs(spec: Mapping[str, Any], parent: Facts) -> Mapping[str, str]:
    python, libc = _python(parent), parent.libc
    if not libc:
        if parent.distribution == "alpine":
            raise AssembleError(
                "the wheels of a pip layer need glibc, and the base is Alpine, whose libc is musl",
                remedy="take a base with glibc, such as Debian's slim images",
            )
        raise AssembleError(
            "a pip layer needs to know the base's libc, and none was found", remedy="add libc6 to the base's packages"
        )
    if parent.platform.os != "linux" or parent.platform.architecture not in _MACHINES:
        raise AssembleError(f"there are no wheels for {parent.platform}", remedy="use a base for linux/amd64 or arm64")
    if spec.get("build_packages") and parent.packages and "apt" not in parent.packages:
        raise AssembleError(
            "build_packages need apt below them, and the image has none",
            remedy="add `essential: true` to the debian base",
        )
    return {"python": python.minor, "libc": libc, "architecture": parent.platform.architecture}


def resolve(spec: Mapping[str, Any], request: Json, parent: Facts, indexes: Any, held: Held) -> Json:  # noqa: ARG001
    """The wheels that answer the request, for the parent's Python and platform; what is `held` stays where it fits."""
    needs(spec, parent)
    python, platform = _python(parent).minor, platform_tag(parent)
    wanted = gather(spec, indexes.files)
    build = bool(spec.get("build"))
    kept = same_place(held, held.packages("wheels", "sources"), {"python": python, "platform": platform})
    found = indexes.pypi.resolve(
        wanted,
        python=python,
        platform=platform,
        files=indexes.files,
        installed=spec.get("installed") or {},
        build=build,
        held=kept,
        upgrade=held.upgrade,
    )
    wheels = [each for each in found if each["file"].endswith(".whl")]
    sources = [each for each in found if not each["file"].endswith(".whl")]
    return {"python": python, "platform": platform, "wheels": wheels, **({"sources": sources} if sources else {})}


def same_place(held: Held, packages: Sequence[Mapping[str, Any]], place: Mapping[str, str]) -> list[dict[str, Any]]:
    """Packages to keep; without their files when they are for another machine or another Python, which may have better
    ones of the same version.
    """
    locked = held.locked if isinstance(held.locked, Mapping) else {}
    same = all(_plainly(str(locked.get(key, ""))) == _plainly(text) for key, text in place.items())
    return [dict(each) if same else {key: each[key] for key in ("name", "version")} for each in packages]


def _plainly(platform: str) -> str:
    """A platform tag without its glibc."""
    return re.sub(r"^manylinux_\d+_\d+_", "", platform)


def distributions(locked: Json) -> dict[str, str]:
    """The Python distributions that the layer brings, name to version."""
    found = (*locked["wheels"], *(locked.get("sources") or ()))
    return {normalise(each["name"]): str(each["version"]) for each in found if "name" in each}


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
    _check(locked, python, parent)
    built = _built(spec, locked, python)
    if not locked["wheels"]:
        return built
    pieces = tuple(map(_piece, sorted(locked["wheels"], key=lambda wheel: str(wheel["file"]))))
    prefix, site = _places(spec, python)
    wheels = [wheel for piece in pieces for wheel in piece.inputs["wheels"]]
    common = {"wheels": wheels, "platform": locked["platform"], "prefix": prefix, "site": site}
    sources = {name: spec[name] for name in _SOURCES if name in spec}
    count = f"{len(pieces)} package{'s' if len(pieces) != 1 else ''}"
    packed = Assemble(
        packer="wheel",
        part="wheels",
        inputs={**common, "python": python.minor, "executable": python.executable},
        sources=sources,
        summary=f"pip, {count}",
        pieces=pieces,
    )
    if not spec.get("bytecode", True):
        return (packed, *built)
    compiled = Assemble(
        packer="bytecode",
        part="bytecode",
        inputs={**common, "python": python.version},
        sources=sources,
        needs_root=True,
        root_decides=False,
        summary=f"bytecode, {count}",
        pieces=pieces,
    )
    return (packed, compiled, *built)


def _check(locked: Json, python: Python, parent: Facts) -> None:
    """AssembleError for wheels that this base cannot load."""
    if locked["python"] != python.minor or not _loads(locked["platform"], parent):
        raise AssembleError(
            f"the lock has wheels for Python {locked['python']} on {locked['platform']}, and the base has Python "
            f"{python.minor} on {platform_tag(parent)}",
            remedy="run `pipeline lock` again",
        )


def _piece(wheel: Mapping[str, Any]) -> Piece:
    inputs = {"wheels": [[_file_name(wheel["file"]), wheel["sha256"]]]}
    return Piece(wheel.get("name") or wheel["file"].partition("-")[0], int(wheel.get("size") or 0), inputs)


def _built(spec: Mapping[str, Any], locked: Json, python: Python) -> tuple[Recipe, ...]:
    """The layer of what has no wheel; it goes above the others, for a new base moves it."""
    sources = sorted((_source(each) for each in locked.get("sources") or ()), key=lambda each: str(each["name"]))
    if not sources:
        return ()
    prefix, site = _places(spec, python)
    inputs: dict[str, Json] = {
        "sources": sources,
        "platform": locked["platform"],
        "prefix": prefix,
        "site": site,
        "python": python.version,
        "executable": python.executable,
        "bytecode": spec.get("bytecode", True),
    }
    return (
        Assemble(
            packer="built",
            part="built",
            inputs=inputs,
            sources={name: spec[name] for name in _SOURCES if name in spec},
            needs_root=True,
            summary=f"pip, {len(sources)} built from source",
            build=command(python.executable, spec.get("build_packages") or ()),
        ),
    )


def _source(locked: Json) -> dict[str, Json]:
    """A locked source distribution without its size. Raises ValueError for a name that is no file's."""
    if "/" in locked["file"] or any(re.search(r"\s", locked[key]) for key in ("name", "version", "sha256")):
        raise ValueError(f"{locked['file']!r} is not the file name of a source distribution")
    return {key: locked[key] for key in ("name", "version", "file", "sha256")}


def _python(parent: Facts) -> Python:
    if parent.python is None:
        raise AssembleError(
            "a pip layer needs Python below it, and none is known there",
            remedy="add python3 to the base's packages, or to an apt layer below; what commands install is not known",
        )
    return parent.python


def platform_tag(parent: Facts) -> str:
    """The newest platform tag the parent can load (PEP 600), such as manylinux_2_36_x86_64."""
    major, minor = parent.libc.split(".")[:2]
    return f"manylinux_{major}_{minor}_{_MACHINES.get(parent.platform.architecture, parent.platform.architecture)}"


def _loads(platform: str, parent: Facts) -> bool:
    """Whether wheels that were chosen for a platform tag fit the parent: glibc is compatible with what was built for an
    older one (PEP 600).
    """
    try:
        _, major, minor, machine = platform.split("_", 3)
        wanted, there = (int(major), int(minor)), tuple(int(part) for part in parent.libc.split(".")[:2])
    except ValueError:
        return False
    return wanted <= there and machine == platform_tag(parent).split("_", 3)[3]


def _places(spec: Mapping[str, Any], python: Python) -> tuple[str, str]:
    """The prefix, and the folder for packages below it."""
    prefix = posixpath.normpath(spec.get("prefix") or python.prefix)
    if prefix == posixpath.normpath(python.prefix):
        return prefix, python.site
    return prefix, f"{prefix}/lib/python{python.minor}/site-packages"
