"""The `docker` section of an environment: base image or Dockerfile, the registry that it is in, and its platform."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pipeline.azureml.defaults import DEFAULT_CPU_IMAGE
from pipeline.azureml.elements import Element, Field
from pipeline.azureml.secret_text import as_secret, reference, variable_of


class RegistryIdentity(Element):
    """A managed identity that may read a registry."""

    FIELDS = (Field("resource_id", "resourceId"), Field("client_id", "clientId"))

    def __init__(self) -> None:
        self.resource_id: str | None = None
        self.client_id: str | None = None


class ContainerRegistry(Element):
    """Who signs in to the registry of a base image.

    The password is kept in memory alone: what is written has a reference to an environment variable in its place.
    """

    FIELDS = (
        Field("address", "address"),
        Field("username", "username"),
        Field("password", "password"),
        Field("registry_identity", "registryIdentity", RegistryIdentity),
    )

    def __init__(self) -> None:
        self.address: str | None = None
        self.username: str | None = None
        self.password = None
        self.registry_identity: RegistryIdentity | None = None

    @property
    def password(self) -> str | None:
        """A Secret; or a reference such as ${env:REGISTRY_PASSWORD}, as it was given."""
        return self._password

    @password.setter
    def password(self, value: str | None) -> None:
        self._password = as_secret(value) if value else value

    @property
    def variable(self) -> str:
        """The environment variable that stands for the password: MYREGISTRY_PASSWORD of myregistry.azurecr.io."""
        if self._password and (named := variable_of(self._password)):
            return named
        first = re.sub(r"[^A-Za-z0-9]+", "_", (self.address or "").split(".")[0].split("/")[0]).strip("_").upper()
        return f"{'_' * first[:1].isdigit()}{first or 'REGISTRY'}_PASSWORD"

    def to_json(self) -> dict[str, Any]:
        password = self._password
        return {**super().to_json(), "password": reference(password, self.variable) if password else password}


class DockerImagePlatform(Element):
    """The operating system and the processor that an image is for."""

    FIELDS = (Field("os", "os"), Field("architecture", "architecture"))

    def __init__(self) -> None:
        self.os: str | None = "Linux"
        self.architecture: str | None = "amd64"


class DockerBuildContext(Element):
    """A folder with a Dockerfile that Azure ML fetches by itself: from Git, or from a storage account."""

    FIELDS = (
        Field("location_type", "locationType"),
        Field("location", "location"),
        Field("dockerfile_path", "dockerfilePath"),
    )

    def __init__(
        self, location_type: str | None = None, location: str | None = None, dockerfile_path: str | None = "Dockerfile"
    ) -> None:
        self.location_type = location_type
        self.location = location
        self.dockerfile_path = dockerfile_path or "Dockerfile"


class DockerSection(Element):
    """What the image of an environment starts from. Of base_image, base_dockerfile and build_context one holds: who
    sets one, resets the others, as in the SDK.
    """

    FIELDS = (
        Field("enabled", "enabled", "flag"),
        Field("base_image", "baseImage"),
        Field("base_dockerfile", "baseDockerfile"),
        Field("build_context", "buildContext", DockerBuildContext),
        Field("shared_volumes", "sharedVolumes", "flag"),
        Field("shm_size", "shmSize"),
        Field("arguments", "arguments", "texts"),
        Field("base_image_registry", "baseImageRegistry", ContainerRegistry),
        Field("platform", "platform", DockerImagePlatform),
    )
    EXCLUSIVE = ("base_image", "base_dockerfile", "build_context")

    def __init__(self, *, _skip_defaults: bool = False) -> None:
        self._base_image: str | None = None if _skip_defaults else DEFAULT_CPU_IMAGE
        self._base_dockerfile: str | None = None
        self._build_context: DockerBuildContext | None = None
        self.enabled = False
        self.shared_volumes = True
        self.shm_size: str | None = None if _skip_defaults else "2g"
        self.arguments: list[str] = []
        self.base_image_registry: ContainerRegistry | None = ContainerRegistry()
        self.platform: DockerImagePlatform | None = DockerImagePlatform()

    @classmethod
    def blank(cls) -> DockerSection:
        return cls(_skip_defaults=True)

    @property
    def base_image(self) -> str | None:
        return self._base_image

    @base_image.setter
    def base_image(self, value: str | None) -> None:
        self._base_image = value or None
        if value:
            self._base_dockerfile = self._build_context = None

    @property
    def base_dockerfile(self) -> str | None:
        """The text of a Dockerfile. It may be set to a text, to the path of a file, or to an open file."""
        return self._base_dockerfile

    @base_dockerfile.setter
    def base_dockerfile(self, value: Any) -> None:
        if hasattr(value, "read"):
            value = value.read()
        elif value and "\n" not in value and Path(value).is_file():
            value = Path(value).read_text(encoding="utf-8")
        self._base_dockerfile = value or None
        if value:
            self._base_image = self._build_context = None

    @property
    def build_context(self) -> DockerBuildContext | None:
        return self._build_context

    @build_context.setter
    def build_context(self, value: DockerBuildContext | None) -> None:
        self._build_context = value or None
        if value:
            self._base_image = self._base_dockerfile = None

    gpu_support = True
    """Of no effect, as in the SDK: a GPU is found by itself."""
