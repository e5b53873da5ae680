"""Builds by a registry of Azure: what it is sent, what is shown, and that a build is scheduled once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from acr_issuer import Issuer
from azure_double import AzureDouble, refuse
from registry_doubles import Exchange
from registry_server import RealRegistry
from remote_project import MANIFEST_TEXT, RemoteProject

MANIFEST_WITH_OTHER = MANIFEST_TEXT.replace(
    "registries:\n", "registries:\n  other: {{address: OTHER, username: pusher, password: '${{env:PULLER}}'}}\n"
)


@pytest.fixture
def remote(tmp_path: Path, registry: RealRegistry, issuer: Issuer, azure: AzureDouble) -> RemoteProject:
    return RemoteProject(tmp_path, registry, issuer, azure)


def schedules(remote: RemoteProject) -> int:
    return sum(line.endswith("/scheduleRun") for line in remote.azure.asked)


def test_row_24_a_remote_build_uploads_schedules_polls_and_streams(remote: RemoteProject) -> None:
    code, out, err = remote("run")
    assert code == 0, out + err
    (request,) = remote.requests
    assert request["type"] == "DockerBuildRequest"
    assert request["isPushEnabled"] is True
    assert request["platform"] == {"os": "Linux", "architecture": "amd64"}
    assert request["arguments"] == [{"name": "VERSION", "value": "7", "isSecret": False}]
    assert request["timeout"] == 3600
    assert request["imageNames"][0].startswith("ml/bases/remote:")
    assert request["dockerFilePath"].endswith("_Dockerfile")
    (files,) = remote.contexts
    assert f"\nFROM {remote.registry.address}/ml/parent@sha256:".encode() in files[request["dockerFilePath"]]
    assert files["data.txt"] == b"data\n"
    assert not {name for name in files if name.startswith(".git/")} | ({"ignored.txt", ".dockerignore"} & set(files))
    assert "Step 2/4 : ARG VERSION" in out + err
    assert not remote.azure.wrong


def test_row_26_the_log_ends_with_the_run_and_how_long_it_took(remote: RemoteProject) -> None:
    code, out, err = remote("run")
    assert code == 0
    lines = [line.strip() for line in (out + err).splitlines()]
    assert any("Run ID: ca1 was successful after 2m56s" in line for line in lines)
    assert sum("Downloading source code" in line for line in lines) == 1


def test_the_digest_is_locked_and_nothing_is_built_again(remote: RemoteProject) -> None:
    """Another machine with the same lock takes the same image, though the tag has moved; a rerun asks for nothing."""
    assert remote("run")[0] == 0
    lock = json.loads((remote.folder / "pipeline.lock").read_text())
    (entry,) = [one for name, one in lock["entries"].items() if "heavy" in name]
    assert entry["locked"]["built"].startswith("sha256:")
    remote.azure.asked.clear()
    code, out, _ = remote("run")
    assert code == 0
    assert not [line for line in remote.azure.asked if "/subscriptions" in line]
    assert "nothing to do" in out
    elsewhere = {"PIPELINE_HOME": str(remote.folder.parent / "elsewhere")}
    assert remote("run", "--frozen", environ=elsewhere)[0] == 0
    assert schedules(remote) == 0


def test_another_machine_without_a_lock_finds_what_was_built(remote: RemoteProject) -> None:
    assert remote("run")[0] == 0
    (remote.folder / "pipeline.lock").unlink()
    elsewhere = {"PIPELINE_HOME": str(remote.folder.parent / "elsewhere")}
    assert remote("run", environ=elsewhere)[0] == 0
    assert schedules(remote) == 1


def test_a_changed_file_is_built_again(remote: RemoteProject) -> None:
    assert remote("run")[0] == 0
    remote.write("data.txt", "other\n")
    assert remote("run")[0] == 0
    assert [files["data.txt"] for files in remote.contexts] == [b"data\n", b"other\n"]


def test_an_image_that_the_registry_lost_is_built_again(remote: RemoteProject) -> None:
    assert remote("run")[0] == 0
    (repository,) = {request["imageNames"][0].partition(":")[0] for request in remote.requests}
    import shutil

    shutil.rmtree(remote.registry.folder / "docker/registry/v2/repositories" / repository / "_manifests")
    elsewhere = {"PIPELINE_HOME": str(remote.folder.parent / "elsewhere")}
    code, out, err = remote("run", environ=elsewhere)
    assert code == 0
    assert "which the lock names, is gone: it is built again" in out + err
    assert schedules(remote) == 2


def test_a_run_that_was_killed_is_taken_up_and_not_scheduled_twice(remote: RemoteProject) -> None:
    """As a kill leaves it: the run is scheduled, and nobody follows it."""
    fault = ("GET", "/runs/ca1")
    remote.azure.faults[fault] = [lambda exchange: refuse(exchange, 500, "InternalError", "down")] * 3
    code, _, err = remote("run")
    assert code == 4
    assert "Run ID: ca1 goes on meanwhile, and is taken up" in err
    code, out, err = remote("run")
    assert code == 0, err
    assert "Run ID: ca1 of prod is taken up" in out + err
    assert schedules(remote) == 1
    assert len(remote.contexts) == 1


def test_a_process_that_is_killed_while_it_follows_leaves_one_build(remote: RemoteProject) -> None:
    command = [sys.executable, "-m", "pipeline", "run", str(remote.folder / "pipeline.yaml")]
    started = threading.Event()
    running: list[subprocess.Popen[bytes]] = []

    def kill(exchange: Exchange) -> None:
        started.wait(20)
        running[0].kill()
        exchange.cut()

    remote.azure.faults["GET", "/runs/ca1"] = [kill]
    running.append(subprocess.Popen(command, env=remote.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    started.set()
    assert running[0].wait() == -signal.SIGKILL
    code, out, err = remote("run")
    assert code == 0, err
    assert "Run ID: ca1 of prod is taken up" in out + err
    assert (schedules(remote), len(remote.contexts)) == (1, 1)


def test_polls_that_fail_in_between_and_throttling_are_waited_for(remote: RemoteProject) -> None:
    remote.azure.faults = {
        ("GET", "/runs/ca1"): [
            lambda exchange: refuse(exchange, 503, "ServerBusy", "busy"),
            lambda exchange: exchange.cut(),
        ],
        ("POST", "/scheduleRun"): [lambda exchange: refuse(exchange, 429, "TooManyRequests", "slow", Retry_After="0")],
        ("PUT", "/blobs/"): [lambda exchange: exchange.reply(503, {})],
        ("HEAD", "/blobs/log"): [lambda exchange: exchange.reply(500, {}), lambda exchange: exchange.reply(403, {})],
    }
    code, out, err = remote("run")
    assert code == 0, err
    assert "slow (429, TooManyRequests)" in err
    assert "Step 2/4 : ARG VERSION" in out + err


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("Failed", "failed after 2m56s: failed to run step ID: build: exit status 1"),
        ("Timeout", "did not end within 1h0m0s\n  give it a longer `build.remote.timeout`"),
        ("Canceled", "was canceled"),
    ],
)
def test_a_build_that_fails_shows_the_end_of_its_log(remote: RemoteProject, status: str, words: str) -> None:
    remote.statuses = ["Running", status]
    code, out, err = remote("run")
    assert code == 3
    assert words in err, err
    assert "Successfully built" in err
    assert "Traceback" not in out + err
    # Corrected, it is scheduled anew.
    remote.statuses = ["Succeeded"]
    assert remote("run")[0] == 0
    assert schedules(remote) == 2


def test_a_quota_refusal_is_told_in_azures_words(remote: RemoteProject) -> None:
    refusal = "The SKU Basic does not allow agent pools; quota exceeded."
    remote.azure.faults[("POST", "/scheduleRun")] = [lambda exchange: refuse(exchange, 400, "QuotaExceeded", refusal)]
    code, _, err = remote("run")
    assert code == 4
    assert f"{refusal} (400, QuotaExceeded)" in err
    assert "ask for a higher quota" in err


@pytest.mark.parametrize(
    ("code", "says", "remedy"),
    [
        ("TasksOperationsNotAllowed", "ACR Tasks requests for the registry prod are not permitted.", "build here"),
        ("QuotaExceeded", "The quota of agent pools is used up.", "ask for a higher quota"),
        ("RequestDisallowedByPolicy", "Resource 'prod' was disallowed by policy.", "its policy"),
        ("AuthorizationFailed", "The client does not have authorization to perform action 'x/action'.", "the role"),
    ],
)
def test_only_a_missing_role_is_asked_for_as_one(remote: RemoteProject, code: str, says: str, remedy: str) -> None:
    remote.azure.faults[("POST", "/scheduleRun")] = [lambda exchange: refuse(exchange, 403, code, says)]
    ended, _, err = remote("run")
    assert ended == 4
    assert f"{says} (403, {code})" in err
    assert remedy in err and ("the role" in err) == (remedy == "the role")


def test_a_registry_that_does_not_tell_the_digest_is_asked_for_it(remote: RemoteProject) -> None:
    remote.tells_digest = False
    assert remote("run")[0] == 0


def test_secrets_go_as_secret_arguments_and_only_where_no_history_shows_them(remote: RemoteProject) -> None:
    settings = "path: Dockerfile, secrets: {NPM_TOKEN: '${env:NPM_TOKEN}'}"
    remote.manifest(settings)
    rest = "ARG NPM_TOKEN\nRUN get\nFROM scratch\nCOPY --from=get /a /a\nCOPY data.txt /\n"
    remote.write("Dockerfile", remote.dockerfile(rest, "get"))
    given = {"NPM_TOKEN": "npm-s3cret"}
    code, out, err = remote("run", environ=given)
    assert code == 0, err
    assert remote.requests[0]["arguments"] == [{"name": "NPM_TOKEN", "value": "npm-s3cret", "isSecret": True}]
    assert "npm-s3cret" not in out + err + (remote.folder / "pipeline.lock").read_text()
    remote.write("Dockerfile", remote.dockerfile("ARG NPM_TOKEN\nRUN get\n"))
    code, _, err = remote("run", environ=given)
    assert code == 2
    assert "the history of the image would show NPM_TOKEN" in err
    remote.write("Dockerfile", remote.dockerfile("RUN --mount=type=secret,id=NPM_TOKEN get\n"))
    code, _, err = remote("run", environ=given)
    assert code == 2
    assert "needs BuildKit" in err


def test_other_registries_get_their_own_credentials(remote: RemoteProject) -> None:
    """`localhost` is another registry to everybody, and the same to this machine."""
    other = remote.registry.address.replace("127.0.0.1", "localhost")
    remote.manifest(
        "path: Dockerfile",
        text=MANIFEST_WITH_OTHER.replace("OTHER", other),
    )
    remote.write("Dockerfile", f"# {remote.folder}\nFROM {other}/ml/parent:1\nCOPY data.txt /\n")
    code, out, err = remote("run", environ={"PULLER": "s3cret-of-pusher"})
    assert code == 0, err
    secret = {"value": "s3cret-of-pusher", "type": "Opaque"}
    user = {"value": "pusher", "type": "Opaque"}
    assert remote.requests[0]["credentials"] == {"customRegistries": {other: {"userName": user, "password": secret}}}
    assert "s3cret" not in out + err


def test_a_registry_that_is_not_azures_cannot_build(remote: RemoteProject) -> None:
    text = (remote.folder / "pipeline.yaml").read_text()
    start, end = text.index("azure:"), text.index("}}\n") + 1
    other = "username: pusher, password: '${env:PULLER}'"
    (remote.folder / "pipeline.yaml").write_text(text[:start] + other + text[end:])
    code, _, err = remote("run", environ={"PULLER": "s3cret-of-pusher"})
    assert code == 2
    assert "is no registry of Azure, and cannot build" in err


def test_commands_are_not_run_there(remote: RemoteProject) -> None:
    text = (remote.folder / "pipeline.yaml").read_text()
    text = text.replace("layers:\n", "layers:\n  more: {run: {commands: [make]}}\n").replace("[code]", "[code, more]")
    (remote.folder / "pipeline.yaml").write_text(text)
    code, _, err = remote("run")
    assert code == 2
    assert "`engine: acr`, which builds Dockerfiles and runs nothing else" in err
