"""Which service a command is about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pipeline.cli._shell import Shell
from pipeline.cli.azureml._common import workspace_of
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.azureml.webservice import Webservice

SERVICE_HELP = "NAME: the service"

F = TypeVar("F", bound=Callable[..., Any])


def service_options(function: F) -> F:
    """The service: as an argument, or by --name."""
    function = click.option("-n", "--name", metavar="NAME", help="The same.")(function)
    return click.argument("service", metavar="[NAME]", required=False)(function)


def service_of(
    shell: Shell, service: str | None, name: str | None, workspace: str | None, folder: Path | None
) -> Webservice:
    """The service that is meant. UsageError for none, WebserviceException where there is none of this name."""
    from pipeline.azureml.webservice import Webservice

    wanted = service or name
    if not wanted or (service and name and service != name):
        raise UsageError("which service?", remedy="name one: 'pipeline azureml service list' shows all")
    return Webservice(workspace_of(shell, workspace, folder), wanted)
