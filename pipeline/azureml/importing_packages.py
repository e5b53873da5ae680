"""The packages of an environment as a conda layer, with its pip packages in it: wheels beside what conda brings."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.azureml import defaults
from pipeline.azureml.conda_dependencies import CondaDependencies
from pipeline.azureml.environment import Environment
from pipeline.azureml.importing_addresses import guarded
from pipeline.azureml.importing_parts import Parts, literal

_INDEX = re.compile(
    rf"--(?:find-links|extra-index-url|index-url)[= ]{re.escape(defaults.PACKAGE_INDEX)}(?:/index\.html)?/?"
)


def packages_of(environment: Environment, parts: Parts, near: Callable[[Path | str], str]) -> None:
    """Adds the layer, unless the base brings all (userManagedDependencies)."""
    python = environment.python
    conda = python.conda_dependencies
    if python.user_managed_dependencies:
        if conda is not None and [*conda.pip_packages]:
            parts.notes.append("userManagedDependencies is on: the environment's packages are the base's own matter")
        return
    prefix = f"/azureml-envs/{_prefix_name(conda, environment)}"
    if conda is not None:
        parts.add_layer("packages", {"conda": {**_spec(conda, parts), "prefix": prefix}})
    elif python.conda_dependencies_file:
        parts.add_layer("packages", {"conda": {"file": near(python.conda_dependencies_file), "prefix": prefix}})


def _spec(conda: CondaDependencies, parts: Parts) -> dict[str, Any]:
    data = conda.as_dict()
    for name, value in (data.get("variables") or {}).items():
        parts.env[name] = literal(str(value))
    if data.get("prefix"):
        parts.notes.append(f"the conda environment's prefix is left out: {data['prefix']}")
    channels = [guarded(each, parts) for each in data.get("channels") or ["defaults"]]
    return {"channels": channels, "dependencies": _items(data, parts)}


def _items(data: dict[str, Any], parts: Parts) -> list[Any]:
    """Conda's packages, and those of pip; what asks for the public package index asks for nothing special."""
    items = data.get("dependencies") or []
    found: list[Any] = [guarded(item, parts) for item in items if isinstance(item, str)]
    lines = [line for item in items if isinstance(item, dict) for line in item["pip"]]
    # Lines of a requirements file: empty ones and comments mean nothing.
    wanted = [
        line for line in lines if line.strip() and not line.lstrip().startswith("#") and not _INDEX.fullmatch(line)
    ]
    pip = [guarded(line, parts) for line in wanted]
    found += [{"pip": pip}] if pip else []
    return found or [f"python={defaults.PYTHON_VERSION}"]


def _prefix_name(conda: CondaDependencies | None, environment: Environment) -> str:
    name = (conda.as_dict().get("name") if conda is not None else "") or environment.name or "env"
    return re.sub(r"[^A-Za-z0-9._-]", "_", name).strip(".") or "env"
