"""Container groups of Azure Container Instances, by Azure's own client; JSON in and out, as the REST API has it."""

from __future__ import annotations

import copy
from functools import cached_property
from typing import Any

from pipeline.azure.calls import Calls, Operation
from pipeline.azure.extra import extra

Json = dict[str, Any]
_GROUPS = "2021-04-01"


class Instances:
    """One container group."""

    def __init__(self, calls: Calls, subscription: str, group: str, name: str) -> None:
        self.calls, self.subscription, self.group, self.name = calls, subscription, group, name

    @cached_property
    def _client(self) -> Any:
        with extra("deploying to Azure Container Instances"):
            from azure.mgmt.containerinstance import ContainerInstanceManagementClient

        arm = self.calls.arm
        return ContainerInstanceManagementClient(arm.identity.credential, self.subscription, **arm.options)

    @property
    def what(self) -> str:
        return f"the container group {self.name}"

    @cached_property
    def location(self) -> str:
        """Where the resource group is."""
        what, path = (
            f"the resource group {self.group}",
            f"/subscriptions/{self.subscription}/resourceGroups/{self.group}",
        )
        value = self.calls.ask(what, lambda: self.calls.arm.get(path, _GROUPS, what))
        return str(value.get("location") or "")

    def subnet(self, network: str, subnet: str) -> str:
        """The ARM id of a subnet of the resource group."""
        networks = f"/subscriptions/{self.subscription}/resourceGroups/{self.group}/providers/Microsoft.Network"
        return f"{networks}/virtualNetworks/{network}/subnets/{subnet}"

    def get(self, *, patient: bool = True) -> Json | None:
        def call() -> Json:
            found = self._client.container_groups.get(self.group, self.name, **self.calls.each)
            value: Json = found.serialize(keep_readonly=True)
            return value

        return (self.calls.find if patient else self.calls.look)(self.what, call)

    def put(self, body: Json) -> Operation:
        with extra("deploying to Azure Container Instances"):
            from azure.mgmt.containerinstance import models
        groups, each = self._client.container_groups, self.calls.each

        def call(polling: Any) -> Any:
            made = models.ContainerGroup.deserialize(copy.deepcopy(body))
            return groups.begin_create_or_update(self.group, self.name, made, polling=polling, **each)

        return self.calls.begin(self.what, call)

    def delete(self) -> None:
        groups, each = self._client.container_groups, self.calls.each
        what = f"deleting {self.what}"
        begun = self.calls.begin(
            what, lambda polling: groups.begin_delete(self.group, self.name, polling=polling, **each)
        )
        self.calls.settle(what, lambda: None if self.get(patient=False) is None else "Deleting", begun, 600)

    def stop(self) -> None:
        groups, each = self._client.container_groups, self.calls.each
        self.calls.find(self.what, lambda: groups.stop(self.group, self.name, **each))

    def logs(self, container: str, tail: int | None) -> list[str]:
        """The end of its output; nothing where there is no container yet."""
        client, each = self._client, self.calls.each

        def call() -> Any:
            return client.containers.list_logs(self.group, self.name, container, tail=tail, **each)

        found = self.calls.find(f"the log of {self.what}", call)
        return str(found.content or "").splitlines() if found else []
