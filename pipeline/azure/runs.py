"""Builds of one registry, by Azure's own client: scheduled, asked about, and where their logs are.

Protocol: Azure's REST reference, Container Registry, 2019-06-01-preview: the last version of which a released client
speaks.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pipeline.azure.arm import Arm
from pipeline.azure.extra import extra
from pipeline.azure.resource import ResourceId
from pipeline.errors import OutOfReach
from pipeline.facts import Platform
from pipeline.manifest.model import Secret
from pipeline.noun import noun

VERSION = "2019-06-01-preview"
ENDED = ("Succeeded", "Failed", "Canceled", "Error", "Timeout")


@noun
class Request:
    """A build: `image` is repository:tag in the registry; `dockerfile` a name in the context; `secrets` are arguments
    that no log shows; `logins` (host → user, password) are for other registries; `timeout` is in seconds.
    """

    image: str
    dockerfile: str
    platform: Platform
    args: Mapping[str, str]
    secrets: Mapping[str, Secret]
    logins: Mapping[str, tuple[str, Secret]]
    target: str = ""
    timeout: float = 3600.0
    pool: str = ""


@noun
class Run:
    """A build as it is now: `seconds` it has taken; once it has succeeded the image's digest, where the registry tells
    it; `reason` where it failed.
    """

    id: str
    status: str
    seconds: float = 0.0
    digest: str = ""
    reason: str = ""


class Runs:
    """The builds of one registry. Every method raises OutOfReach, transient where trying again may help."""

    def __init__(self, arm: Arm, registry: ResourceId) -> None:
        self._arm = arm
        self._id = registry
        self._kept: Any = None

    @property
    def name(self) -> str:
        return self._id.name

    def upload_place(self) -> tuple[Secret, str]:
        """Where a context goes: an address that is a secret, and the path by which the registry knows it."""
        client = self._client()
        with self._arm.spoken(f"{self.name}: uploading"):
            found = client.registries.get_build_source_upload_url(self._id.group, self._id.name, **self._arm.each)
        if not found.upload_url or not found.relative_path:
            raise OutOfReach(f"{self.name} names no place for the context", remedy="try again later", transient=True)
        return Secret(found.upload_url), str(found.relative_path)

    def schedule(self, request: Request, source: str) -> str:
        """Schedules a build of the context `source`; gives its run ID."""
        client = self._client()
        with self._arm.spoken(f"{self.name}: scheduling the build"):
            poller = client.registries.begin_schedule_run(
                self._id.group, self._id.name, _model(request, source), polling=False, **self._arm.each
            )
            run = poller.result()
        if run is None or not (id_ := run.run_id or run.name):
            raise OutOfReach(f"{self.name} names no run of the build that it scheduled", remedy="see the portal")
        return str(id_)

    def run(self, id_: str, image: str) -> Run:
        """How a run is; `image` is what it makes. NotThere for one that is not known (any more)."""
        client = self._client()
        with self._arm.spoken(f"{self.name}: run {id_}"):
            found = client.runs.get(self._id.group, self._id.name, id_, **self._arm.each)
        made = [one.digest for one in found.output_images or () if f"{one.repository}:{one.tag}" == image]
        began = found.start_time or found.create_time
        ended = found.finish_time or found.last_updated_time
        seconds = (ended - began).total_seconds() if _times(began, ended) else 0.0
        reason = " ".join(str(found.run_error_message or "").split())
        return Run(id_, str(found.status), seconds, next((one for one in made if one), ""), reason)

    def log_place(self, id_: str) -> Secret:
        """Where a run's log is: an address that is a secret."""
        client = self._client()
        with self._arm.spoken(f"{self.name}: the log of {id_}"):
            return Secret(client.runs.get_log_sas_url(self._id.group, self._id.name, id_, **self._arm.each).log_link)

    def _client(self) -> Any:
        if self._kept is None:
            with extra("building by Azure"):
                from azure.mgmt.containerregistry import ContainerRegistryManagementClient

            subscription, options = self._id.subscription, self._arm.options
            credential = self._arm.identity.credential
            self._kept = ContainerRegistryManagementClient(credential, subscription, api_version=VERSION, **options)
        return self._kept


def _times(began: object, ended: object) -> bool:
    return isinstance(began, datetime) and isinstance(ended, datetime)


def _model(request: Request, source: str) -> Any:
    from azure.mgmt.containerregistry.v2019_06_01_preview import models

    arguments = [models.Argument(name=name, value=value, is_secret=False) for name, value in request.args.items()]
    arguments += [
        models.Argument(name=name, value=value.reveal(), is_secret=True) for name, value in request.secrets.items()
    ]
    logins = {
        host: models.CustomRegistryCredentials(
            user_name=models.SecretObject(value=user, type="Opaque"),
            password=models.SecretObject(value=password.reveal(), type="Opaque"),
        )
        for host, (user, password) in request.logins.items()
    }
    platform = request.platform
    return models.DockerBuildRequest(
        image_names=[request.image],
        is_push_enabled=True,
        docker_file_path=request.dockerfile,
        source_location=source,
        platform=models.PlatformProperties(
            os=platform.os.capitalize(), architecture=platform.architecture, variant=platform.variant or None
        ),
        arguments=arguments,
        target=request.target or None,
        timeout=int(request.timeout),
        agent_pool_name=request.pool or None,
        credentials=models.Credentials(custom_registries=logins) if logins else None,
    )
