"""Locked Debian packages: those that an index lists no more are read from their files, and rows of the lock stay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.dpkg import stanza
from pipeline.errors import AssembleError, ResolveError
from pipeline.indexes.debian_packages import Package, Universe
from pipeline.indexes.debian_solver import Solver
from pipeline.indexes.debian_version import Relation, compare

Row = Mapping[str, Any]
_ROW = ("name", "version", "architecture", "file", "size", "sha256", "archive")


def unlisted(held: Iterable[Row], universe: Universe, architecture: str) -> list[Row]:
    """Locked packages of this architecture in versions that no index lists now."""
    whole = (row for row in held if all(row.get(key) for key in _ROW) and row["architecture"] in (architecture, "all"))
    return [row for row in whole if not universe.listed(row["name"], row["version"])]


def read(row: Row, file: Path) -> Package | None:
    """A locked package by the control file in its .deb; None for one that cannot be read, or is another package.

    The signed index that listed it is gone; that its hash is in the lock vouches for it as much as for any other.
    """
    from pipeline.assemble.deb_archive import read_control

    try:
        fields = stanza(read_control(file, row["file"]).get("control", b"").decode("utf-8", "replace").strip())
    except AssembleError:
        return None
    if (fields.get("Package"), fields.get("Version")) != (row["name"], row["version"]):
        return None
    place = {"Filename": row["file"], "Size": str(row["size"]), "SHA256": row["sha256"]}
    return Package(row["name"], row["version"], row["archive"], {**fields, **place})


def locked(package: Package, held: Iterable[Row], universe: Universe) -> dict[str, Any]:
    """A package as the lock has it: the row that is there, while it says where the same file is now."""
    there = [_row(each) for each in universe.listed(package.name, package.version)]
    own = _row(package)
    same = (dict(row) for row in held if row["name"] == package.name and row.get("sha256") == own["sha256"])
    return next((row for row in same if row in there or row == own), own)


def kept_back(package: Package, wanted: Sequence[Relation], chosen: Mapping[str, Package], solver: Solver) -> str:
    """Why a package of those chosen is not at its newest version; empty when it is, or when there is no telling."""
    name = package.name
    newest = next(iter(solver.universe.versions(name)), package)
    if compare(newest.version, package.version) <= 0:
        return ""
    stays = f"{name} stays at {package.version}, though there is {newest.version}"
    for relation in wanted:
        if relation.name == name and not relation.accepts(newest.version):
            return f"{stays}: {relation} is asked for"
    for other in chosen.values():
        if other.name != name and (need := _unmet(other, newest, chosen)):
            return f"{stays}: {other} needs {need} (upgrade both: --upgrade {name} {other.name})"
    try:
        solver.solve([*wanted, Relation(name, "=", newest.version)])
    except ResolveError as error:
        return f"{stays}: {error.message}"
    return ""


def _unmet(package: Package, newest: Package, chosen: Mapping[str, Package]) -> str:
    """What a package needs, and has no more once `newest` is in the place of the version that is chosen."""
    there = {**chosen, newest.name: newest}
    for group in package.depends:
        about = any(relation.name == newest.name for relation in group)
        if about and not any(r.name in there and r.accepts(there[r.name].version) for r in group):
            return " | ".join(map(str, group))
    return ""


def _row(package: Package) -> dict[str, Any]:
    fields = package.fields
    return {
        "name": package.name,
        "version": package.version,
        "architecture": fields.get("Architecture", ""),
        "file": fields.get("Filename", ""),
        "size": int(fields.get("Size", "0")),
        "sha256": fields.get("SHA256", ""),
        "archive": package.archive,
    }
