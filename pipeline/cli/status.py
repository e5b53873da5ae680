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

if TYPE_CHECKING:
    from pipeline.targets.model import Observation
    from pipeline.targets.remote import Difference

EXAMPLES = """
pipeline status                                  every service on this machine
pipeline status manifests/prod.yaml              the targets of a manifest
pipeline status --output json | jq -r '.[] | select(.state != "running") | .service'
"""


@command_(arguments="MANIFEST: only its targets", examples=EXAMPLES)
@click.argument("manifest", required=False, type=click.Path(path_type=Path))
@set_option
@output_option
@click.pass_obj
def command(shell: Shell, manifest: Path | None, sets: Mapping[str, str]) -> None:
    """Show services and how they are."""
    services = of_manifest(shell, Wanted(manifest, sets)) if manifest else of_machine(shell)
    status(shell, services.values())


def status(shell: Shell, services: Iterable[Service]) -> None:
    """A row for each service, and below it what others have changed."""
    seen = [(service, service.target.observe()) for service in services]
    drifts = {service.name: _drift(service, what) for service, what in seen}
    pins = {service.name: kept.pinned(service.name) for service, _ in seen if (kept := service.verified())}
    if shell.json:
        shell.value([_as_json(one, what, drifts[one.name], pins.get(one.name, "")) for one, what in seen])
        return
    if not seen:
        shell.line("no services: 'pipeline run' starts those of a manifest")
        return
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


def _drift(service: Service, what: Observation) -> Sequence[Difference]:
    from pipeline.targets.remote import Difference, RemoteTarget

    if not isinstance(service.target, RemoteTarget):
        return ()
    from pipeline.stages.drift import drift

    kept = service.verified()
    if passed := kept.get(service.name) if kept else None:
        return drift(service.target, passed)
    # Kept where the service runs, it is gone there for everybody.
    lost = kept is not None and what.state == "running" and service.target.verified() is not None
    return (Difference("the record of what passed its checks", None, None),) if lost else ()


def _when(started: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(started)) if started else ""


def _as_json(service: Service, what: Observation, drift: Sequence[Difference], pin: str) -> dict[str, Any]:
    """Times in RFC 3339, UTC."""
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(what.started)) if what.started else None
    facts = {key: value for key, value in asdict(what).items() if key != "started"}
    drifted = {"drift": [asdict(one) for one in drift]} if drift else {}
    pinned = {"pinned": pin} if pin else {}
    return {"service": service.name, **facts, "since": since, **drifted, **pinned}
