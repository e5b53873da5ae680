"""`pipeline login --azure`, and each way to be somebody: azure-identity itself, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from acr_issuer import ZEROS, Issuer
from azure_double import CLIENT, REGISTRY, SECRET, TENANT, WORKSPACE, AzureDouble
from registry_doubles import Exchange, served
from registry_server import RealRegistry
from remote_project import EntraOf, RemoteProject

from pipeline.azure.identity import identity_of
from pipeline.errors import OutOfReach
from pipeline.manifest.model import Azure, Secret

PRINCIPAL = {"AZURE_TENANT_ID": TENANT, "AZURE_CLIENT_ID": CLIENT, "AZURE_CLIENT_SECRET": SECRET}


class Machine:
    """A user's machine: a home, a PATH, and what the environment says of Azure."""

    def __init__(self, folder: Path, azure: AzureDouble) -> None:
        self.folder = folder
        keep = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        self.environ = {**keep, **azure.environ, "PIPELINE_HOME": str(folder / "home"), "HOME": str(folder)}

    def __call__(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pipeline", *words]
        return subprocess.run(command, env={**self.environ, **environ}, capture_output=True, text=True, check=False)

    def docker_config(self) -> dict[str, dict[str, dict[str, str]]]:
        found: dict[str, dict[str, dict[str, str]]] = json.loads((self.folder / ".docker/config.json").read_text())
        return found


@pytest.fixture
def machine(tmp_path: Path, azure: AzureDouble, issuer: Issuer) -> Machine:
    issuer.entra = EntraOf(azure)
    return Machine(tmp_path, azure)


def test_row_23_an_identity_token_is_kept_as_az_acr_login_keeps_it(
    machine: Machine, registry: RealRegistry, issuer: Issuer
) -> None:
    done = machine("login", registry.address, "--azure", **PRINCIPAL)
    assert done.returncode == 0, done.stderr
    kept = machine.docker_config()["auths"][registry.address]
    (token,) = issuer.refresh
    assert kept == {"auth": "MDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAwOg==", "identitytoken": token}
    assert (machine.folder / ".docker/config.json").stat().st_mode & 0o077 == 0
    for secret in (token, SECRET, *machine_tokens(issuer)):
        assert secret not in done.stdout + done.stderr


def test_a_token_that_the_registry_replaces_when_it_is_tried_is_kept_as_the_newer_one(
    machine: Machine, registry: RealRegistry, issuer: Issuer
) -> None:
    issuer.rotates = True
    assert machine("login", registry.address, "--azure", **PRINCIPAL).returncode == 0
    (token,) = issuer.refresh
    assert machine.docker_config()["auths"][registry.address]["identitytoken"] == token


def machine_tokens(issuer: Issuer) -> set[str]:
    assert isinstance(issuer.entra, EntraOf)
    return issuer.entra.tokens


def test_what_was_kept_is_used_without_azure(machine: Machine, registry: RealRegistry, issuer: Issuer) -> None:
    assert machine("login", registry.address, "--azure", **PRINCIPAL).returncode == 0
    issuer.asked.clear()
    done = machine("pull", f"{registry.address}/nothing:here")
    assert "there is no image" in done.stderr or "nothing" in done.stderr
    assert {how for _, how, _ in issuer.asked} == {"refresh_token"}


def test_a_token_is_printed_only_where_it_is_asked_for(machine: Machine, registry: RealRegistry) -> None:
    done = machine("login", registry.address, "--expose-token", **PRINCIPAL)
    value = json.loads(done.stdout)
    assert (value["loginServer"], value["username"]) == (registry.address, ZEROS)
    assert value["accessToken"].startswith("refresh-")
    assert not (machine.folder / ".docker").exists()


def test_row_17_a_login_by_the_workspace(machine: Machine, registry: RealRegistry, azure: AzureDouble) -> None:
    azure.resources[WORKSPACE] = {"containerRegistry": REGISTRY}
    azure.resources[REGISTRY] = {"loginServer": registry.address}
    done = machine("login", WORKSPACE, **PRINCIPAL)
    assert done.returncode == 0, done.stderr
    assert f"signed in to {registry.address}" in done.stdout


def test_a_wrong_secret(machine: Machine, registry: RealRegistry) -> None:
    done = machine("login", registry.address, "--azure", **{**PRINCIPAL, "AZURE_CLIENT_SECRET": "wr0ng"})
    assert done.returncode == 4
    assert "AADSTS7000215: Invalid client secret provided." in done.stderr
    assert "wr0ng" not in done.stderr + done.stdout
    assert len(done.stderr.splitlines()) <= 3


def test_nobody_is_signed_in(machine: Machine, registry: RealRegistry) -> None:
    done = machine("login", registry.address, "--azure", AZURE_TOKEN_CREDENTIALS="AzureCliCredential", PATH="/usr/bin")
    assert done.returncode == 4
    assert "az login" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_name_and_azure_at_once(machine: Machine, registry: RealRegistry) -> None:
    done = machine("login", registry.address, "--azure", "-u", "me")
    assert done.returncode == 2
    assert "--azure needs no name" in done.stderr


def test_without_the_extra_the_error_says_how_to_get_it(machine: Machine, registry: RealRegistry) -> None:
    """An `azure` that has nothing in it stands before the one that is installed."""
    (machine.folder / "bare/azure").mkdir(parents=True)
    (machine.folder / "bare/azure/__init__.py").write_text("")
    done = machine("login", registry.address, "--azure", PYTHONPATH=str(machine.folder / "bare"))
    assert done.returncode == 2
    assert "pip install 'pipeline-images[azure]'" in done.stderr
    assert "Traceback" not in done.stderr


# -- a manifest that says who signs in -------------------------------------------------------------------------------


@pytest.fixture
def remote(tmp_path: Path, registry: RealRegistry, issuer: Issuer, azure: AzureDouble) -> RemoteProject:
    return RemoteProject(tmp_path, registry, issuer, azure)


def signing_in(remote: RemoteProject, machine: Machine, login: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The project's base is an image here, so that nothing but the registry is asked."""
    address, where = remote.registry.address, remote.folder / "pipeline.yaml"
    where.write_text(
        f"version: 1\nname: signs\nregistries: {{prod: {{address: {address}/ml, azure: {{login: {login}}}}}}}\n"
        "bases: {heavy: {image: {reference: 'parent:1', registry: prod}}}\n"
        "images: {app: {base: heavy, command: [/x], push: {to: prod}}}\n"
    )
    return machine("run", str(where), **environ)


def test_row_06_the_developers_own_login(remote: RemoteProject, machine: Machine, azure: AzureDouble) -> None:
    """`az` answers as Azure's own program does; nothing else of it is used."""
    programs = machine.folder / "programs"
    programs.mkdir()
    az = programs / "az"
    azure.tokens.add("of-az-for-containerregistry.azure.net")
    answer = '{"accessToken": "of-az-for-containerregistry.azure.net", "expires_on": 4102444800, "tokenType": "Bearer"}'
    az.write_text(f"#!/bin/sh\necho \"$@\" >> {programs}/asked\necho '{answer}'\n")
    az.chmod(0o755)
    done = signing_in(remote, machine, "cli", PATH=f"{programs}:{machine.environ['PATH']}")
    assert done.returncode == 0, done.stderr
    assert "--resource https://containerregistry.azure.net" in (programs / "asked").read_text()


def test_row_06_a_managed_identity(remote: RemoteProject, machine: Machine, azure: AzureDouble) -> None:
    """The machine's own metadata service gives the token (AZURE_POD_IDENTITY_AUTHORITY_HOST leads to it)."""
    asked = []

    def metadata(exchange: Exchange) -> None:
        url = urlsplit(exchange.path)
        asked.append((url.path, parse_qs(url.query).get("resource"), exchange.headers.get("Metadata")))
        token = {"access_token": "of-the-machine-for-containerregistry.azure.net", "token_type": "Bearer"}
        exchange.reply(200, {"Content-Type": "application/json"}, json.dumps({**token, "expires_in": "3600"}).encode())

    azure.tokens.add("of-the-machine-for-containerregistry.azure.net")
    with served(metadata) as address:
        done = signing_in(remote, machine, "managed", AZURE_POD_IDENTITY_AUTHORITY_HOST=f"http://{address}")
    assert done.returncode == 0, done.stderr
    assert asked == [("/metadata/identity/oauth2/token", ["https://containerregistry.azure.net"], "true")]


def test_a_script_of_the_sdk_gets_a_token_for_azures_resources(machine: Machine, azure: AzureDouble) -> None:
    script = f"""
from pipeline.azureml.authentication import ServicePrincipalAuthentication
who = ServicePrincipalAuthentication("{TENANT}", "{CLIENT}", "{SECRET}")
print(who.get_authentication_header()["Authorization"])
"""
    done = subprocess.run([sys.executable, "-c", script], env=machine.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    token = done.stdout.strip().removeprefix("Bearer ")
    assert token in azure.tokens and f"{azure.base}/.default" in token


@pytest.mark.parametrize("status", [503, 500, 429])
@pytest.mark.parametrize("body", [b"busy", b'{"error": "temporary", "error_description": "AADSTS90033: again"}'])
def test_a_sign_in_that_does_not_answer_is_no_refusal(azure: AzureDouble, status: int, body: bytes) -> None:
    answer = {"Content-Type": "application/json" if body.startswith(b"{") else "text/html"}
    azure.faults["POST", "/oauth2/v2.0/token"] = [lambda exchange: exchange.reply(status, answer, body)] * 9
    identity = identity_of(Azure(tenant=TENANT, client_id=CLIENT, client_secret=Secret(SECRET)), "", azure.environ)
    with pytest.raises(OutOfReach, match=r"^Azure does not answer: ") as caught:
        identity.token()
    assert caught.value.transient
