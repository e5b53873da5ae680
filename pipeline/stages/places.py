"""Where targets elsewhere have been: what one left at another place, or what was left of one that the manifest has no
more, goes on running until somebody removes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from pipeline.errors import Location, PipelineError
from pipeline.kinds import find, is_remote
from pipeline.manifest.model import Entry
from pipeline.noun import noun
from pipeline.stages.bench import Bench
from pipeline.stages.rolled import keep, rolled
from pipeline.targets.remote import RemoteTarget


def note(bench: Bench, entry: Entry, service: str, target: RemoteTarget) -> None:
    """Remembers, on this machine, that a service is where the target is now."""
    place, known = target.place(), bench.store.database.memo(_key(service)) or {}
    if place and place not in known:
        bench.store.database.remember(_key(service), {**known, place: _where(entry)})
    if place:
        keep(bench, {**rolled(bench), entry.name: entry.kind})


def tell(bench: Bench, entry: Entry, service: str, target: RemoteTarget) -> None:
    """Warns of what the service has left elsewhere: by what the place itself knows, and by this machine's memory."""
    for place, how in {**_elsewhere(bench, entry, service, target), **target.left()}.items():
        bench.warn_once(f"target {entry.name} has left {place}, {how}; or put the target back")


@noun
class Orphan:
    """What is left of a target that the manifest has no more: how it is at a place, and how to remove it, in words."""

    service: str
    target: str
    kind: str
    place: str
    state: str
    removal: str

    def __str__(self) -> str:
        told = "which does not tell whether it still runs" if self.state == "unknown" else f"where it is {self.state}"
        gone = f"the manifest has no {self.kind} target {self.target} any more"
        return f"{gone}, and has left {self.place}, {told}: {self.removal}"


def tell_orphans(bench: Bench) -> None:
    """Warns of what was left of targets that the manifest has no more, as far as this machine rolled it out."""
    for one in orphans(bench):
        bench.warn_once(str(one))


def orphans(bench: Bench) -> Sequence[Orphan]:
    """Asks the places where they were."""
    found: list[Orphan] = []
    every = rolled(bench)
    for name, kind in every.items():
        now = bench.manifest.targets.get(name)
        if is_remote(kind) and not (now and is_remote(now.kind)):
            found += _left(bench, name, kind)
    places = bench.store.database.memo
    keep(bench, {name: kind for name, kind in every.items() if places(_key(_service(bench, name)))})
    return found


def _left(bench: Bench, name: str, kind: str) -> list[Orphan]:
    """At the places that are known. One that does not tell is known until a run has said so."""
    entry, service = Entry(name, kind, {}, Location(str(bench.manifest.path))), _service(bench, name)
    known: Mapping[str, Any] = bench.store.database.memo(_key(service)) or {}
    seen = {place: _seen(bench, entry, where, place) for place, where in known.items()}
    kept = {place: where for place, where in known.items() if _is_kept(bench, seen[place][0])}
    if kept != known:
        bench.store.database.remember(_key(service), kept)
    return [Orphan(service, name, kind, place, *how) for place, how in seen.items() if how[0] != "absent"]


def _service(bench: Bench, name: str) -> str:
    return f"{bench.manifest.name}-{name}"


def _is_kept(bench: Bench, state: str) -> bool:
    return state != "absent" and (state != "unknown" or bench.looks_only)


def _elsewhere(bench: Bench, entry: Entry, service: str, target: RemoteTarget) -> dict[str, str]:
    """By place, how it is there and how it is removed.

    A place that has nothing any more is forgotten; and by a run one that cannot be asked, or a cluster that was deleted
    would be told of, and waited for, for ever.
    """
    known: Mapping[str, Any] = bench.store.database.memo(_key(service)) or {}
    here = target.place() if known else ""
    found: dict[str, str] = {}
    kept = dict(known)
    for place, where in known.items():
        if place == here:
            continue
        state, removal = _seen(bench, entry, where, place)
        if not _is_kept(bench, state):
            del kept[place]
        if state == "unknown":
            found[place] = f"which does not tell whether it still runs (runs say this once): {removal}"
        elif state != "absent":
            found[place] = f"where it is {state}: {removal}"
    if kept != known:
        bench.store.database.remember(_key(service), kept)
    return found


def _seen(bench: Bench, entry: Entry, where: Mapping[str, Any], place: str) -> tuple[str, str]:
    """How the service is at a place, and how to remove it. A context may be another cluster by now, which knows of
    nothing.
    """
    try:
        before = _at(bench, entry, where)
        if before.place() == place:
            return before.observe().state, before.removal()
    except PipelineError:
        pass
    return "unknown", "remove it there"


def _at(bench: Bench, entry: Entry, where: Mapping[str, Any]) -> RemoteTarget:
    from pipeline.stages.release import target_of

    spec = {name: value for name, value in entry.spec.items() if name not in _settings(entry)}
    return cast(RemoteTarget, target_of(bench, replace(entry, spec={**spec, **where})))


def _where(entry: Entry) -> dict[str, Any]:
    return {name: entry.spec[name] for name in _settings(entry) if name in entry.spec}


def _settings(entry: Entry) -> tuple[str, ...]:
    return tuple(getattr(find("targets", entry.kind), "WHERE", ()))


def _key(service: str) -> str:
    return f"places {service}"
