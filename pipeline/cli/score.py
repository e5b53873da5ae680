"""`pipeline score`: sends a scoring request to a service and shows its answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import output_option, set_option
from pipeline.cli._services import SERVICE_HELP, Service, one
from pipeline.cli._shell import Shell
from pipeline.errors import OutOfReach, RolloutError, UsageError

EXAMPLES = """
pipeline score manifests/prod.yaml here                          the manifest's own request
pipeline score prod-here --data '{"data": [[0.1, 0.2]]}'
pipeline score prod-here --data @request.json --output json
"""


@command_(arguments=SERVICE_HELP, examples=EXAMPLES)
@click.argument("service", metavar="SERVICE | MANIFEST [TARGET]", nargs=-1)
@click.option(
    "--data", metavar="JSON|@FILE", help="The request. Default: checks.score.request of the manifest's image."
)
@set_option
@output_option
@click.pass_obj
def command(shell: Shell, service: tuple[str, ...], data: str | None, sets: Mapping[str, str]) -> None:
    """Send a scoring request to a service.

    Its answer goes to standard output, the time it took to standard error.
    """
    found = one(shell, service, sets)
    request = found.request if data is None else _request(data)
    if request is None:
        remedy = "give it with --data, or name MANIFEST and TARGET of an image with checks.score.request"
        raise UsageError(f"there is no scoring request for {found.name}", remedy=remedy)
    score(shell, found, request)


def score(shell: Shell, service: Service, request: Any) -> None:
    """Prints the answer. Raises RolloutError when the service does not run or does not answer well, OutOfReach when
    that cannot be told.
    """
    from pipeline.stages.scoring import endpoint_of, score_release

    seen = service.target.observe()
    if seen.state == "unknown":
        raise OutOfReach(f"how {service.name} is cannot be told: {seen.detail}")
    if seen.state not in ("running", "starting"):
        detail = f": {seen.detail}" if seen.detail else ""
        raise RolloutError(f"{service.name} is {seen.state}{detail}", remedy="start it with 'pipeline run'")
    endpoint = endpoint_of(service.target, seen)
    if endpoint is None:
        raise UsageError(f"no request from this machine gets to {service.name}", remedy="call it from where it runs")
    got = score_release(endpoint, {"request": request}, clock=shell.clock)
    if shell.json:
        shell.value({"service": service.name, "answer": got.answer, "milliseconds": round(got.milliseconds, 1)})
    else:
        shell.line(json.dumps(got.answer, ensure_ascii=shell.ascii_only))
        shell.error_line(f"scored in {got.milliseconds:.0f} ms")


def _request(data: str) -> Any:
    """JSON from the command line or, with @, from a file."""
    try:
        text = Path(data[1:]).read_text(encoding="utf-8") if data.startswith("@") else data
        return json.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--data {data}: {getattr(error, 'strerror', None) or error}") from error
    except ValueError as error:
        raise UsageError(f"--data is not JSON: {error}", remedy="""as in --data '{"data": [[0.1, 0.2]]}'""") from error
