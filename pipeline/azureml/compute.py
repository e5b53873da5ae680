"""`AksCompute` and `ComputeTarget` as the SDK has them: clusters that the workspace knows by a name.

They are in `.pipeline/azureml/WORKSPACE/compute.json`, for the target `aks` to read: {NAME: {"subscription_id",
"resource_group", "cluster_name", "context", "cluster_purpose"}}, each left out where it is not known. A service's
manifest lies two folders below, in `services/SERVICE/`, and has the name as `compute_target`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pipeline.azureml import _versions
from pipeline.azureml.exceptions import ComputeTargetException

if TYPE_CHECKING:
    from pipeline.azureml.workspace import Workspace

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,15}")
_RESOURCE = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    r"/providers/Microsoft\.ContainerService/managedClusters/(?P<cluster>[^/]+)/?",
    re.IGNORECASE,
)
"""The resource id of a cluster of Azure Kubernetes Service."""


class AksAttachConfiguration:
    """Which cluster is meant: by its resource group and name, by its resource id, or by a context of a kubeconfig."""

    def __init__(
        self,
        resource_group: str | None = None,
        cluster_name: str | None = None,
        resource_id: str | None = None,
        cluster_purpose: str | None = None,
        context: str | None = None,
        subscription_id: str | None = None,
        **_azure: object,
    ) -> None:
        if resource_id and not _RESOURCE.fullmatch(resource_id):
            remedy = "…/resourceGroups/GROUP/providers/Microsoft.ContainerService/managedClusters/CLUSTER"
            raise ComputeTargetException(f"{resource_id} is no resource id of an AKS cluster", remedy=remedy)
        found = _RESOURCE.fullmatch(resource_id or "")
        self.subscription_id = found["subscription"] if found else subscription_id
        self.resource_group = found["group"] if found else resource_group
        self.cluster_name = found["cluster"] if found else cluster_name
        self.cluster_purpose, self.context = cluster_purpose, context
        if not (context or (self.resource_group and self.cluster_name)):
            remedy = "give resource_group and cluster_name, resource_id, or the context of a kubeconfig"
            raise ComputeTargetException("it is not said which cluster to attach", remedy=remedy)

    def to_json(self) -> dict[str, Any]:
        names = ("subscription_id", "resource_group", "cluster_name", "cluster_purpose", "context")
        return {name: getattr(self, name) for name in names if getattr(self, name)}


class ComputeTarget:
    """A cluster by its name. Raises ComputeTargetException where the workspace knows none of that name."""

    type = "AKS"

    def __init__(self, workspace: Workspace, name: str) -> None:
        found = _known(workspace).get(name)
        if found is None:
            there = ", ".join(sorted(_known(workspace))) or "none"
            remedy = f"attached are: {there}; attach it with ComputeTarget.attach, or 'pipeline azureml computetarget'"
            message = f"ComputeTargetNotFound: the workspace has no compute target {name}"
            raise ComputeTargetException(message, remedy=remedy)
        self.workspace, self.name = workspace, name
        self.cluster: dict[str, Any] = dict(found)

    @property
    def provisioning_state(self) -> str:
        return "Succeeded"

    @staticmethod
    def attach(workspace: Workspace, name: str, attach_configuration: AksAttachConfiguration) -> AksCompute:
        """Gives a cluster a name in the workspace. Nothing is asked of the cluster."""
        if not _NAME.fullmatch(name):
            remedy = "2 to 16 letters, digits and '-', a letter first"
            raise ComputeTargetException(f"{name!r} is no name for a compute target", remedy=remedy)
        _keep(workspace, {**_known(workspace), name: attach_configuration.to_json()})
        return AksCompute(workspace, name)

    @staticmethod
    def list(workspace: Workspace) -> list[ComputeTarget]:
        return [AksCompute(workspace, name) for name in sorted(_known(workspace))]

    def detach(self) -> None:
        """Forgets the name; the cluster stays as it is."""
        _keep(self.workspace, {name: each for name, each in _known(self.workspace).items() if name != self.name})

    def delete(self) -> None:
        """Forgets the name: clusters are not deleted from here."""
        self.detach()

    def wait_for_completion(self, show_output: bool = False, **_azure: object) -> None:
        if show_output:
            print("Succeeded")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(workspace={self.workspace!r}, name={self.name!r}, type={self.type!r})"


class AksCompute(ComputeTarget):
    """A cluster of Azure Kubernetes Service, or any other that a kubeconfig knows."""

    class ClusterPurpose:
        FAST_PROD = "FastProd"
        DEV_TEST = "DevTest"

    @staticmethod
    def attach_configuration(
        resource_group: str | None = None,
        cluster_name: str | None = None,
        resource_id: str | None = None,
        cluster_purpose: str | None = None,
        **more: Any,
    ) -> AksAttachConfiguration:
        return AksAttachConfiguration(resource_group, cluster_name, resource_id, cluster_purpose, **more)


def _known(workspace: Workspace) -> dict[str, Any]:
    return _versions.read_json(workspace.contents.path / "compute.json") or {}


def _keep(workspace: Workspace, known: dict[str, Any]) -> None:
    _versions.write_json(workspace.contents.path / "compute.json", known, workspace.contents.scratch)
