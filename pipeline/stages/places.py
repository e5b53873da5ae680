"""Where a target elsewhere has been: what it left at another place goes on running until somebody removes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from pipeline.errors import PipelineError
from pipeline.kinds import find
from pipeline.manifest.model import Entry
from pipeline.stages.bench import Bench
from pipeline.targets.remote import RemoteTarget


def note(bench: Bench, entry: Entry, service: str, target: RemoteTarget) -> None:
    """Remembers, on this machine, that a service is where the target is now."""
    place, known = target.place(), bench.store.database.memo(_key(service)) or {}
    if place and place not in known:
        bench.store.database.remember(_key(service), {**known, place: _where(entry)})


def tell(bench: Bench, entry: Entry, service: str, target: RemoteTarget) -> None:
    """Warns of what the service has left elsewhere: by what the place itself knows, and by this machine's memory."""
    for place, how in {**_elsewhere(bench, entry, service, target), **target.left()}.items():
        bench.warn_once(f"target {entry.name} has left {place}, {how}; or put the target back")


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
        if state == "absent" or (state == "unknown" and not bench.looks_only):
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
