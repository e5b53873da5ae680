"""Where a workspace lives: `.pipeline/azureml/NAME` in the project, found from a folder upwards."""

from __future__ import annotations

import json
import time
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.azureml import _versions
from pipeline.azureml._blobs import Blobs
from pipeline.azureml._environments import Environments
from pipeline.azureml._models import Models
from pipeline.azureml._services import Services
from pipeline.azureml.exceptions import UserErrorException
from pipeline.noun import noun
from pipeline.store.scratch import Scratch, writing

INSIDE = Path(".pipeline/azureml")
_FACTS = "workspace.json"
_CONFIGS = (".azureml/config.json", "aml_config/config.json", "config.json", "aml_config/project.json")
"""Where the SDK looks for a workspace's configuration, in this order (azureml-core 1.61, `Workspace.from_config`)."""


@noun
class Named:
    """A workspace as it is named: by a config.json, or by its folder."""

    root: Path
    name: str
    subscription_id: str = ""
    resource_group: str = ""

    @property
    def folder(self) -> Path:
        return self.root / INSIDE / self.name


class WorkspaceFolder:
    """What is in a workspace; nothing is written before something is kept."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.scratch = Scratch(path / "tmp")

    @cached_property
    def models(self) -> Models:
        return Models(self.path / "models", Blobs(self.path / "blobs", self.scratch), self.scratch)

    @cached_property
    def environments(self) -> Environments:
        return Environments(self.path / "environments", self.scratch)

    @cached_property
    def services(self) -> Services:
        return Services(self.path / "services", self.scratch)

    def facts(self) -> dict[str, Any]:
        return _versions.read_json(self.path / _FACTS) or {}

    def make(self, **facts: Any) -> None:
        """Makes the folder, and keeps it out of version control; what is there already stays."""
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            ignore = self.path.parents[1] / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n")
        _versions.write_json(self.path / _FACTS, {"created": time.time(), **self.facts(), **facts}, self.scratch)


def read_config(path: Path) -> Named:
    """The workspace that a config.json names. Raises UserErrorException for a file that names none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        name = value["workspace_name"]
    except OSError as error:
        raise UserErrorException(f"{path}: {error.strerror}", remedy="give the path of a config.json") from error
    except (ValueError, KeyError, TypeError) as error:
        remedy = 'it is to hold {"subscription_id": …, "resource_group": …, "workspace_name": …}'
        raise UserErrorException(f"{path} names no workspace", remedy=remedy) from error
    folder = path.absolute().parent
    root = folder.parent if folder.name in (".azureml", "aml_config") else folder
    return Named(root, str(name), str(value.get("subscription_id") or ""), str(value.get("resource_group") or ""))


def find(start: Path) -> Named | None:
    """The workspace of a project: what a config.json in `start` or above it names, else the only one that is there.

    Raises UserErrorException where there are several, or where a config.json in a folder for it names none.
    """
    above = [start.absolute(), *start.absolute().parents]
    for inner in _CONFIGS:
        for folder in above:
            if (folder / inner).is_file() and (inner != "config.json" or _is_of_workspace(folder / inner)):
                return read_config(folder / inner)
    for folder in above:
        names = there(folder)
        if len(names) == 1:
            return Named(folder, names[0])
        if names:
            listed = ", ".join(names)
            raise UserErrorException(f"there are {len(names)} workspaces in {folder}: {listed}", remedy="name one")
    return None


def find_named(start: Path, name: str) -> Named | None:
    """The workspace of this name that lies in `start` or above it, or that a config.json there names."""
    above = [start.absolute(), *start.absolute().parents]
    if found := next((folder for folder in above if name in there(folder)), None):
        return Named(found, name)
    configs = (folder / inner for inner in _CONFIGS for folder in above)
    named = (read_config(path) for path in configs if path.is_file() and _is_of_workspace(path))
    return next((one for one in named if one.name == name), None)


def there(root: Path) -> list[str]:
    """The workspaces that lie in a folder."""
    inside = root / INSIDE
    return sorted(path.parent.name for path in inside.glob(f"*/{_FACTS}")) if inside.is_dir() else []


def _is_of_workspace(path: Path) -> bool:
    """Many programs have a config.json; one that is not about a workspace is passed by."""
    try:
        return "workspace_name" in json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False
