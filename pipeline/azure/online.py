"""Managed online endpoints of an Azure ML workspace, by Azure's own client; JSON in and out, as the REST API has it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from pipeline.azure.calls import Calls, Operation
from pipeline.azure.extra import extra
from pipeline.azure.resource import ResourceId
from pipeline.errors import OutOfReach
from pipeline.manifest.model import Secret

Json = dict[str, Any]
_WORKSPACES = "2024-04-01"
_AAD = "https://ml.azure.com/.default"
"""The scope of tokens for endpoints with `aad_token`."""


class Online:
    """One endpoint of a workspace, and its deployments."""

    def __init__(self, calls: Calls, workspace: ResourceId, endpoint: str) -> None:
        self.calls, self._workspace, self.name = calls, workspace, endpoint

    @cached_property
    def _client(self) -> Any:
        with extra("deploying to Azure ML"):
            from azure.mgmt.machinelearningservices import MachineLearningServicesMgmtClient

        arm = self.calls.arm
        credential, subscription = arm.identity.credential, self._workspace.subscription
        return MachineLearningServicesMgmtClient(credential, subscription, **arm.options)

    @property
    def _where(self) -> tuple[str, str]:
        return self._workspace.group, self._workspace.name

    def what(self, name: str = "") -> str:
        """The endpoint, or a deployment of it, in words."""
        return f"deployment {name} of the endpoint {self.name}" if name else f"the endpoint {self.name}"

    @cached_property
    def location(self) -> str:
        """Where the workspace is: endpoints are beside it."""
        what = f"the workspace {self._workspace.name}"
        value = self.calls.ask(what, lambda: self.calls.arm.get(str(self._workspace), _WORKSPACES, what))
        return str(value.get("location") or "")

    # -- the endpoint -------------------------------------------------------------------------------------------

    def get(self, *, patient: bool = True) -> Json | None:
        def call() -> Json:
            return _json(self._client.online_endpoints.get(*self._where, self.name, **self.calls.each))

        return (self.calls.find if patient else self.calls.look)(self.what(), call)

    def put(self, body: Json) -> Operation:
        def call(polling: Any) -> Any:
            endpoints = self._client.online_endpoints
            made = self._model("OnlineEndpoint", body)
            return endpoints.begin_create_or_update(*self._where, self.name, made, polling=polling, **self.calls.each)

        return self.calls.begin(self.what(), call)

    def credential(self, auth_mode: str) -> Secret:
        """What a scoring request shows: a key of the endpoint, or a token for it."""
        if auth_mode == "AADToken":
            return self.calls.ask(self.what(), lambda: self.calls.arm.identity.token(_AAD))
        endpoints, each = self._client.online_endpoints, self.calls.each
        if auth_mode == "AMLToken":
            found = self.calls.ask(
                self.what(), lambda: endpoints.get_token(*self._where, self.name, **each).access_token
            )
        else:
            found = self.calls.ask(
                self.what(), lambda: endpoints.list_keys(*self._where, self.name, **each).primary_key
            )
        if not found:
            raise OutOfReach(f"{self.what()}: Azure gives no key", remedy="check your role on the workspace")
        return Secret(found)

    # -- environments -------------------------------------------------------------------------------------------

    def environment(self, name: str, version: str, body: Json) -> str:
        """The ARM id of an environment's version, which is made where it is not there."""
        versions, what = self._client.environment_versions, f"the environment {name}:{version}"
        if self.calls.find(what, lambda: versions.get(*self._where, name, version, **self.calls.each)) is None:
            made = self._model("EnvironmentVersion", body)
            self.calls.ask(
                what, lambda: versions.create_or_update(*self._where, name, version, made, **self.calls.each)
            )
        return self.environment_id(name, version)

    def environment_id(self, name: str, version: str) -> str:
        return f"{self._workspace}/environments/{name}/versions/{version}"

    # -- deployments --------------------------------------------------------------------------------------------

    def deployments(self, *, patient: bool = True) -> list[Json]:
        def call() -> list[Json]:
            listed = self._client.online_deployments.list(*self._where, self.name, **self.calls.each)
            return [_json(one) for one in listed]

        return (self.calls.find if patient else self.calls.look)(f"the deployments of {self.what()}", call) or []

    def deployment(self, name: str, *, patient: bool = True) -> Json | None:
        def call() -> Json:
            return _json(self._client.online_deployments.get(*self._where, self.name, name, **self.calls.each))

        return (self.calls.find if patient else self.calls.look)(self.what(name), call)

    def put_deployment(self, name: str, body: Json) -> Operation:
        def call(polling: Any) -> Any:
            begin, made = self._client.online_deployments.begin_create_or_update, self._model("OnlineDeployment", body)
            return begin(*self._where, self.name, name, made, polling=polling, **self.calls.each)

        return self.calls.begin(self.what(name), call)

    def delete_deployment(self, name: str) -> Operation:
        def call(polling: Any) -> Any:
            begin = self._client.online_deployments.begin_delete
            return begin(*self._where, self.name, name, polling=polling, **self.calls.each)

        return self.calls.begin(f"deleting {self.what(name)}", call)

    def logs(self, name: str, tail: int | None) -> list[str]:
        """The end of the service's output; nothing of a deployment that has none."""
        asked = {"containerType": "InferenceServer", **({"tail": tail} if tail is not None else {})}

        def call() -> Any:
            body = self._model("DeploymentLogsRequest", asked)
            return self._client.online_deployments.get_logs(*self._where, self.name, name, body, **self.calls.each)

        found = self.calls.find(f"the log of {self.what(name)}", call)
        return str(found.content or "").splitlines() if found else []

    # -- shapes -------------------------------------------------------------------------------------------------

    def normal(self, name: str, body: Mapping[str, Any]) -> Json:
        """A body as the client writes it, so that one can be compared with another."""
        return _json(self._model(name, body))

    def _model(self, name: str, body: Mapping[str, Any]) -> Any:
        with extra("deploying to Azure ML"):
            from azure.mgmt.machinelearningservices import models
        # The client takes the discriminators out of what it is given.
        return getattr(models, name).deserialize(copy.deepcopy(body))


def _json(model: Any) -> Json:
    serialize: Callable[..., Json] = model.serialize
    return serialize(keep_readonly=True)
