"""The recipes of a conda environment's packages, package by package, and of their bytecode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.facts import Python
from pipeline.layers._environment import spec_name
from pipeline.recipe import Assemble, Json, Piece


def pieces_of(locked: Json, python: Python | None) -> tuple[Piece, ...]:
    """Each package with what was asked of it, and the files that tell of all of them."""
    site = next((package.get("site") for package in locked["packages"] if package["name"] == "python"), None)
    # What a package for any Python is linked for; a patch release of Python moves none of them.
    interpreter = {"version": python.minor, **({"site": site} if site else {})} if python else {}
    made = []
    for package in locked["packages"]:
        needs = package.get("noarch") == "python" and interpreter
        own = {
            "packages": [package],
            "specs": [spec for spec in locked["specs"] if spec_name(spec) == package["name"]],
            "interpreter": [interpreter] if needs else [],
            "history": [],
            "variables": [],
        }
        made.append(Piece(package["name"], int(package.get("size") or 0), own))
    stems = [f"{each['channel']}/{each['subdir']}::{_stem(each)}" for each in locked["packages"]]
    variables = sorted(map(list, locked.get("variables", {}).items()))
    told: dict[str, list[Json]] = {"packages": [], "specs": [], "interpreter": []}
    whole = {"history": [[stems, locked["specs"]]], "variables": variables}
    return (*made, Piece("conda-meta", 0, {**told, **whole}, apart=True))


def _stem(package: Mapping[str, Any]) -> str:
    """`numpy-2.0-py311_0` of its file's name."""
    return str(package["file"]).removesuffix(".conda").removesuffix(".tar.bz2")


def bytecode(packages: Sequence[Mapping[str, Any]], python: Python) -> Assemble:
    """Of the packages that come without; each package's record tells which files are its own."""

    def own(some: Sequence[Mapping[str, Any]]) -> dict[str, list[Json]]:
        records = [f"{python.prefix}/conda-meta/{_stem(package)}.json" for package in some]
        return {"packages": sorted(package["sha256"] for package in some), "records": records}

    brought = sorted(filter(is_python, packages), key=lambda package: str(package["name"]))
    return Assemble(
        "bytecode",
        {"python": python.version, "trees": [python.site], "lacking": True, **own(brought)},
        part="bytecode",
        needs_root=True,
        root_decides=False,
        summary=f"bytecode, {len(brought)} package{'s' * (len(brought) != 1)}",
        pieces=tuple(Piece(each["name"], int(each.get("size") or 0), own([each])) for each in brought),
    )


def is_python(package: Mapping[str, Any]) -> bool:
    """Whether a package may bring Python modules: it is noarch Python, or depends on the interpreter."""
    depends = (need.split(" ")[0] for need in package.get("depends", ()))
    return package.get("noarch") == "python" or any(need in ("python", "python_abi", "pypy") for need in depends)
