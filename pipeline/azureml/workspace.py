"""`Workspace` as the SDK has it, kept in a folder of the project instead of in Azure."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.azureml import _folder
from pipeline.azureml._folder import Named, WorkspaceFolder
from pipeline.azureml._names import check_workspace
from pipeline.azureml.exceptions import UserErrorException, WorkspaceException

if TYPE_CHECKING:
    from pipeline.azureml.compute import ComputeTarget
    from pipeline.azureml.environment import Environment
    from pipeline.azureml.model import Model
    from pipeline.azureml.webservice import Webservice


class Workspace:
    """Where models, environments and services are kept.

    `Workspace(subscription_id, resource_group, workspace_name)` finds one that is there, from the current folder
    upwards, as `Workspace.get` does; raises WorkspaceException where there is none. What concerns Azure alone (`auth`
    and the like) is taken and not used.
    """

    _subscription_id: str
    _resource_group: str

    def __init__(
        self,
        subscription_id: str = "",
        resource_group: str = "",
        workspace_name: str = "",
        _auth: object = None,
        **_azure: object,
    ) -> None:
        check_workspace(workspace_name)
        named = _folder.find_named(Path(), workspace_name)
        if named is None:
            remedy = f'make one: Workspace.create(name="{workspace_name}")'
            raise WorkspaceException(f"there is no workspace {workspace_name} here or above", remedy=remedy)
        self._open(named, os.environ)
        self._subscription_id = subscription_id or self._subscription_id
        self._resource_group = resource_group or self._resource_group

    def _open(self, named: Named, environ: Mapping[str, str]) -> None:
        self.contents = WorkspaceFolder(named.folder)
        self.environ = environ
        # What scripts give in clear is kept in memory alone.
        self.secrets: dict[str, str] = {}
        self._named = named
        facts = self.contents.facts()
        self._subscription_id = named.subscription_id or str(facts.get("subscription_id") or "")
        self._resource_group = named.resource_group or str(facts.get("resource_group") or "")
        self.location = str(facts.get("location") or "local")
        self.tags: dict[str, str] = dict(facts.get("tags") or {})

    @classmethod
    def of(cls, named: Named, environ: Mapping[str, str] | None = None) -> Workspace:
        """The workspace of this name, made if it is not there. `environ` is what its deployments see."""
        self = cls.__new__(cls)
        check_workspace(named.name)
        self._open(named, os.environ if environ is None else environ)
        if not self.contents.facts():
            self.contents.make(subscription_id=named.subscription_id, resource_group=named.resource_group)
        return self

    @staticmethod
    def from_config(path: str | os.PathLike[str] | None = None, _auth: object = None, **_azure: object) -> Workspace:
        """The workspace that a config.json names: that file, or the nearest from a folder upwards (default: the
        current one); else the only workspace that lies there. Raises UserErrorException where there is none.

        A config.json stands for a workspace in Azure: the local one is made when it is first used.
        """
        start = Path(path or ".")
        if start.is_file():
            return Workspace.of(_folder.read_config(start))
        named = _folder.find(start)
        if named is None:
            where = start.absolute()
            remedy = 'put it there, or make a workspace: Workspace.create(name="myworkspace")'
            raise UserErrorException(f"there is no config.json of a workspace in {where} or above", remedy=remedy)
        return Workspace.of(named)

    @staticmethod
    def create(
        name: str,
        _auth: object = None,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        location: str | None = None,
        exist_ok: bool = False,
        tags: Mapping[str, str] | None = None,
        **_azure: object,
    ) -> Workspace:
        """Makes a workspace in the current folder. Raises WorkspaceException where it is there and not `exist_ok`."""
        check_workspace(name)
        if name in _folder.there(Path()) and not exist_ok:
            remedy = "take it with Workspace.get, or say exist_ok=True"
            raise WorkspaceException(f"the workspace {name} is there already", remedy=remedy)
        named = Named(Path.cwd(), name, subscription_id or "", resource_group or "")
        facts = {"subscription_id": named.subscription_id, "resource_group": named.resource_group}
        facts |= {"location": location} if location else {}
        WorkspaceFolder(named.folder).make(**facts, **({"tags": dict(tags)} if tags else {}))
        return Workspace.of(named)

    @staticmethod
    def get(
        name: str,
        _auth: object = None,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        **_azure: object,
    ) -> Workspace:
        """The workspace of this name, from the current folder upwards. Raises WorkspaceException."""
        return Workspace(subscription_id or "", resource_group or "", name)

    @staticmethod
    def list(*_azure: object, **_more: object) -> dict[str, list[Workspace]]:
        """The workspaces that lie in the current folder or above, by their names."""
        here = Path.cwd()
        found: dict[str, list[Workspace]] = {}
        for folder in (here, *here.parents):
            for name in _folder.there(folder):
                found.setdefault(name, []).append(Workspace.of(Named(folder, name)))
        return found

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self._named.root

    @property
    def name(self) -> str:
        return self._named.name

    @property
    def subscription_id(self) -> str:
        return self._subscription_id

    @property
    def resource_group(self) -> str:
        return self._resource_group

    @property
    def models(self) -> dict[str, Model]:
        """The newest version of each model."""
        from pipeline.azureml.model import Model

        return {model.name: model for model in Model.list(self, latest=True)}

    @property
    def webservices(self) -> dict[str, Webservice]:
        from pipeline.azureml.webservice import Webservice

        return {service.name: service for service in Webservice.list(self)}

    @property
    def environments(self) -> dict[str, Environment]:
        """The newest version of each environment that was registered."""
        from pipeline.azureml.environment import Environment

        return Environment.list(self)

    @property
    def compute_targets(self) -> dict[str, ComputeTarget]:
        from pipeline.azureml.compute import ComputeTarget

        return {target.name: target for target in ComputeTarget.list(self)}

    def get_details(self) -> dict[str, Any]:
        """What is known of the workspace, under the SDK's keys, and `folder`, where it is kept."""
        facts = self.contents.facts()
        made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(facts.get("created") or 0))
        scope = f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
        kind = "Microsoft.MachineLearningServices/workspaces"
        return {
            "id": f"{scope}/providers/{kind}/{self.name}",
            "name": self.name,
            "location": self.location,
            "type": kind,
            "tags": dict(self.tags),
            "friendlyName": self.name,
            "creationTime": made,
            "containerRegistry": None,
            "folder": str(self.contents.path),
        }

    def write_config(self, path: str | None = None, file_name: str | None = None) -> None:
        """Writes the config.json that `from_config` finds: in `.azureml` of the current or of another folder."""
        import json

        place = Path(path or ".") / ".azureml" / (file_name or "config.json")
        place.parent.mkdir(parents=True, exist_ok=True)
        known = {"subscription_id": self.subscription_id, "resource_group": self.resource_group}
        place.write_text(json.dumps({**known, "workspace_name": self.name}, indent=4) + "\n")

    def delete(self, *_azure: object, **_more: object) -> None:
        """Stops the workspace's services and removes its folder, models and all."""
        for service in self.webservices.values():
            service.delete()
        shutil.rmtree(self.contents.path, ignore_errors=True)

    def __repr__(self) -> str:
        return f"Workspace(name={self.name!r}, folder={str(self.contents.path)!r})"
