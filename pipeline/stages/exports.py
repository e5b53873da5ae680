"""Stage: what the lock has of pip and conda layers, in the standard formats; indexes are asked where files are."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import ResolveError, UsageError
from pipeline.facts import Facts, Platform
from pipeline.kinds import build_kind
from pipeline.layers import pip
from pipeline.layers._environment import read
from pipeline.layers._requirements import Requested, gather, public
from pipeline.lock import export
from pipeline.lock.diff import name_among
from pipeline.lock.model import Lock, head_of, request_hash
from pipeline.manifest.model import Entry
from pipeline.manifest.words import listed
from pipeline.noun import noun
from pipeline.stages.bench import Bench

Form = Literal["pylock", "requirements", "conda"]
KINDS: Mapping[str, tuple[str, ...]] = {
    "pylock": ("pip", "conda"),
    "requirements": ("pip", "conda"),
    "conda": ("conda",),
}
_ASKED = ("file", "channels", "dependencies")


@noun
class Export:
    """A text, and the name of the file for it, where it is one of several."""

    name: str
    text: str


def exports(bench: Bench, lock: Lock, form: Form, layers: Collection[str], platform: str, folder: Path) -> list[Export]:
    """An export for each entry of these layers (all, if none are named) on this platform (all, if empty).

    Paths in a text are relative to `folder`. UsageError where there is nothing to export, ResolveError where the lock
    is out of date or an index has a file no more; OutOfReach.
    """
    chosen = _chosen(bench, lock, form, layers, platform)
    found = []
    for id_ in chosen:
        name = head_of(id_).partition(".")[2]
        words = name_among(id_, [other for other in chosen if head_of(other) == head_of(id_)]).split()
        text = _text(bench, bench.manifest.layers[name], id_, lock.entries[id_].locked, form, folder)
        found.append(Export(export.file_name(form, name, words), text))
    return found


def _chosen(bench: Bench, lock: Lock, form: Form, layers: Collection[str], platform: str) -> list[str]:
    known = {f"layers.{name}": entry for name, entry in bench.manifest.layers.items()}
    of_kind = [id_ for id_, entry in lock.entries.items() if head_of(id_) in known and entry.kind in KINDS[form]]
    if form != "conda":
        of_kind = [id_ for id_ in of_kind if _wheels(lock.entries[id_].locked)]
    chosen = [id_ for id_ in of_kind if not layers or head_of(id_).partition(".")[2] in layers]
    chosen = [id_ for id_ in chosen if platform in ("", id_.split()[1])]
    if not chosen:
        there = listed(sorted({head_of(id_).partition(".")[2] + " " + id_.split()[1] for id_ in of_kind}))
        kinds = " or ".join(KINDS[form])
        raise UsageError(
            f"the lock has no {kinds} layer" + (" of that name and platform" if of_kind else ""),
            remedy=f"there are: {there}" if there else f"{form} is for {kinds} layers; 'pipeline lock' locks them",
        )
    for id_ in chosen:
        entry = known[head_of(id_)]
        request = build_kind("layers", entry.kind).request(entry.spec, bench.files)
        if not lock.entries[id_].answers(entry.kind, request_hash(request)):
            raise ResolveError(
                f"the lock's entry of {entry.name} is out of date",
                remedy="run 'pipeline lock' first",
                place=entry.location,
            )
    return sorted(chosen)


def _text(bench: Bench, entry: Entry, id_: str, locked: Any, form: Form, folder: Path) -> str:
    if form == "conda":
        asked = read(entry.spec, bench.files)
        addresses = bench.indexes.conda.addresses(locked["packages"], asked, bench.files)
        return export.explicit(locked["packages"], addresses, locked["platform"], len(locked.get("pip", ())))
    wheels, python = _wheels(locked), _python(entry, locked)
    wanted = _wanted(entry, bench)
    tag = locked["platform"] if entry.kind == "pip" else _tag(id_)
    if form == "requirements":
        direct = {name: public(url) for name, url in wanted.direct().items()}
        return export.requirements(wheels, direct, python, id_.split()[1])
    places = bench.indexes.pypi.addresses(wheels, wanted, python=python, platform=tag, files=bench.files)
    local = {file: place if "://" in place else os.path.relpath(place, folder) for file, place in places.items()}
    return export.pylock(wheels, local, python, tag.split("_", 3)[3])


def _wheels(locked: Any) -> Sequence[Mapping[str, Any]]:
    """The wheels of a pip layer, sources for what has none, or those beside conda's packages."""
    return [*locked.get("wheels", ()), *locked.get("sources", ()), *locked.get("pip", ())]


def _python(entry: Entry, locked: Any) -> str:
    """`3.11`: what the wheels are for."""
    if entry.kind == "pip":
        return str(locked["python"])
    version = next(package["version"] for package in locked["packages"] if package["name"] == "python")
    return ".".join(str(version).split(".")[:2])


def _tag(id_: str) -> str:
    return pip.platform_tag(Facts(Platform.parse(id_.split()[1]), libc=export.need(id_, "libc")))


def _wanted(entry: Entry, bench: Bench) -> Requested:
    """Where the manifest has the wheels looked for."""
    spec = entry.spec
    if entry.kind == "conda":
        spec = {"environment": {key: spec[key] for key in _ASKED if key in spec}}
    return gather(spec, bench.files)
