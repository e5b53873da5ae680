"""AKS: credentials from Azure (a double of it), by the official library, and the cluster's own sign-in replaced."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "azure"))
sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
sys.path.insert(0, str(Path(__file__).parents[1] / "registry"))

from azure_double import CLIENT, SECRET, SUBSCRIPTION, TENANT, AzureDouble, doubled

from pipeline.azure.aks import kubeconfig
from pipeline.azure.arm import Arm
from pipeline.azure.identity import identity_of
from pipeline.errors import PipelineError
from pipeline.kubernetes.client import connect
from pipeline.manifest.model import Azure, Secret

CONFIG = """\
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://c.example.com:443"}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
users:
- name: u
  user:
    exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: kubelogin, args: [get-token]}
"""


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[AzureDouble]:
    with doubled(tmp_path) as double:
        yield double


def arm(azure: AzureDouble) -> Arm:
    who = Azure(tenant=TENANT, client_id=CLIENT, client_secret=Secret(SECRET))
    return Arm(identity_of(who, "", azure.environ), azure.environ)


def answering(status: int, value: Any) -> Any:
    headers = {"Content-Type": "application/json"}
    return lambda exchange: exchange.reply(status, headers, json.dumps(value).encode())


def test_credentials_come_from_azure(azure: AzureDouble) -> None:
    kept = {"kubeconfigs": [{"name": "clusterUser", "value": base64.b64encode(CONFIG.encode()).decode()}]}
    azure.faults["POST", "listClusterUserCredential"] = [answering(200, kept)]
    found = kubeconfig(arm(azure), SUBSCRIPTION, "ml", "prod")
    assert found.reveal() == CONFIG
    path = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/ml/providers/Microsoft.ContainerService/managedClusters/prod"
    assert f"POST {path}/listClusterUserCredential" in azure.asked
    assert "kubelogin" not in str(found)


def test_a_cluster_that_is_not_there(azure: AzureDouble) -> None:
    error = {"error": {"code": "ResourceNotFound", "message": "The Resource 'prod' was not found."}}
    azure.faults["POST", "listClusterUserCredential"] = [answering(404, error)]
    with pytest.raises(PipelineError, match=r"the AKS cluster prod: .*not found"):
        kubeconfig(arm(azure), SUBSCRIPTION, "ml", "prod")


def test_the_token_stands_for_the_program_that_the_kubeconfig_names() -> None:
    asked: list[str] = []

    def token() -> Secret:
        asked.append("token")
        return Secret("entra-token")

    cluster = connect({}, namespace="ml", config=lambda: Secret(CONFIG), token=token)
    assert cluster.address == "https://c.example.com:443"
    assert asked == ["token"]


def test_a_token_that_expires_is_asked_for_again() -> None:
    asked: list[str] = []

    def config() -> Secret:
        asked.append("config")
        return Secret(CONFIG)

    def token() -> Secret:
        asked.append("token")
        return Secret(f"entra-token-{len(asked)}")

    cluster = connect({}, namespace="ml", config=config, token=token)
    assert cluster._again is not None
    login = cluster._again()
    assert asked == ["config", "token"] * 2
    assert login.api.configuration.api_key["BearerToken"] == "Bearer entra-token-4"
