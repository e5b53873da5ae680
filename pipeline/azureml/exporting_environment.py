"""An image as Azure ML's `Environment`: of the parts that Azure ML can put together itself, or of the whole image."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import Any

from pipeline.azureml.conda_dependencies import CondaDependencies
from pipeline.azureml.defaults import LABEL
from pipeline.azureml.docker import ContainerRegistry
from pipeline.azureml.document import parse_yaml
from pipeline.azureml.environment import RESERVED, Environment
from pipeline.azureml.exporting import Subject, layers_of
from pipeline.errors import UsageError
from pipeline.manifest.model import Entry, Registry
from pipeline.manifest.secrets import reveal

Read = Callable[[str], str]
"""The text of a file, by its path relative to the manifest."""


def environment_of(subject: Subject, read: Read, *, whole: bool | None = None) -> tuple[Environment, list[str]]:
    """The environment, and notes on what is not in it.

    It is of the parts (base, conda packages) where Azure ML can put them together, else of the whole image; `whole`
    says which. UsageError for what cannot be.
    """
    notes: list[str] = []
    reason = _indivisible(subject)
    if reason and whole is False:
        raise UsageError(
            f"Azure ML cannot build {subject.image.name} from its parts: {reason}", remedy="leave out --parts"
        )
    if whole or (reason and whole is None):
        made = _whole(subject)
        if reason and not whole:
            notes.append(f"the environment is the whole image: {reason}")
    else:
        made = _parts(subject, read, notes)
    _name(subject, made)
    return made, notes


def _indivisible(subject: Subject) -> str:
    """Why Azure ML could not put the image together from a base image and conda packages; empty if it could."""
    base = _base(subject)
    if base.kind not in ("image", "dockerfile"):
        return f"its base is made by pipeline ({base.kind})"
    layers = [*layers_of(subject)]
    odd = sorted({layer.kind for layer in layers} - {"conda", "pip", "model", "files"})
    if odd:
        return f"it has layers that Azure ML has not ({', '.join(odd)})"
    conda = [layer for layer in layers if layer.kind == "conda"]
    if len(conda) > 1:
        return "it has several conda environments"
    pip = [layer.spec for layer in layers if layer.kind == "pip"]
    if pip and not conda:
        return "its pip packages are for the base's own Python"
    if any({*spec} - {"packages"} for spec in pip):
        return "its pip layers have settings of their own"
    return ""


def _base(subject: Subject) -> Entry:
    name = subject.image.base
    while name in subject.manifest.images:
        name = subject.manifest.images[name].base
    return subject.manifest.bases[name]


def _whole(subject: Subject) -> Environment:
    made = Environment(None, _skip_defaults=True)
    if not subject.reference:
        raise UsageError(
            f"image {subject.image.name} has no place in a registry",
            remedy=f"give images.{subject.image.name} a `push`, and run 'pipeline run' first",
        )
    made.docker.base_image = subject.reference
    host = subject.reference.split("/")[0]
    entry = next((each for each in subject.manifest.registries.values() if each.address.split("/")[0] == host), None)
    if entry:
        made.docker.base_image_registry = _registry(entry, host)
    made.python.user_managed_dependencies = True
    return made


def _parts(subject: Subject, read: Read, notes: list[str]) -> Environment:
    made = Environment(None, _skip_defaults=True)
    base = _base(subject)
    if base.kind == "image":
        spec = base.spec if isinstance(base.spec, dict) else {"reference": base.spec}
        entry = subject.manifest.registries.get(spec.get("registry", ""))
        made.docker.base_image = f"{entry.address}/{spec['reference']}" if entry else spec["reference"]
        host = made.docker.base_image.split("/")[0]
        entry = entry or next((one for one in subject.manifest.registries.values() if one.address == host), None)
        if entry:
            made.docker.base_image_registry = _registry(entry, entry.address)
    else:
        made.docker.base_dockerfile = read(base.spec["path"])
        if {*base.spec} - {"path"}:
            notes.append(
                f"the Dockerfile's settings are not in the environment: {', '.join(sorted({*base.spec} - {'path'}))}"
            )
    _packages(subject, made, read)
    env = {name: value for name, value in subject.image.env.items() if name != "AZUREML_SOURCE_DIRECTORY"}
    made.environment_variables = dict(env)
    if subject.image.serve and subject.image.serve.stack:
        made.inferencing_stack_version = "latest"
    lost = [name for name in ("user", "workdir", "command", "labels") if getattr(subject.image, name)]
    lost = [name for name in lost if name != "labels" or {*subject.image.labels} != {LABEL}]
    if lost:
        notes.append(f"what Azure ML decides itself is not in the environment: {', '.join(lost)}")
    return made


def _packages(subject: Subject, made: Environment, read: Read) -> None:
    """The conda environment, pip layers in it."""
    layers = [*layers_of(subject)]
    conda = next((layer.spec for layer in layers if layer.kind == "conda"), None)
    if conda is None:
        made.python.user_managed_dependencies = True
        return
    data: dict[str, Any] = {}
    if "file" in conda:
        document = parse_yaml(read(conda["file"]), conda["file"])
        data = dict(CondaDependencies.from_data(document.value, document).as_dict())
    else:
        data["name"] = posixpath.basename(conda.get("prefix", "")) or "project_environment"
        data["dependencies"] = list(conda["dependencies"])
    if conda.get("channels"):
        data["channels"] = [reveal(channel) for channel in conda["channels"]]
    dependencies = CondaDependencies.from_data(data)
    for layer in layers:
        for package in layer.spec.get("packages", ()) if layer.kind == "pip" else ():
            dependencies.add_pip_package(reveal(package))
    made.python.conda_dependencies = dependencies


def _registry(entry: Registry, address: str) -> ContainerRegistry:
    made = ContainerRegistry()
    made.address = address
    if entry.username and entry.password:
        made.username, made.password = entry.username, entry.password
    return made if made.username else ContainerRegistry()


def _name(subject: Subject, made: Environment) -> None:
    name, _, version = subject.image.labels.get(LABEL, "").partition(":")
    name = name or subject.name
    made.name = name if not name.startswith(RESERVED) else f"my-{name}"
    made.version = version or None
