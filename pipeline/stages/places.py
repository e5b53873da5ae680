"""Where a target elsewhere has been: what it left at another place goes on running until somebody removes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from pipeline.errors import PipelineError
from pipeline.kinds import find
from pipeline.manifest.model import Entry
from pipeline.stages.bench import Bench
from pipeline.targets.remote import RemoteTarget


def note(bench: Bench, entry: Entry, service: str, target: RemoteTarget) -> None:
    """Remembers, on this machine, that a service was rolled out where the target is now."""
    if place := target.place():
        known = bench.store.database.memo(_key(service)) or {}
        bench.store.database.remember(_key(service), {**known, place: _where(entry)})


def tell(bench: Bench, entry: Entry, service: str, target: RemoteTarget) -> None:
    """Warns of what the service has left elsewhere: by this machine's memory, and by what the place itself knows."""
    told = dict.fromkeys([*_elsewhere(bench, entry, service, target), *target.left()])
    for place in told:
        bench.warn_once(f"target {entry.name} has left {place}; or put the target back")


def _elsewhere(bench: Bench, entry: Entry, service: str, target: RemoteTarget) -> Iterator[str]:
    known: Mapping[str, Any] = bench.store.database.memo(_key(service)) or {}
    here = target.place() if known else ""
    for place, where in known.items():
        if place == here:
            continue
        before = _at(bench, entry, where)
        try:
            # A context of the same name may be another cluster by now: then nobody is asked.
            asked = before.place() == place
            state = before.observe().state if asked else "unknown"
            removal = before.removal() if asked else "remove it there"
        except PipelineError:
            state, removal = "unknown", "remove it there"
        if state == "absent":
            left = {name: one for name, one in known.items() if name != place}
            bench.store.database.remember(_key(service), left)
        elif state == "unknown":
            yield f"{place}, which does not tell whether it still runs: {removal}"
        else:
            yield f"{place}, where it is {state} still: {removal}"


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
