"""Checks what a base or an image must hold (`requires` of the manifest) against its files, without running anything."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.facts import Facts
from pipeline.oci.requires_find import Evidence, Files, Found, Told
from pipeline.oci.requires_versions import World, accepts, highest

_SPEC = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9.+_-]*?)\s*((?:[<>=!~].*)?)")
_LABELS = {"os": "operating system", "python": "Python", "mpi": "MPI", "cuda": "CUDA", "cudnn": "cuDNN", "nccl": "NCCL"}
_LABELS |= {"fuse": "FUSE", "openmpi": "Open MPI", "intelmpi": "Intel MPI", "mpich": "MPICH"}
_WORLDS: Mapping[str, World] = {"python": "pip"}
_SHOWN = 3
_LAST = 999999
"""A patch release that will never be."""


@dataclass(frozen=True, slots=True)
class Lack:
    """A requirement that is not met: what was asked, and what was found instead and where."""

    asked: str
    found: str

    def __str__(self) -> str:
        return f"{self.asked} is required, and there is {self.found}"


def check(requires: Mapping[str, Any], files: Files) -> list[Lack]:
    """Everything that `requires` (manifest.requires.normal) asks for and the image has not."""
    evidence = Evidence(files)
    return [lack for name, asked in requires.items() for lack in _lacks(name, asked, evidence)]


def undecided(requires: Mapping[str, Any], told: Facts | Files) -> dict[str, Any]:
    """What of `requires` may be lacking as far as facts, or the files of only the uppermost layers, tell: all else is
    met whatever the rest of the image holds.
    """
    evidence = Told(told) if isinstance(told, Facts) else Evidence(told)
    return {name: asked for name, asked in requires.items() if any(_lacks(name, asked, evidence, whole=False))}


def _lacks(name: str, asked: Any, evidence: Evidence, *, whole: bool = True) -> Iterator[Lack]:
    if asked is False:
        return
    if name == "packages":
        for world, specs in asked.items():
            for spec in specs:
                yield from _package(world, spec, evidence)
    elif name == "os":
        yield from _system([asked] if isinstance(asked, str) else asked, evidence)
    elif name == "mpi" and isinstance(asked, str):
        implementation, constraint = _split(asked)
        yield from _versioned(implementation, constraint, evidence, whole)
    else:
        yield from _versioned(name, "" if asked is True else asked, evidence, whole)


def _versioned(name: str, constraint: str, evidence: Evidence, whole: bool) -> Iterator[Lack]:
    """One thing, any version of which will do that fits; of one that is there several times, one has to.

    Of a version of which only the first numbers are known, the rest of the image may tell the others.
    """
    world, label = _WORLDS.get(name, "conda"), _LABELS.get(name, name)
    found = _exact(list(evidence.finder(name)()))
    shortest = [each.version for each in found if whole or not constraint or each.version.count(".") > 1]
    shortest += [v for v in (each.version for each in found) if v and accepts(world, constraint, f"{v}.{_LAST}")]
    if not any(accepts(world, constraint, version) for version in shortest):
        yield Lack(f"{label} {constraint}".strip(), _told(found, world) or "none")


def _exact(found: Sequence[Found]) -> list[Found]:
    """Without what only tells the first numbers of another's version, as libcudart.so.12 does of 12.4.127."""
    versions = {each.version for each in found}
    return [each for each in found if not any(v.startswith(each.version + ".") for v in versions if each.version)]


def _package(world: World, spec: str, evidence: Evidence) -> Iterator[Lack]:
    name, constraint = _split(spec)
    found = evidence.named(world, name)
    if not any(accepts(world, constraint, each.version) for each in found):
        label = f"the {world} package {name} {constraint}".strip()
        yield Lack(label, _told(found, world) or "none")


def _system(specs: Sequence[str], evidence: Evidence) -> Iterator[Lack]:
    found = list(evidence.os())
    for spec in specs:
        name, constraint = _split(spec)
        if any(each.name == name and accepts("conda", constraint, each.version) for each in found):
            return
    yield Lack(f"the operating system {' or '.join(specs)}", _told(found, "conda") or "no os-release")


def found_of(name: str, evidence: Evidence) -> list[Found]:
    """Each version of what a requirement's name stands for, the highest first, as far as files tell it exactly."""
    world = _WORLDS.get(name, "conda")
    return _ordered(_exact(list(evidence.finder(name)())), world)


def _ordered(found: Sequence[Found], world: World) -> list[Found]:
    """Each version once, the highest first."""
    unique = {each.version: each for each in reversed(found)}
    ordered: list[Found] = []
    while unique:
        ordered.append(unique.pop(highest(world, unique)))
    return ordered


def is_told(name: str, said: str | bool, found: Sequence[Found]) -> bool:
    """Whether what was found is what a table says: `openmpi 3.1.2`, or a version as far as the table has it."""
    if said is True:
        return bool(found)
    label, _, version = str(said).rpartition(" ")
    wanted = _LABELS.get(label, label)
    return any(
        (not wanted or each.name in (wanted, label)) and f"{each.version}.".startswith(f"{version}.") for each in found
    ) or (name == "os" and not label and any(each.name == version for each in found))


def _told(found: Sequence[Found], world: World) -> str:
    """What is there, each version once, the highest first."""
    ordered = _ordered(found, world)
    more = f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return ", ".join(str(each) for each in ordered[:_SHOWN]) + more


def _split(spec: str) -> tuple[str, str]:
    """Name and versions of `ubuntu>=16.04`."""
    match = _SPEC.fullmatch(spec)
    assert match
    return match[1], match[2]
