"""`pipeline serve`: watches repositories, clocks and services, and does what follows from them."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli._app import command as command_
from pipeline.cli._shell import Shell
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.serve.settings import Settings

EXAMPLES = """
pipeline serve serve.yaml --check        what is wrong with the settings, and what would be watched
pipeline serve serve.yaml
pipeline serve --port 0                  serve.yaml of this folder, at a free port
"""
ARGUMENTS = """
CONFIG: the server's settings; default: serve.yaml
"""


@command_(arguments=ARGUMENTS, examples=EXAMPLES)
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.option("--port", type=click.IntRange(0, 65535), help="Listen at this port instead; 0 takes a free one.")
@click.option("--check", is_flag=True, help="Only check the settings, and say what would be watched.")
@click.pass_obj
def command(shell: Shell, config: Path | None, port: int | None, check: bool) -> None:
    """Watch repositories, clocks and services, and do what follows.

    A server with a dashboard. What it does is what the other commands do. It ends on SIGTERM and Ctrl-C; what it was
    at goes on after the next start.
    """
    from pipeline.serve.web.tls import check as check_certificate

    settings = read_settings(shell, config)
    if port is not None:
        settings = replace(settings, port=port)
    check_certificate(settings.access)
    if check:
        tell(shell, settings)
        return
    serve(shell, settings)


def tell(shell: Shell, settings: Settings) -> None:
    """What would be watched. Raises UsageError for a path where nothing is: a server would wait for it to come."""
    from pipeline.serve.addresses import absent
    from pipeline.serve.settings import watched

    for line in watched(settings):
        shell.line(line)
    found = {one.name: absent(one.url, settings.path.parent) for one in settings.repositories.values()}
    if flaws := {name: flaw for name, flaw in found.items() if flaw}:
        facts = "\n".join(f"repository '{name}': {fact}" for name, (fact, _) in flaws.items())
        raise UsageError(facts, remedy="\n  ".join(dict.fromkeys(remedy for _, remedy in flaws.values())))


def read_settings(shell: Shell, config: Path | None) -> Settings:
    """Those of a file, or of serve.yaml. Raises ManifestError, UsageError."""
    from pipeline.serve.reading import NAME, read

    path = config or Path(NAME)
    if config is None and not path.is_file():
        raise UsageError(f"there is no {NAME} here", remedy="name the server's settings: pipeline serve CONFIG")
    settings = read(path, shell.environ)
    shell.masks.add(settings.secrets)
    return settings


def serve(shell: Shell, settings: Settings) -> None:
    """Until it is told to end."""
    try:
        from pipeline.serve.server import Server
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("pipeline"):
            raise
        fact = f"the server needs libraries that are not installed ({error.name})"
        raise UsageError(fact, remedy="pip install 'pipeline-images[serve]'") from error
    Server(settings, shell.environ, lambda line: _say(shell, line), time.time).run()


def _say(shell: Shell, line: str) -> None:
    shell.line(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}  {line}")


__all__ = ["command", "read_settings", "serve"]
