"""`Webservice` as the SDK has it: what was deployed, how it is, and what it answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pipeline.azureml import live
from pipeline.azureml._services import MANIFEST, Record
from pipeline.azureml.exceptions import WebserviceException

if TYPE_CHECKING:
    from pipeline.azureml.deployment import DeploymentConfig
    from pipeline.azureml.inference import InferenceConfig
    from pipeline.azureml.model import Model
    from pipeline.azureml.workspace import Workspace
    from pipeline.targets.model import Observation

DELETED, UNKNOWN = "deleted", "unknown"


class Webservice:
    """A service of a workspace by its name, of the class of its kind. WebserviceException where there is none."""

    COMPUTE_TYPE: ClassVar[str] = ""
    STATES: ClassVar[Mapping[str, str]] = {
        "running": "Healthy",
        "starting": "Transitioning",
        "failed": "Failed",
        "stopped": "Unhealthy",
        "absent": "Unhealthy",
    }
    """How the SDK calls what a target observes."""

    def __new__(cls, workspace: Workspace, name: str, **_more: Any) -> Webservice:
        if cls is not Webservice:
            return super().__new__(cls)
        return super().__new__(_classes()[_found(workspace, name).compute_type])

    def __init__(self, workspace: Workspace, name: str) -> None:
        record = _found(workspace, name)
        if record.compute_type != self.COMPUTE_TYPE:
            there = _classes()[record.compute_type].__name__
            raise WebserviceException(f"{name} is a {there}", remedy=f"take {there}, or Webservice")
        self._begin(workspace, name, record)

    def _begin(self, workspace: Workspace, name: str, record: Record) -> None:
        self.workspace, self.name = workspace, name
        self._record = record
        self._deleted = False

    @staticmethod
    def list(
        workspace: Workspace,
        compute_type: str | None = None,
        model_name: str | None = None,
        model_id: str | None = None,
        tags: Sequence[str | Sequence[str]] | None = None,
        properties: Sequence[str | Sequence[str]] | None = None,
        **_azure: object,
    ) -> list[Webservice]:
        """The workspace's services, all or some."""
        from pipeline.azureml.model import has

        known = workspace.contents.services
        records = [record for name in known.names() if (record := known.find(name))]
        return [
            Webservice(workspace, record.name)
            for record in records
            if (not compute_type or record.compute_type.lower() == compute_type.lower())
            and (not model_id or model_id in record.models)
            and (not model_name or any(model.partition(":")[0] == model_name for model in record.models))
            and has(record.tags, tags or ())
            and has(record.properties, properties or ())
        ]

    # -- what is known of it ------------------------------------------------------------------------------------

    @property
    def compute_type(self) -> str:
        return self.COMPUTE_TYPE

    @property
    def record(self) -> Record:
        """What the workspace keeps of it."""
        return self._record

    @property
    def tags(self) -> dict[str, str]:
        return dict(self._record.tags)

    @property
    def properties(self) -> dict[str, str]:
        return dict(self._record.properties)

    @property
    def description(self) -> str:
        return self._record.description

    @property
    def created_time(self) -> datetime:
        return datetime.fromtimestamp(self._record.created, UTC)

    @property
    def updated_time(self) -> datetime:
        return datetime.fromtimestamp(self._record.updated, UTC)

    @property
    def models(self) -> Sequence[str]:
        """The ids of the models that it has, such as mymodel:1."""
        return list(self._record.models)

    @property
    def error(self) -> str | None:
        """Why the last deployment failed; None if it did not."""
        return str(self._record.failure.error()) if self._record.failure else None

    @property
    def manifest(self) -> Path:
        """What was deployed, as a manifest: `pipeline run`, `plan` and `status` take it."""
        return self._folder / MANIFEST

    @property
    def _folder(self) -> Path:
        return self.workspace.contents.services.place(self.name)

    # -- how it is ----------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """How it is now, in the SDK's words."""
        if self._deleted:
            return DELETED
        if self._record.is_deploying:
            return self.STATES["starting"]
        if self._record.failure or (seen := self._observed()) is None:
            return self.STATES["failed"]
        return self.STATES.get(seen.state, UNKNOWN)

    def update_deployment_state(self) -> None:
        """Reads again what is known of the service; its state is observed each time it is asked for."""
        self._record = _found(self.workspace, self.name)
        self.__dict__.pop("_live", None)

    @cached_property
    def _live(self) -> live.Live | None:
        """Where it runs; None for one that is gone, and for one that never came up and whose manifest is no good."""
        if self._deleted or not self.manifest.is_file():
            return None
        try:
            return live.open_live(self.manifest, self.workspace.environ)
        except WebserviceException:
            if self._record.came_up:
                raise
            return None

    def _observed(self) -> Observation | None:
        return self._live.target.observe() if self._live else None

    def _check(self, verb: str) -> None:
        if self._deleted:
            raise WebserviceException(f"{self.name} is deleted and cannot {verb}", remedy="deploy it again")

    @property
    def scoring_uri(self) -> str | None:
        """Where to POST requests; None while nobody listens."""
        endpoint = live.endpoint(self._live) if self._live else None
        return endpoint.url.replace("//127.0.0.1:", "//localhost:") if endpoint else None

    @property
    def swagger_uri(self) -> str | None:
        return f"{self._base}/swagger.json" if self._base else None

    @property
    def _base(self) -> str:
        return (self.scoring_uri or "").removesuffix("/score")

    def wait_for_deployment(self, show_output: bool = False, timeout_sec: float | None = None) -> None:
        """Returns once the service serves. Raises WebserviceException with the end of its log when it does not.

        A deployment by another process is waited for, `timeout_sec` seconds at most.
        """
        self._check("come up")
        live.wait(lambda: self._renewed().is_deploying, timeout_sec, self.name)
        if self._record.failure:
            if show_output:
                print(f"{self.name} is {self.state}")
            raise self._record.failure.error()
        seen = self._observed()
        if seen is None or seen.state not in ("running", "starting"):
            detail = (seen and seen.detail) or "nothing runs there"
            error = WebserviceException(f"{self.name} is {self.state}: {detail}", remedy="deploy it again")
            error.log = tuple(self.get_logs(25).splitlines())
            raise error
        print(f"{self.COMPUTE_TYPE} webservice is {self.state} at {self._base}", flush=True)

    def _renewed(self) -> Record:
        self.update_deployment_state()
        return self._record

    # -- what it does -------------------------------------------------------------------------------------------

    def run(self, input_data: Any) -> Any:
        """What the service answers: JSON, as Python has it. Text and bytes are sent as they are, all else as JSON.

        Raises WebserviceException where it does not answer, or not with 200, with its own words.
        """
        self._check("be called")
        body = input_data if isinstance(input_data, bytes | str) else json.dumps(input_data)
        endpoint = live.endpoint(self._live) if self._live else None
        if endpoint is None:
            raise WebserviceException(f"{self.name} is {self.state}: nobody listens", remedy="see get_logs()")
        return live.ask(endpoint, body.encode() if isinstance(body, str) else body)

    def get_logs(self, num_lines: int = 5000, *_azure: object, **_more: object) -> str:
        """What the service has written, at most so many lines; of one that failed, the end of it."""
        self._check("be read")
        lines = list(self._live.target.logs(lines=num_lines)) if self._live else []
        if self._record.failure and not lines:
            lines = list(self._record.failure.log)[-num_lines:]
        return "".join(f"{line}\n" for line in lines)

    def update(
        self,
        models: Sequence[Model | str] | None = None,
        deployment_config: DeploymentConfig | None = None,
        wait: bool = False,
        inference_config: InferenceConfig | None = None,
        tags: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        description: str | None = None,
        **settings: Any,
    ) -> None:
        """Deploys it again with what is given; all else stays. `settings` are those of its deployment configuration.

        Raises WebserviceException, at once for wrong arguments, and with `wait` when it does not come up.
        """
        from pipeline.azureml.deploying import deploy
        from pipeline.azureml.updating import updated

        self._check("be updated")
        wanted = updated(self.workspace, self._record, models, inference_config, deployment_config, settings)
        labels = {"tags": tags, "properties": properties, "description": description}
        deploy(self.workspace, wanted, labels={key: value for key, value in labels.items() if value is not None})
        self.update_deployment_state()
        if wait:
            self.wait_for_deployment()

    def delete(self, **_azure: object) -> None:
        """Ends the service and removes it from the workspace."""
        self._check("be deleted")
        services = self.workspace.contents.services
        with services.guard(self.name):
            if self._live:
                live.forget(self._live)
            services.forget(self.name)
        self._deleted = True
        self.__dict__.pop("_live", None)

    def serialize(self) -> dict[str, Any]:
        """What is known of the service, under the SDK's keys."""
        return {
            "name": self.name,
            "tags": self.tags,
            "properties": self.properties,
            "description": self.description,
            "state": self.state,
            "createdTime": self.created_time.isoformat(),
            "updatedTime": self.updated_time.isoformat(),
            "error": self.error,
            "computeType": self.compute_type,
            "workspaceName": self.workspace.name,
            "imageId": seen.image if (seen := self._observed()) else None,
            "scoringUri": self.scoring_uri,
            "swaggerUri": self.swagger_uri,
            "modelIds": self.models,
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}(workspace={self.workspace!r}, name={self.name!r}, state={self.state!r})"


def _found(workspace: Workspace, name: str) -> Record:
    services = workspace.contents.services
    if record := services.find(name):
        return record
    there = ", ".join(services.names()) or "none"
    message = f"WebserviceNotFound: the workspace has no service {name}"
    raise WebserviceException(message, remedy=f"there are: {there}")


def _classes() -> Mapping[str, type[Webservice]]:
    from pipeline.azureml.webservice import CLASSES

    return CLASSES
