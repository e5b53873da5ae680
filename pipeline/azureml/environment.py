"""`Environment`: what an image of Azure ML is made of, as the SDK's scripts write it and its JSON files hold it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from pipeline.azureml import defaults
from pipeline.azureml.conda_dependencies import CondaDependencies
from pipeline.azureml.defaults import DEFAULT_CPU_IMAGE, DEFAULT_GPU_IMAGE
from pipeline.azureml.docker import (
    ContainerRegistry,
    DockerBuildContext,
    DockerImagePlatform,
    DockerSection,
    RegistryIdentity,
)
from pipeline.azureml.document import Document, load
from pipeline.azureml.elements import Element, Field, mapping
from pipeline.azureml.exceptions import UserErrorException
from pipeline.azureml.frameworks import DatabricksSection, RSection, SparkSection
from pipeline.azureml.python_section import PythonSection
from pipeline.azureml.registering import Registered
from pipeline.manifest.model import Path_

RESERVED = ("Microsoft", "AzureML")
"""What the names of Azure ML's own environments begin with."""

_CONDA_FILE, _DOCKERFILE, _DEFINITION = "conda_dependencies.yml", "BaseDockerfile", "azureml_environment.json"


class Environment(Registered, Element):
    """Base image, packages and variables of an image."""

    FIELDS = (
        Field("name", "name"),
        Field("version", "version"),
        Field("environment_variables", "environmentVariables", "variables"),
        Field("python", "python", PythonSection),
        Field("docker", "docker", DockerSection),
        Field("spark", "spark", SparkSection),
        Field("databricks", "databricks", DatabricksSection),
        Field("r", "r", RSection),
        Field("inferencing_stack_version", "inferencingStackVersion"),
        Field("asset_id", "assetId"),
    )

    def __init__(self, name: str | None, *, _skip_defaults: bool = False) -> None:
        """TypeError for a name that is no text, UserErrorException for one that is Azure ML's own."""
        self.name = name
        self.version: str | None = None
        example = {} if _skip_defaults else {"EXAMPLE_ENV_VAR": "EXAMPLE_VALUE"}
        self.environment_variables: dict[str, str] | None = example
        self.python = PythonSection(_skip_defaults=_skip_defaults)
        self.docker = DockerSection(_skip_defaults=_skip_defaults)
        self.spark: SparkSection | None = SparkSection()
        self.databricks: DatabricksSection | None = DatabricksSection()
        self.r: RSection | None = None
        self.inferencing_stack_version: str | None = None
        self.asset_id: str | None = None

    @property
    def name(self) -> str | None:
        return self._name

    @name.setter
    def name(self, value: str | None) -> None:
        if value is not None and not isinstance(value, str):
            raise TypeError(f"an environment's name is a text, not {type(value).__name__}")
        if flaw := name_flaw(value):
            raise UserErrorException(flaw, remedy="choose another name")
        self._name = value

    @classmethod
    def blank(cls) -> Environment:
        return cls(None, _skip_defaults=True)

    @classmethod
    def from_json(cls, value: Any, document: Document | None = None, path: Path_ = ()) -> Environment:
        """The environment that stands at `path` of a file. UserErrorException with the place of what is wrong."""
        document = document or Document("", value)
        found = mapping(value, document, path)
        if isinstance(found.get("name"), str) and (flaw := name_flaw(found["name"])):
            raise document.wrong((*path, "name"), flaw, "choose another name")
        # A section that is null is one that says nothing; the SDK cannot read it.
        made = super().from_json({k: v for k, v in found.items() if v is not None or k not in _NEEDED}, document, path)
        check(made, document, path)
        return made

    def clone(self, new_name: str) -> Environment:
        """The same under another name, not registered."""
        if not new_name:
            raise UserErrorException("a copy of an environment needs a name")
        made = copy.deepcopy(self)
        made.name, made.version, made.asset_id = new_name, None, None
        return made

    def save_to_directory(self, path: str, overwrite: bool = False) -> None:
        """Writes the definition and, in files of their own, the conda packages and the Dockerfile."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=overwrite)
        value = self.to_json()
        if self.python.conda_dependencies is not None:
            self.python.conda_dependencies.save_to_file(path, _CONDA_FILE)
            del value["python"]["condaDependencies"]
        if self.docker.base_dockerfile:
            (folder / _DOCKERFILE).write_text(self.docker.base_dockerfile, encoding="utf-8")
            del value["docker"]["baseDockerfile"]
        (folder / _DEFINITION).write_text(json.dumps(value, indent=4), encoding="utf-8")

    @staticmethod
    def load_from_directory(path: str) -> Environment:
        """What `save_to_directory` wrote, here or by the SDK. FileNotFoundError when it is not there."""
        folder = Path(path)
        if not (folder / _DEFINITION).is_file():
            raise FileNotFoundError(str(folder / _DEFINITION))
        document = load(folder / _DEFINITION)
        made = Environment.from_json(document.value, document)
        if (folder / _CONDA_FILE).is_file():
            made.python.conda_dependencies = CondaDependencies(str(folder / _CONDA_FILE))
        if (folder / _DOCKERFILE).is_file():
            made.docker.base_dockerfile = (folder / _DOCKERFILE).read_text(encoding="utf-8")
        return made

    @staticmethod
    def from_conda_specification(name: str, file_path: str) -> Environment:
        """Of an environment.yml; a Python is added where it names none."""
        made = Environment(name)
        made.python.conda_dependencies = conda = CondaDependencies(file_path)
        if not conda.get_python_version():
            conda.set_python_version(defaults.PYTHON_VERSION)
        return made

    @staticmethod
    def from_pip_requirements(name: str, file_path: str, pip_version: str | None = None) -> Environment:
        """Of a requirements file."""
        made = Environment(name)
        conda = made.python.conda_dependencies
        assert conda is not None
        conda.set_pip_requirements(_lines(file_path))
        conda.add_conda_package(f"pip={pip_version}" if pip_version else "pip")
        return made

    @staticmethod
    def from_dockerfile(
        name: str, dockerfile: Any, conda_specification: str | None = None, pip_requirements: str | None = None
    ) -> Environment:
        """On a Dockerfile: its text, its path, or the open file."""
        made = _with_packages(name, conda_specification, pip_requirements)
        made.docker.base_dockerfile = dockerfile
        return made

    @staticmethod
    def from_docker_image(
        name: str,
        image: str,
        container_registry: ContainerRegistry | None = None,
        conda_specification: str | None = None,
        pip_requirements: str | None = None,
    ) -> Environment:
        made = _with_packages(name, conda_specification, pip_requirements)
        made.docker.base_image = image
        if container_registry:
            made.docker.base_image_registry = container_registry
        return made

    @staticmethod
    def from_docker_build_context(name: str, docker_build_context: DockerBuildContext) -> Environment:
        made = Environment(name, _skip_defaults=True)
        made.docker.build_context = docker_build_context
        return made

    def __str__(self) -> str:
        return f"Environment(Name: {self.name},\nVersion: {self.version})"

    def __repr__(self) -> str:
        return json.dumps(self.to_json(), indent=4, sort_keys=True)


_NEEDED = ("python", "docker")


def name_flaw(name: str | None) -> str:
    """What is wrong with an environment's name, or nothing."""
    prefix = next((prefix for prefix in RESERVED if (name or "").startswith(prefix)), "")
    return f"the environment's name '{name}' begins with {prefix}, which is for Azure ML's own" if prefix else ""


def check(environment: Environment, document: Document, path: Path_ = ()) -> None:
    """UserErrorException for what excludes each other in an environment that was read."""
    docker = environment.docker
    given = (docker.base_image, docker.base_dockerfile, docker.build_context)
    names = [name for name, value in zip(("baseImage", "baseDockerfile", "buildContext"), given, strict=True) if value]
    if len(names) > 1:
        message = f"docker has {' and '.join(names)}"
        raise document.wrong((*path, "docker", names[1]), message, "keep one of them: they exclude each other")
    stack = environment.inferencing_stack_version
    if stack not in (None, "", "latest"):
        message = f"inferencingStackVersion is '{stack}'"
        raise document.wrong((*path, "inferencingStackVersion"), message, "Azure ML knows 'latest' alone, or null")


def _with_packages(name: str, conda_specification: str | None, pip_requirements: str | None) -> Environment:
    if conda_specification and pip_requirements:
        raise UserErrorException("both conda_specification and pip_requirements are given", remedy="give one of them")
    if conda_specification:
        return Environment.from_conda_specification(name, conda_specification)
    if pip_requirements:
        return Environment.from_pip_requirements(name, pip_requirements)
    made = Environment(name)
    made.python.user_managed_dependencies = True
    return made


def _lines(file_path: str) -> list[str]:
    try:
        return Path(file_path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserErrorException(f"{file_path} cannot be read: {error}") from None


__all__ = [
    "DEFAULT_CPU_IMAGE",
    "DEFAULT_GPU_IMAGE",
    "CondaDependencies",
    "ContainerRegistry",
    "DockerBuildContext",
    "DockerImagePlatform",
    "DockerSection",
    "Environment",
    "PythonSection",
    "RegistryIdentity",
]
