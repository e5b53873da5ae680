"""What the imported image starts from: Azure ML's base image, or Dockerfile, and the registry that it is in."""

from __future__ import annotations

import re
from typing import Any

from pipeline import reference as references
from pipeline.azureml import defaults
from pipeline.azureml.docker import ContainerRegistry, DockerSection, RegistryIdentity
from pipeline.azureml.environment import Environment
from pipeline.azureml.exceptions import UserErrorException
from pipeline.azureml.importing_parts import Parts, literal
from pipeline.azureml.secret_text import is_reference
from pipeline.azureml.yaml_text import Comment
from pipeline.errors import PipelineError
from pipeline.manifest.model import Secret
from pipeline.manifest.secrets import reveal

_ASKED = "what Azure ML asks of a base of one's own: Ubuntu 16.04, conda 4.5 and Python 3.5, or later"
_DEFAULT = "the SDK's default: the environment names no base"


def base_of(environment: Environment, parts: Parts) -> None:
    """Puts the base and its registry into `parts`. UserErrorException for what cannot be a base."""
    docker = environment.docker
    registry = _registry(docker.base_image_registry, parts)
    if docker.build_context:
        parts.base = _context(docker, parts)
    elif docker.base_dockerfile:
        name = f"{parts.name}.Dockerfile"
        parts.files[name] = docker.base_dockerfile
        parts.base = {"dockerfile": {"path": name}, "requires": Comment("azureml", _ASKED)}
        _check_dockerfile(docker.base_dockerfile)
    elif docker.base_image:
        parts.base = {"image": _image(docker.base_image, registry, parts), "requires": Comment("azureml", _ASKED)}
    else:
        parts.base = {"image": Comment(defaults.DEFAULT_CPU_IMAGE, _DEFAULT)}
        parts.notes.append(f"no base image is named: the default is taken, {defaults.DEFAULT_CPU_IMAGE}")


def _image(name: str, registry: str, parts: Parts) -> Any:
    name = name.strip()
    try:
        for warning in references.warnings(name):
            parts.notes.append(warning)
    except PipelineError as error:
        raise UserErrorException(f"docker.baseImage: {error.message}", remedy=error.remedy) from None
    if not registry:
        return literal(name)
    host = registry.split("/")[0].lower()
    if name.lower().startswith(f"{registry.lower()}/"):
        return {"reference": name[len(registry) + 1 :], "registry": "base"}
    if references.names_host(name) and name.split("/")[0].lower() != host:
        parts.notes.append(f"the base image {name} is not in the registry {registry} that credentials are given for")
        return literal(name)
    path = name.split("/", 1)[1] if references.names_host(name) else name
    if "/" in registry and references.names_host(name):
        # The image is in the same host, and not below the path of the address.
        return literal(name)
    return {"reference": path, "registry": "base"}


def _registry(registry: ContainerRegistry | None, parts: Parts) -> str:
    """The address of the base's private registry, which becomes the entry `base`; nothing for a public one."""
    given = registry or ContainerRegistry()
    facts = {"address": given.address, "username": given.username, "password": given.password}
    missing = [name for name, value in facts.items() if not value]
    identity = given.registry_identity
    managed = identity is not None and bool(identity.client_id or identity.resource_id)
    if len(missing) == len(facts):
        return ""
    if missing and missing != ["username", "password"]:
        raise UserErrorException(
            f"docker.baseImageRegistry has no {' and no '.join(missing)}",
            remedy="give address, username and password; or none of them for a public image",
        )
    assert given.address
    address = given.address.partition("://")[2] if "://" in given.address else given.address
    if not re.fullmatch(r"[A-Za-z0-9.\[\]:-]+(/[a-z0-9._/-]+)?", address.rstrip("/")):
        raise UserErrorException(
            f"docker.baseImageRegistry.address is no registry: '{given.address}'", remedy="host[:port][/path]"
        )
    entry: dict[str, Any] = {"address": address.rstrip("/")}
    if identity is not None and managed:
        entry["azure"] = _identity(identity, address, parts)
    elif given.username and given.password:
        entry |= _password(given, given.username, address, parts)
    parts.registries["base"] = entry
    return str(entry["address"])


def _identity(identity: RegistryIdentity, address: str, parts: Parts) -> dict[str, str]:
    parts.notes.append(f"a managed identity signs in to {address}: this works on machines of Azure that have it")
    if identity.client_id:
        return {"login": "managed", "client_id": literal(identity.client_id)}
    parts.notes.append(f"its resource ID is left out, give its client_id: {identity.resource_id}")
    return {"login": "managed"}


def _password(given: ContainerRegistry, username: str, address: str, parts: Parts) -> dict[str, Any]:
    words = f"set {given.variable} in your environment: the password is not copied"
    parts.notes.append(f"set {given.variable} to the password for {address}: it is not copied")
    if given.password and not is_reference(given.password):
        parts.secrets[given.variable] = Secret(reveal(given.password))
    return {"username": literal(username), "password": Comment(given.to_json()["password"], words)}


def _context(docker: DockerSection, parts: Parts) -> dict[str, Any]:
    context = docker.build_context
    assert context is not None
    kind = {"git": "git repository", "storageAccount": "folder in a storage account"}.get(
        context.location_type or "", ""
    )
    place = context.location or "its place"
    parts.notes.append(f"the build context is a {kind or 'folder elsewhere'}: fetch {place} into ./context first")
    spec = {"path": f"context/{context.dockerfile_path}", "context": "context"}
    return {"dockerfile": Comment(spec, f"fetch {place} into ./context"), "requires": Comment("azureml", _ASKED)}


def _check_dockerfile(text: str) -> None:
    names = (
        line.split()[0].upper() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")
    )
    if "FROM" not in names:
        raise UserErrorException(
            "docker.baseDockerfile has no FROM", remedy="it is the text of a Dockerfile, not the path of one"
        )
