"""`pipeline status`: which services there are, and how they are."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import output_option, set_option
from pipeline.cli._services import Service, of_machine, of_manifest
from pipeline.cli._shell import Shell
from pipeline.cli._work import Wanted
from pipeline.errors import OutOfReach, UsageError

if TYPE_CHECKING:
    from pipeline.targets.model import Observation
    from pipeline.targets.remote import Difference

EXAMPLES = """
pipeline status                                  every service on this machine
pipeline status manifests/prod.yaml              the targets of a manifest
pipeline status manifests/prod.yaml --check      for cron: exit code 10 when something does not run as it should
pipeline status --output json | jq -r '.[] | select(.state != "running") | .service'
"""


NOT_WELL = 10
"""The exit code of --check when a service does not run as it was rolled out."""


@command_(arguments="MANIFEST: only its targets", examples=EXAMPLES)
@click.argument("manifest", required=False, type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help=f"Exit with {NOT_WELL} unless every service runs, unchanged.")
@set_option
@output_option
@click.pass_obj
def command(shell: Shell, manifest: Path | None, check: bool, sets: Mapping[str, str]) -> int:
    """Show services and how they are.

    The exit code is 4 when the state of a service cannot be told.
    """
    services = of_manifest(shell, Wanted(manifest, sets)) if manifest else of_machine(shell)
    return status(shell, services.values(), check=check)


def status(shell: Shell, services: Iterable[Service], *, check: bool = False) -> int:
    """A row for each service, and below it what others have changed; the exit code."""
    seen = [(service, service.target.observe()) for service in services]
    untold: dict[str, str] = {}
    drifts = {service.name: _drift(service, what, untold) for service, what in seen}
    pins = {service.name: kept.pinned(service.name) for service, _ in seen if (kept := service.verified())}
    code = _code([what for _, what in seen], any(drifts.values()), check)
    if check and untold:
        code = OutOfReach.exit_code
    if shell.json:
        shell.value(
            [_as_json(one, what, drifts[one.name], pins.get(one.name, ""), untold.get(one.name)) for one, what in seen]
        )
        return code
    if not seen:
        shell.line("no services: 'pipeline run' starts those of a manifest")
        return code
    from pipeline.digest import short
    from pipeline.reporters.lines import table

    rows = [
        [service.name, what.state, what.address, what.revision, short(what.image), _when(what.started), what.detail]
        for service, what in seen
    ]
    for line in table(rows, ["SERVICE", "STATE", "ADDRESS", "REVISION", "IMAGE", "SINCE", ""]):
        shell.line(line)
    for name, pin in pins.items():
        if pin:
            shell.line(f"{name} is pinned to revision {pin}: 'pipeline rollback' lifts that with --lift")
    for name, drift in drifts.items():
        for one in drift:
            shell.line(f"{name} was changed: {one}")
    for name, why in untold.items():
        shell.line(f"{name}: whether others have changed it cannot be told: {why}")
    return code


def _code(seen: Sequence[Observation], drifted: bool, check: bool) -> int:
    """What nobody can tell is no good news, and neither is a list of nothing to somebody who checks."""
    if any(what.state == "unknown" for what in seen):
        return OutOfReach.exit_code
    well = bool(seen) and not drifted and all(what.state == "running" for what in seen)
    return NOT_WELL if check and not well else 0


def _drift(service: Service, what: Observation, untold: dict[str, str]) -> Sequence[Difference]:
    """What was changed; why that cannot be told goes to `untold`, for who may look need not be allowed to compare."""
    from pipeline.targets.remote import Difference, RemoteTarget

    if not isinstance(service.target, RemoteTarget) or what.state == "unknown":
        return ()
    kept = service.verified()
    if passed := kept.get(service.name) if kept else None:
        try:
            return service.target.differences(passed)
        except (OutOfReach, UsageError) as error:
            untold[service.name] = str(error)
            return ()
    # Kept where the service runs, it is gone there for everybody.
    lost = kept is not None and what.state == "running" and service.target.verified() is not None
    return (Difference("the record of what passed its checks", None, None),) if lost else ()


def _when(started: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(started)) if started else ""


def _as_json(
    service: Service, what: Observation, drift: Sequence[Difference], pin: str, untold: str | None
) -> dict[str, Any]:
    """Times in RFC 3339, UTC."""
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(what.started)) if what.started else None
    facts = {key: value for key, value in asdict(what).items() if key != "started"}
    drifted = {"drift": [asdict(one) for one in drift]} if drift else {}
    pinned = {"pinned": pin} if pin else {}
    unclear = {"drift_unknown": untold} if untold else {}
    return {"service": service.name, **facts, "since": since, **drifted, **unclear, **pinned}
