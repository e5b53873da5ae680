"""`pipeline status`: which services there are, and how they are."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import output_option, set_option
from pipeline.cli._services import Service, of_bench, of_machine
from pipeline.cli._shell import Shell
from pipeline.cli._work import Wanted, opened
from pipeline.errors import OutOfReach, PipelineError, UsageError

if TYPE_CHECKING:
    from pipeline.stages.places import Orphan
    from pipeline.targets.model import Observation
    from pipeline.targets.remote import Difference

EXAMPLES = """
pipeline status                                  every service on this machine
pipeline status manifests/prod.yaml              the targets of a manifest
pipeline status manifests/*.yaml                 of several; one that cannot be asked does not keep the others back
pipeline status manifests/prod.yaml --check      for cron: exit code 10 when something does not run as it should
pipeline status --output json | jq -r '.[] | select(.state != "running") | .service'
"""


NOT_WELL = 10
"""The exit code of --check when a service does not run as it was rolled out."""


@command_(arguments="MANIFEST: only its targets; repeatable", examples=EXAMPLES)
@click.argument("manifests", metavar="[MANIFEST]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help=f"Exit with {NOT_WELL} unless every service runs, unchanged.")
@set_option
@output_option
@click.pass_obj
def command(shell: Shell, manifests: tuple[Path, ...], check: bool, sets: Mapping[str, str]) -> int:
    """Show services and how they are.

    The exit code is 4 when the state of a service cannot be told.
    """
    if len(manifests) > 1:
        return _several(shell, manifests, sets, check)
    if manifests:
        seen, left = _of_manifest(shell, Wanted(manifests[0], sets))
    else:
        seen, left = observed(of_machine(shell).values()), []
    if shell.json:
        shell.value([*map(_as_json, seen), *map(_orphan_as_json, left)])
    else:
        tell(shell, seen, left)
    return code_of(seen, check)


def _of_manifest(shell: Shell, wanted: Wanted) -> tuple[list[Seen], Sequence[Orphan]]:
    """The services of a manifest, and what was left of targets that it has no more."""
    from pipeline.stages.rolled import rolled

    bench = opened(shell, wanted)
    bench.looks_only = True
    seen = observed(of_bench(bench).values())
    if not rolled(bench):
        return seen, ()
    from pipeline.stages.places import orphans

    return seen, orphans(bench)


@dataclass(frozen=True, slots=True)
class Seen:
    """A service as it is: what others have changed of it, or why that cannot be told, and what it is pinned to."""

    service: Service
    what: Observation
    drift: Sequence[Difference] = ()
    untold: str = ""
    pin: str = ""


def observed(services: Iterable[Service]) -> list[Seen]:
    """Asks the targets."""
    seen = []
    for service in services:
        what = service.target.observe()
        drift, untold = _drift(service, what)
        kept = service.verified()
        seen.append(Seen(service, what, drift, untold, kept.pinned(service.name) if kept else ""))
    return seen


def _several(shell: Shell, manifests: Sequence[Path], sets: Mapping[str, str], check: bool) -> int:
    """One that cannot be read or asked is told of, and gives the exit code."""
    rows: list[dict[str, Any]] = []
    every: list[Seen] = []
    lost: list[Orphan] = []
    code = 0
    for manifest in manifests:
        place = {"manifest": str(manifest)}
        try:
            seen, left = _of_manifest(shell, Wanted(manifest, sets))
        except PipelineError as error:
            code = code or error.exit_code
            rows.append({**place, "error": str(error)})
            if not shell.json:
                said = str(error)
                shell.error_line(said if said.startswith(str(manifest)) else f"{manifest}: {said}")
            continue
        every, lost = [*every, *seen], [*lost, *left]
        rows += [{**place, **one} for one in (*map(_as_json, seen), *map(_orphan_as_json, left))]
    if shell.json:
        shell.value(rows)
    elif every or not code:
        tell(shell, every, lost)
    return code or code_of(every, check)


def tell(shell: Shell, seen: Sequence[Seen], left: Sequence[Orphan] = ()) -> None:
    """A row for each service, below them what others have changed, and what was left."""
    if seen:
        _tell_seen(shell, seen)
    else:
        shell.line("no services: 'pipeline run' starts those of a manifest")
    for one in left:
        shell.line(str(one))


def _tell_seen(shell: Shell, seen: Sequence[Seen]) -> None:
    from pipeline.reporters.lines import table

    for line in table([_row(one) for one in seen], ["SERVICE", "STATE", "ADDRESS", "REVISION", "IMAGE", "SINCE", ""]):
        shell.line(line)
    for one in seen:
        if one.pin:
            pinned = f"{one.service.name} is pinned to revision {one.pin}"
            shell.line(f"{pinned}: 'pipeline rollback' lifts that with --lift")
    for one in seen:
        for changed in one.drift:
            shell.line(f"{one.service.name} was changed: {changed}")
    for one in seen:
        if one.untold:
            shell.line(f"{one.service.name}: whether others have changed it cannot be told: {one.untold}")


def _row(one: Seen) -> list[str]:
    from pipeline.digest import short

    what = one.what
    facts = [one.service.name, what.state, what.address, what.revision, short(what.image)]
    return [*facts, _when(what.started), what.detail]


def code_of(seen: Sequence[Seen], check: bool) -> int:
    """What nobody can tell is no good news, and neither is a list of nothing to somebody who checks."""
    if any(one.what.state == "unknown" or (check and one.untold) for one in seen):
        return OutOfReach.exit_code
    well = bool(seen) and all(one.what.state == "running" and not one.drift for one in seen)
    return NOT_WELL if check and not well else 0


def _drift(service: Service, what: Observation) -> tuple[Sequence[Difference], str]:
    """What was changed, and why that cannot be told, for who may look need not be allowed to compare."""
    from pipeline.targets.remote import Difference, RemoteTarget

    if not isinstance(service.target, RemoteTarget) or what.state == "unknown":
        return (), ""
    kept = service.verified()
    if passed := kept.get(service.name) if kept else None:
        if what.revision and what.revision != passed.revision:
            # Field by field it would only be told how the two differ.
            return (Difference("the revision", f"{what.revision}, which passed no checks", passed.revision),), ""
        try:
            return service.target.differences(passed), ""
        except (OutOfReach, UsageError) as error:
            return (), str(error)
    # Kept where the service runs, it is gone there for everybody.
    lost = kept is not None and what.state == "running" and service.target.verified() is not None
    return ((Difference("the record of what passed its checks", None, None),) if lost else ()), ""


def _when(started: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(started)) if started else ""


def _orphan_as_json(one: Orphan) -> dict[str, Any]:
    """Apart from services by `left`, which says where it is."""
    head = {"service": one.service, "target": one.target, "kind": one.kind, "state": one.state}
    return {**head, "left": one.place, "remedy": one.removal}


def _as_json(one: Seen) -> dict[str, Any]:
    """Times in RFC 3339, UTC."""
    service, what = one.service, one.what
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(what.started)) if what.started else None
    facts = {key: value for key, value in asdict(what).items() if key != "started"}
    place = {"target": service.entry, "kind": service.kind} if service.entry else {}
    drifted = {"drift": [{**asdict(each), "text": str(each)} for each in one.drift]} if one.drift else {}
    pinned = {"pinned": one.pin} if one.pin else {}
    unclear = {"drift_unknown": one.untold} if one.untold else {}
    return {"service": service.name, **place, **facts, "since": since, **drifted, **unclear, **pinned}
