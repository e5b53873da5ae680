"""AKS: a cluster's kubeconfig, for whoever is signed in to Azure."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.azure.arm import Arm
from pipeline.azure.extra import extra
from pipeline.azure.identity import identity_of
from pipeline.errors import OutOfReach
from pipeline.manifest.model import Azure, Secret

AUDIENCE = "6dae42f8-4368-4678-94ff-3960e28e3630/.default"
"""The scope of tokens for every AKS cluster that trusts Entra (learn.microsoft.com, "kubelogin in AKS")."""


def arm_of(subscription: str, environ: Mapping[str, str]) -> Arm:
    """Azure's manager for whoever azure-identity finds, or `az login`, or a managed identity."""
    return Arm(identity_of(Azure(subscription=subscription), "", environ), environ)


def kubeconfig(arm: Arm, subscription: str, group: str, cluster: str, *, admin: bool = False) -> Secret:
    """The text of a kubeconfig, which holds credentials. OutOfReach and ResolveError with Azure's own words."""
    what = f"the AKS cluster {cluster}"
    with extra(what):
        from azure.mgmt.containerservice import ContainerServiceClient
    with arm.spoken(what):
        client = ContainerServiceClient(arm.identity.credential, subscription, **arm.options)
        clusters = client.managed_clusters
        ask = clusters.list_cluster_admin_credentials if admin else clusters.list_cluster_user_credentials
        found = ask(group, cluster, **arm.each).kubeconfigs or []
    if not found or not found[0].value:
        raise OutOfReach(f"{what}: Azure gives no credentials", remedy="check that it runs, and your role on it")
    return Secret(bytes(found[0].value).decode())


def token(arm: Arm) -> Secret:
    """An access token for clusters that trust Entra, in place of the program that their kubeconfig names."""
    return arm.identity.token(AUDIENCE)
