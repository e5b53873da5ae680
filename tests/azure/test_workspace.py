"""Which registry is meant: a workspace's, by its ARM id, or one by its name in the subscriptions that one sees."""

from __future__ import annotations

from pathlib import Path

import pytest
from acr_issuer import Issuer
from azure_double import CLIENT, REGISTRY, SECRET, SUBSCRIPTION, TENANT, WORKSPACE, AzureDouble, refuse, reply
from registry_server import RealRegistry
from remote_project import MANIFEST_TEXT, RemoteProject

from pipeline.azure import registries
from pipeline.azure.arm import Arm
from pipeline.azure.identity import identity_of
from pipeline.azure.resource import WORKSPACE as WORKSPACES
from pipeline.azure.resource import parse
from pipeline.errors import OutOfReach, ResolveError, UsageError
from pipeline.manifest.model import Azure, Secret


def arm_of(azure: AzureDouble, secret: str = SECRET) -> Arm:
    settings = Azure(tenant=TENANT, client_id=CLIENT, client_secret=Secret(secret))
    return Arm(identity_of(settings, "", azure.environ), azure.environ)


@pytest.fixture
def arm(azure: AzureDouble) -> Arm:
    azure.resources[WORKSPACE] = {"containerRegistry": REGISTRY}
    azure.resources[REGISTRY] = {"loginServer": "prod.azurecr.io"}
    return arm_of(azure)


def test_row_07_a_workspace_has_no_registry_before_the_first_training(arm: Arm, azure: AzureDouble) -> None:
    azure.resources[WORKSPACE] = {"containerRegistry": None}
    with pytest.raises(ResolveError) as caught:
        registries.of_workspace(arm, WORKSPACE)
    assert "the workspace ws has no container registry yet" in str(caught.value)
    assert "the first training or deployment" in str(caught.value)


def test_row_17_a_workspace_is_asked_for_its_registry(arm: Arm) -> None:
    found = registries.of_workspace(arm, WORKSPACE)
    assert (str(found.id), found.host) == (REGISTRY, "prod.azurecr.io")


def test_who_may_not_read_the_registry_goes_by_its_usual_host(arm: Arm, azure: AzureDouble) -> None:
    words = "The client does not have authorization to perform action 'read'"
    azure.faults["GET", "/registries/prod"] = [lambda one: refuse(one, 403, "AuthorizationFailed", words)]
    assert registries.of_workspace(arm, WORKSPACE).host == "prod.azurecr.io"
    azure.faults["GET", "/workspaces/ws"] = [lambda one: refuse(one, 403, "AuthorizationFailed", words)]
    with pytest.raises(OutOfReach, match=rf"the workspace ws: {words}.*\(403, AuthorizationFailed\), for the service"):
        registries.of_workspace(arm, WORKSPACE)


def test_row_18_the_subscription_is_looked_for(arm: Arm) -> None:
    assert str(registries.by_host(arm, "prod.azurecr.io").id) == REGISTRY
    assert str(registries.by_host(arm, "prod.azurecr.io", SUBSCRIPTION).id) == REGISTRY
    with pytest.raises(ResolveError, match=r"prd.azurecr.io is not among the registries of 1 subscriptions.*prod"):
        registries.by_host(arm, "prd.azurecr.io")


def test_row_18_a_subscription_and_a_group_that_are_named_are_not_looked_for(arm: Arm, azure: AzureDouble) -> None:
    assert str(registries.by_host(arm, "prod.azurecr.io", SUBSCRIPTION, "ml").id) == REGISTRY
    assert not azure.asked


def test_nobody_sees_a_subscription(arm: Arm, azure: AzureDouble) -> None:
    azure.faults["GET", "/subscriptions"] = [lambda one: reply(one, 200, {"value": []})]
    with pytest.raises(ResolveError, match=r"the service principal .* sees no enabled subscription"):
        registries.by_host(arm, "prod.azurecr.io")


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("ws", "it does not begin with /"),
        (f"https://ml.azure.com{WORKSPACE}", "it is an address, and not a path"),
        (WORKSPACE.replace("subscriptions", "subscription"), "'subscription' stands where 'subscriptions' is wanted"),
        (f"/subscriptions/{SUBSCRIPTION}/resourceGroups", "it ends where 'providers' is wanted"),
        (WORKSPACE.rpartition("/")[0], "it has 7 parts, not 8"),
        (
            WORKSPACE.replace("workspaces", "registries"),
            "it is of the type Microsoft.MachineLearningServices/registries",
        ),
        (WORKSPACE.replace(SUBSCRIPTION, "mine"), "the subscription 'mine' is no GUID"),
        (WORKSPACE.replace("/ml/", "/m*l/"), "'m*l' is no name of a resource group"),
        (f"{WORKSPACE}!", "'ws!' is no name of a machine-learning workspace"),
    ],
)
def test_row_17_a_malformed_id_is_refused_with_what_is_wrong(text: str, fact: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text, WORKSPACES)
    assert fact in str(caught.value)
    assert "/workspaces/NAME" in str(caught.value)


def test_an_id_is_read_in_any_case() -> None:
    assert parse(WORKSPACE.replace("resourceGroups", "resourcegroups") + "/", WORKSPACES).group == "ml"


def test_throttling_and_a_manager_that_is_down_may_pass(arm: Arm, azure: AzureDouble) -> None:
    azure.faults["GET", "/workspaces/ws"] = [
        lambda one: refuse(one, 429, "TooManyRequests", "slow down", Retry_After="7"),
        lambda one: one.cut(),
        lambda one: one.reply(200, {}, b"<html>"),
    ]
    with pytest.raises(OutOfReach, match="slow down") as caught:
        registries.of_workspace(arm, WORKSPACE)
    assert (caught.value.transient, caught.value.retry_after) == (True, 7.0)
    for _ in range(2):
        with pytest.raises(OutOfReach) as caught:
            registries.of_workspace(arm, WORKSPACE)
        assert caught.value.transient
    assert registries.of_workspace(arm, WORKSPACE).host == "prod.azurecr.io"


def test_a_wrong_secret_says_the_services_words(azure: AzureDouble) -> None:
    with pytest.raises(OutOfReach) as caught:
        registries.of_workspace(arm_of(azure, "wr0ng"), WORKSPACE)
    assert "AADSTS7000215" in str(caught.value)
    assert "wr0ng" not in str(caught.value)


# -- a manifest that names a workspace --------------------------------------------------------------------------------

BY_WORKSPACE = MANIFEST_TEXT.replace('address: "{address}/ml", ', "").replace(
    "azure: {{", f"azure: {{{{workspace: {WORKSPACE}, "
)


@pytest.fixture
def remote(tmp_path: Path, registry: RealRegistry, issuer: Issuer, azure: AzureDouble) -> RemoteProject:
    made = RemoteProject(tmp_path, registry, issuer, azure)
    made.manifest("path: Dockerfile", text=BY_WORKSPACE)
    azure.resources[WORKSPACE] = {"containerRegistry": REGISTRY}
    return made


def test_row_06_a_manifest_names_the_workspace_alone(remote: RemoteProject) -> None:
    """Its registry builds the base and takes the image; the address is asked for once."""
    code, out, err = remote("run")
    assert code == 0, err
    assert f"{remote.registry.address}/app" in out
    assert remote.requests[0]["imageNames"][0].startswith("bases/remote:")
    remote.azure.asked.clear()
    assert remote("run")[0] == 0
    assert not [line for line in remote.azure.asked if "/subscriptions" in line]


def test_row_07_a_run_says_that_the_workspace_has_no_registry_yet(remote: RemoteProject) -> None:
    remote.azure.resources[WORKSPACE] = {"containerRegistry": None}
    code, out, err = remote("run")
    assert code == 3
    assert "the workspace ws has no container registry yet" in err
    assert "pipeline.yaml:4:" in err
    assert "Traceback" not in out + err
