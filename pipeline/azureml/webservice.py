"""The kinds of `Webservice`, as the SDK has them: on this machine, on Azure Container Instances, on AKS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pipeline.azureml._services import Record
from pipeline.azureml._webservice import UNKNOWN, Webservice
from pipeline.azureml.deployment import (
    AciServiceDeploymentConfiguration,
    AksServiceDeploymentConfiguration,
    LocalWebserviceDeploymentConfiguration,
)

if TYPE_CHECKING:
    from pipeline.azureml.workspace import Workspace


class LocalWebservice(Webservice):
    """A service on this machine. With `must_exist=False`, one that is not there yet is `unknown`."""

    COMPUTE_TYPE = "Local"
    STATES: ClassVar[Mapping[str, str]] = {
        "running": "running",
        "starting": "deploying",
        "failed": "failed",
        "stopped": "failed",
        "absent": "failed",
    }

    def __init__(self, workspace: Workspace, name: str, must_exist: bool = True) -> None:
        if must_exist or workspace.contents.services.find(name):
            super().__init__(workspace, name)
        else:
            self._begin(workspace, name, Record(name, self.COMPUTE_TYPE))

    @property
    def state(self) -> str:
        return super().state if self._deleted or self._record.created else UNKNOWN

    @staticmethod
    def deploy_configuration(port: int | None = None) -> LocalWebserviceDeploymentConfiguration:
        """At this port of the loopback address, or at any that is free."""
        return LocalWebserviceDeploymentConfiguration(port)

    @property
    def port(self) -> int | None:
        return int(base.rpartition(":")[2]) if (base := self._base) else None

    def reload(self, wait: bool = False) -> None:
        """Takes the entry script and the other files anew from where they were deployed from."""
        self.update(wait=wait)

    def get_keys(self) -> None:
        raise NotImplementedError("a service on this machine has no keys")

    regen_key = get_token = get_keys

    def serialize(self) -> dict[str, Any]:
        return {**super().serialize(), "port": self.port}


class AciWebservice(Webservice):
    """A service on Azure Container Instances."""

    COMPUTE_TYPE = "ACI"

    @staticmethod
    def deploy_configuration(
        cpu_cores: float | None = None, memory_gb: float | None = None, **settings: Any
    ) -> AciServiceDeploymentConfiguration:
        return AciServiceDeploymentConfiguration(cpu_cores=cpu_cores, memory_gb=memory_gb, **settings)


class AksWebservice(Webservice):
    """A service on Azure Kubernetes Service."""

    COMPUTE_TYPE = "AKS"

    @staticmethod
    def deploy_configuration(**settings: Any) -> AksServiceDeploymentConfiguration:
        return AksServiceDeploymentConfiguration(**settings)


CLASSES: Mapping[str, type[Webservice]] = {
    each.COMPUTE_TYPE: each for each in (LocalWebservice, AciWebservice, AksWebservice)
}


__all__ = [
    "AciServiceDeploymentConfiguration",
    "AciWebservice",
    "AksServiceDeploymentConfiguration",
    "AksWebservice",
    "LocalWebservice",
    "LocalWebserviceDeploymentConfiguration",
    "Webservice",
]
