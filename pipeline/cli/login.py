"""`pipeline login`: checks a name and a password with a registry, and keeps them as `docker login` does."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import output_option
from pipeline.cli._registry import registries, registry_options
from pipeline.cli._shell import Shell
from pipeline.errors import UsageError

EXAMPLES = """
pipeline login registry.example.com -u bob
echo "$TOKEN" | pipeline login ghcr.io -u bob --password-stdin
"""


@command_(arguments="REGISTRY: its host, with the port where it has one", examples=EXAMPLES)
@click.argument("registry")
@click.option("-u", "--username", default="", help="Who signs in; asked for when left out.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@registry_options
@output_option
@click.pass_obj
def command(shell: Shell, registry: str, username: str, password_stdin: bool, ca: Path | None, insecure: bool) -> None:
    """Sign in to a registry.

    The password is kept in ~/.docker/config.json, or by the credential helper that it names, for
    Docker and other tools as well.
    """
    from pipeline.manifest.model import Secret
    from pipeline.reference import below
    from pipeline.registry.client import Request
    from pipeline.registry.credentials import Credential, save

    host = below(registry, "any").registry
    name, password = _asked(username, password_stdin)
    shell.masks.add([Secret(password)])
    given = Credential(host, "this command", name, Secret(password))
    client = registries(shell, [host], ca, insecure, [given]).client(host)
    client.call(Request("GET", "/v2/", host))
    kept = save(given, shell.environ)
    if shell.json:
        shell.value({"registry": host, "username": name, "kept": kept})
    else:
        shell.line(f"signed in to {host} as {name}; kept in {kept}")


def _asked(username: str, from_stdin: bool) -> tuple[str, str]:
    """The name and the password: from standard input, or from whoever sits at the terminal."""
    stdin = sys.stdin
    if from_stdin:
        if not username:
            raise UsageError("--password-stdin needs --username", remedy="name who signs in with -u")
        password = stdin.read().removesuffix("\n").removesuffix("\r")
    elif not stdin.isatty():
        raise UsageError("there is no terminal to ask for the password", remedy="give it by --password-stdin")
    else:
        username = username or click.prompt("Username", err=True)
        password = click.prompt("Password", hide_input=True, err=True)
    if not password:
        raise UsageError("the password is empty", remedy="check what is written to standard input")
    return username, password
