"""Azure ML's files as a manifest that builds and serves the same: the decisions; `imported` is the whole.

What has no meaning without Azure's service is never dropped silently: it is in the notes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.azureml.defaults import LABEL
from pipeline.azureml.deployment import DeploymentConfig
from pipeline.azureml.environment import Environment
from pipeline.azureml.exceptions import UserErrorException
from pipeline.azureml.importing_base import base_of
from pipeline.azureml.importing_packages import packages_of
from pipeline.azureml.importing_parts import Parts, entry_name, literal
from pipeline.azureml.importing_target import target_of
from pipeline.azureml.inference import InferenceConfig
from pipeline.azureml.secret_text import is_reference, is_secret_variable
from pipeline.azureml.yaml_text import dump
from pipeline.manifest.model import Secret
from pipeline.manifest.paths import project_root
from pipeline.manifest.secrets import names_a_secret
from pipeline.noun import noun

APP = "/var/azureml-app"


class ModelFiles(NamedTuple):
    """A model to serve: its registered name and version, and the file or folder that it is."""

    name: str
    version: int
    path: Path


@noun
class Imported:
    """A manifest and what else there is to know.

    `text` is the manifest; `files` are files to write beside it, by name; `notes` say what is not in it any more, or
    is left to the user; `secrets` are those that the configuration held in clear text, by the variables that the
    manifest asks for: they are written nowhere.
    """

    text: str
    notes: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Secret] = field(default_factory=dict)


def imported(
    inference: InferenceConfig,
    deployment: DeploymentConfig | None,
    models: Sequence[tuple[str, int, Path]] = (),
    *,
    name: str,
    folder: Path,
    file: str = "",
) -> Imported:
    """The manifest, to be written into `folder`, as `file`, of the service `name`.

    Paths of the configuration are relative to the current folder. UserErrorException for what lies outside of the
    manifest's project folder, and for what cannot be built.
    """
    parts = Parts(entry_name(name))
    environment = inference.environment or _default_environment(parts)
    base_of(environment, parts)
    packages_of(environment, parts, _near(folder))
    _models(models, parts, _near(folder))
    serve = _code(inference, parts, _near(folder), folder / file)
    if environment.inferencing_stack_version:
        serve["stack"] = "azureml"
    _variables(environment, parts)
    _told(environment, parts)
    image = _image(parts, serve, environment)
    if inference.description:
        image.setdefault("labels", {})["org.opencontainers.image.description"] = literal(inference.description)
    if deployment is not None:
        target_of(deployment, parts, image)
    return Imported(_text(parts, image), tuple(parts.notes), parts.files, parts.secrets)


def _text(parts: Parts, image: Mapping[str, Any]) -> str:
    targets = {"targets": parts.targets} if parts.targets else {}
    registries = {"registries": parts.registries} if parts.registries else {}
    manifest = {
        "version": 1,
        "name": parts.name,
        **registries,
        "bases": {"base": parts.base},
        "layers": parts.layers,
        "images": {parts.name: image},
        **targets,
    }
    heading = "".join(f"# {line}".rstrip() + "\n" for line in _heading(parts))
    return heading + dump(manifest)


def _heading(parts: Parts) -> list[str]:
    lines = ["Imported from Azure ML's configuration files."]
    if parts.notes:
        lines += ["", "Look at:", *(f"- {note}" for note in parts.notes)]
    return lines


def _default_environment(parts: Parts) -> Environment:
    parts.notes.append("no environment was given: the SDK's default packages are taken")
    made = Environment(f"{parts.name}-env")
    made.environment_variables = {}
    # The default base is taken, and named.
    made.docker.base_image = None
    return made


def _near(folder: Path) -> Any:
    """Paths as the manifest has them, relative to its folder."""
    top = project_root(folder / "manifest.yaml")

    def near(path: Path | str) -> str:
        real, root = os.path.realpath(path), os.path.realpath(top)
        if real != root and not real.startswith(root.rstrip("/") + "/"):
            remedy = f"the manifest's project folder is {top}: write the manifest nearer, or move the files"
            raise UserErrorException(f"{path} lies outside of the manifest's project folder", remedy=remedy)
        return literal(os.path.relpath(real, os.path.realpath(folder)))

    return near


def _models(models: Sequence[tuple[str, int, Path]], parts: Parts, near: Any) -> None:
    for name, version, path in models:
        if not path.exists():
            raise UserErrorException(f"the model {name} is not there: {path}", remedy="name a file or a folder")
        spec = {"name": name, "version": version, "path": near(path)}
        parts.add_layer(f"model-{name}", {"model": spec})


def _code(inference: InferenceConfig, parts: Parts, near: Any, manifest: Path) -> dict[str, Any]:
    """The code's layer and the image's `serve`: the source folder under its own name, as Azure ML has it."""
    if not inference.source_directory:
        script = Path(inference.entry_script)
        parts.add_layer("code", {"files": [{"from": near(script), "to": f"{APP}/{literal(script.name)}"}]})
        return {"entry_script": literal(script.name)}
    source = Path(inference.source_directory)
    name = source.name or "source"
    item: dict[str, Any] = {"from": f"{near(source)}/", "to": f"{APP}/{literal(name)}/"}
    if own := _own_files(source, manifest):
        item["ignore"] = own
    parts.add_layer("code", {"files": [item]})
    # Both Azure ML's images and the inference server add this folder to Python's path.
    parts.env["AZUREML_SOURCE_DIRECTORY"] = literal(name)
    return {"entry_script": literal(os.path.normpath(f"{name}/{inference.entry_script}"))}


def _own_files(source: Path, manifest: Path) -> list[str]:
    """The manifest and its lock, where they lie in the source folder: they are no part of the service."""
    place = os.path.relpath(os.path.realpath(manifest), os.path.realpath(source))
    if place.startswith("..") or place == "." or not manifest.suffix:
        return []
    return [place, f"{os.path.splitext(place)[0]}.lock"]  # noqa: PTH122 - it is no path of this machine


def _variables(environment: Environment, parts: Parts) -> None:
    """Variables into the image; those that are secret, to the target and by reference alone."""
    for name, value in (environment.environment_variables or {}).items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", name):
            remedy = "letters, digits and '_', as in LOG_LEVEL"
            raise UserErrorException(f"environmentVariables: '{name}' is no name of a variable", remedy=remedy)
        secret = is_secret_variable(name, str(value))
        if secret and is_reference(str(value)):
            parts.secret_env[name] = str(value)
        elif secret:
            parts.secret_env[name] = f"${{env:{name}}}"
            parts.secrets[name] = Secret(str(value))
            what = "is called as secrets are" if names_a_secret(name) else "holds a secret"
            parts.notes.append(f"{name} {what}: set it in your environment, its value is not copied")
        else:
            parts.env[name] = literal(str(value))


def _told(environment: Environment, parts: Parts) -> None:
    """Notes about what has no meaning here."""
    for key, section in (("spark", environment.spark), ("databricks", environment.databricks), ("r", environment.r)):
        if section is None:
            continue
        default = type(section)().to_json() if key != "r" else {}
        odd = [name for name, value in section.to_json().items() if value != default.get(name) and value is not None]
        if odd:
            parts.notes.append(f"{key} has no meaning for a service and is left out: {', '.join(odd)}")
    docker, python = environment.docker, environment.python
    if docker.arguments:
        parts.notes.append(f"docker.arguments are left out: {' '.join(docker.arguments)}")
    if docker.shm_size not in (None, "2g"):
        parts.notes.append(f"docker.shmSize is left out: {docker.shm_size}")
    if docker.shared_volumes is False:
        parts.notes.append("docker.sharedVolumes is left out: nothing is mounted into a service")
    if python.base_conda_environment:
        parts.notes.append(f"python.baseCondaEnvironment is left out: {python.base_conda_environment}")
    if python.user_managed_dependencies and python.interpreter_path not in (None, "python"):
        parts.notes.append(
            f"python.interpreterPath is left out, the base's own Python serves: {python.interpreter_path}"
        )


_ARCHITECTURES = {
    "amd64": "amd64",
    "arm64": "arm64",
    "aarch64": "arm64",
    "arm32v7": "arm/v7",
    "arm": "arm",
    "386": "386",
}


def _architecture(name: str) -> str:
    if name.lower() not in _ARCHITECTURES:
        known = ", ".join(_ARCHITECTURES)
        raise UserErrorException(f"docker.platform.architecture is '{name}'", remedy=f"known are {known}")
    return _ARCHITECTURES[name.lower()]


def _image(parts: Parts, serve: Mapping[str, Any], environment: Environment) -> dict[str, Any]:
    image: dict[str, Any] = {"base": "base", "layers": list(parts.layers), "serve": dict(serve)}
    if parts.env:
        image["env"] = dict(parts.env)
    if environment.name:
        version = f":{environment.version}" if environment.version else ""
        image["labels"] = {LABEL: literal(f"{environment.name}{version}")}
    platform = environment.docker.platform
    if platform and (platform.os or "Linux").lower() != "linux":
        message = f"docker.platform.os is {platform.os}"
        raise UserErrorException(message, remedy="images are built for Linux alone: set it to Linux")
    image["platforms"] = [f"linux/{_architecture((platform and platform.architecture) or 'amd64')}"]
    return image
