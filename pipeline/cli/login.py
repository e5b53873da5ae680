"""`pipeline login`: checks a name and a password with a registry, and keeps them as `docker login` does."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import output_option
from pipeline.cli._registry import registries, registry_options
from pipeline.cli._shell import Shell
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.azure.identity import Identity

EXAMPLES = """
pipeline login registry.example.com -u bob
echo "$TOKEN" | pipeline login ghcr.io -u bob --password-stdin
pipeline login prod.azurecr.io --azure          as `az acr login` does, with your own login
"""


@command_(
    arguments="REGISTRY: its host, with the port where it has one; or the ARM id of the workspace that it belongs to",
    examples=EXAMPLES,
)
@click.argument("registry")
@click.option("-u", "--username", default="", help="Who signs in; asked for when left out.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option(
    "--azure", is_flag=True, help="Sign in to a registry of Azure by Microsoft Entra, as azure-identity finds you."
)
@click.option("--tenant", default="", metavar="ID", help="With --azure: the directory to sign in to.")
@click.option("--expose-token", is_flag=True, help="With --azure: print the token as JSON, and keep nothing.")
@registry_options
@output_option
@click.pass_obj
def command(
    shell: Shell,
    registry: str,
    username: str,
    password_stdin: bool,
    azure: bool,
    tenant: str,
    expose_token: bool,
    ca: Path | None,
    insecure: bool,
) -> None:
    """Sign in to a registry.

    The password is kept in ~/.docker/config.json, or by the credential helper that it names, for
    Docker and other tools as well. With --azure a token is kept in its place, for three hours.
    """
    if azure or expose_token or tenant or registry.startswith("/"):
        if username or password_stdin:
            raise UsageError("--azure needs no name and no password", remedy="leave --azure out, or the others")
        _by_azure(shell, registry, tenant, expose_token, ca, insecure)
        return
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


def _by_azure(shell: Shell, registry: str, tenant: str, expose: bool, ca: Path | None, insecure: bool) -> None:
    from pipeline.azure.identity import identity_of
    from pipeline.manifest.model import Azure
    from pipeline.reference import below
    from pipeline.registry.client import Request
    from pipeline.registry.credentials import ACR_USER, Credential, save

    identity = identity_of(Azure(tenant=tenant), registry, shell.environ)
    host = _of_workspace(shell, registry, identity) if registry.startswith("/") else below(registry, "any").registry
    given = Credential(host, str(identity), ACR_USER, entra=identity.token, tenant=tenant)
    client = registries(shell, [host], ca, insecure, [given]).client(host)
    token = client.identity_token()
    if not token.reveal():
        raise UsageError(f"{host} gives no tokens to users of Azure", remedy="leave --azure out")
    client.call(Request("GET", "/v2/", host))
    # A registry may replace a token that is used.
    token = client.identity_token()
    if expose:
        text = token.reveal()
        shell.value({"loginServer": host, "username": ACR_USER, "accessToken": text, "refreshToken": text})
        return
    shell.masks.add([token])
    kept = save(Credential(host, "this command", ACR_USER, identity_token=token), shell.environ)
    if shell.json:
        shell.value({"registry": host, "username": ACR_USER, "kept": kept})
    else:
        shell.line(f"signed in to {host}; kept in {kept}")


def _of_workspace(shell: Shell, workspace: str, identity: Identity) -> str:
    from pipeline.azure.arm import Arm
    from pipeline.azure.registries import of_workspace

    return of_workspace(Arm(identity, shell.environ), workspace).host


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
