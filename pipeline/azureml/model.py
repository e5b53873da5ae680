"""`Model` as the SDK has it: registered in the workspace's folder, by content, in versions that never change."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.azureml._models import Labels, StoredModel
from pipeline.azureml._names import check_model, parse_model_id
from pipeline.azureml.exceptions import ModelNotFoundException, UserErrorException, WebserviceException
from pipeline.azureml.inference import InferenceConfig

if TYPE_CHECKING:
    from pipeline.azureml.compute import ComputeTarget
    from pipeline.azureml.deployment import DeploymentConfig
    from pipeline.azureml.webservice import Webservice
    from pipeline.azureml.workspace import Workspace

Filter = Sequence[str | Sequence[str]]
"""Tags or properties to look for: 'key', or ['key', 'value']."""


class Model:
    """A version of a model: `Model(ws, id="mymodel:1")`, `Model(ws, "mymodel", version=1)`, or the newest of a name.

    Raises ModelNotFoundException where the workspace has no such version.
    """

    class Framework:
        """Names of frameworks, for `model_framework`."""

        CUSTOM = "Custom"
        MULTI = "Multi"
        ONNX = "Onnx"
        SCIKITLEARN = "ScikitLearn"
        TENSORFLOW = "TensorFlow"

    def __init__(
        self,
        workspace: Workspace,
        name: str | None = None,
        id: str | None = None,
        tags: Filter | None = None,
        properties: Filter | None = None,
        version: int | str | None = None,
        model_framework: str | None = None,
        **_azure: object,
    ) -> None:
        if not (name or id):
            raise WebserviceException("a model needs a name or an id", remedy='as in Model(ws, id="mymodel:1")')
        wanted, number = parse_model_id(id or name or "")
        if version is not None:
            wanted, number = parse_model_id(f"{wanted}:{version}")
        if number is not None:
            self._take(workspace, workspace.contents.models.get(wanted, number))
            return
        listed = Model.list(workspace, wanted, tags=tags, properties=properties, model_framework=model_framework)
        if not listed:
            # Says which there are.
            workspace.contents.models.get(wanted)
            raise ModelNotFoundException(f"ModelNotFound: no version of {wanted} has these tags and properties")
        self._take(workspace, max((one._stored for one in listed), key=lambda stored: stored.version))

    def _take(self, workspace: Workspace, stored: StoredModel) -> None:
        self.workspace = workspace
        self._stored = stored
        self.name, self.version, self.id = stored.name, stored.version, stored.id
        self.tags, self.properties = dict(stored.labels.tags), dict(stored.labels.properties)
        self.description = stored.labels.description or None
        self.created_time = datetime.fromtimestamp(stored.created, UTC)
        self.model_framework = stored.framework or None
        self.model_framework_version = stored.framework_version or None
        self.url = f"{stored.id}/{stored.top}"
        self.unpack = False

    @classmethod
    def _of(cls, workspace: Workspace, stored: StoredModel) -> Model:
        self = cls.__new__(cls)
        self._take(workspace, stored)
        return self

    @staticmethod
    def register(
        workspace: Workspace,
        model_path: str | os.PathLike[str],
        model_name: str,
        tags: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        description: str | None = None,
        datasets: object = None,
        model_framework: str | None = None,
        model_framework_version: str | None = None,
        child_paths: Sequence[str] | None = None,
        **_azure: object,
    ) -> Model:
        """Makes the file or folder the next version of the model; only the `child_paths` of a folder, if given.

        Raises WebserviceException for a wrong name, UserErrorException for a path that is not there or holds no file.
        """
        if datasets:
            raise UserErrorException("models here know of no data sets", remedy="leave out `datasets`")
        labels = Labels(_texts(tags, "tags"), _texts(properties, "properties"), description or "")
        framework = (model_framework, model_framework_version)
        print(f"Registering model {model_name}", flush=True)
        return register(workspace, model_path, model_name, labels, framework, child_paths or ())

    @staticmethod
    def list(
        workspace: Workspace,
        name: str | None = None,
        tags: Filter | None = None,
        properties: Filter | None = None,
        run_id: str | None = None,
        latest: bool = False,
        model_framework: str | None = None,
        **_azure: object,
    ) -> list[Model]:
        """The versions of one model or of all, the newest first; with `latest`, one of each name."""
        for what, wanted in (("tags", tags), ("properties", properties)):
            if wanted is not None and not isinstance(wanted, list):
                remedy = 'as in ["key", ["other", "its value"]]'
                raise UserErrorException(f"{what} are looked for by a list, not {type(wanted).__name__}", remedy=remedy)
        found = [] if run_id else workspace.contents.models.list(name or "")
        newest = {stored.name: max(one.version for one in found if one.name == stored.name) for stored in found}
        return [
            Model._of(workspace, stored)
            for stored in found
            if has(stored.labels.tags, tags or ())
            and has(stored.labels.properties, properties or ())
            and (not model_framework or stored.framework == model_framework)
            and (not latest or stored.version == newest[stored.name])
        ]

    @staticmethod
    def get_model_path(
        model_name: str, version: int | None = None, _workspace: Workspace | None = None, **_azure: object
    ) -> str:
        """Where a model's file or folder lies: below `azureml-models` of the current folder, as in an image, else in
        the workspace, which is to be read only; else `model_name` itself, where that is a path.
        """
        from pipeline.azureml.model_path import path_of

        return path_of(model_name, version, _workspace)

    def download(
        self, target_dir: str | os.PathLike[str] = ".", exist_ok: bool = False, exists_ok: bool | None = None
    ) -> str:
        """Copies the model into a folder; the path of its file or folder there. Raises WebserviceException where that
        is taken, and not `exist_ok`.
        """
        source = self.workspace.contents.models.checked(self._stored)
        place = Path(target_dir) / self._stored.top
        if place.exists() and not (exists_ok or exist_ok):
            raise WebserviceException(f"{place} is there already", remedy="say exist_ok=True to replace it")
        for file in self._stored.files:
            copy = Path(target_dir) / file.path
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.unlink(missing_ok=True)
            shutil.copyfile(source.parent / file.path, copy)
        return str(place)

    def update(self, tags: Mapping[str, str] | None = None, description: str | None = None, **_azure: object) -> None:
        """Replaces tags, description, or both."""
        labels = self._stored.labels
        wanted = Labels(
            labels.tags if tags is None else _texts(tags, "tags"),
            labels.properties,
            labels.description if description is None else description,
        )
        self._label(wanted)

    def update_tags_properties(
        self,
        add_tags: Mapping[str, str] | None = None,
        remove_tags: Iterable[str] | None = None,
        add_properties: Mapping[str, str] | None = None,
    ) -> None:
        """Adds and removes tags; properties can only be added."""
        labels = self._stored.labels
        gone = [remove_tags] if isinstance(remove_tags, str) else list(remove_tags or ())
        tags = {**labels.tags, **_texts(add_tags, "tags")}
        properties = {**_texts(add_properties, "properties"), **labels.properties}
        kept = {key: text for key, text in tags.items() if key not in gone}
        self._label(Labels(kept, properties, labels.description))

    def add_tags(self, tags: Mapping[str, str]) -> None:
        self.update_tags_properties(add_tags=tags)

    def remove_tags(self, tags: Iterable[str]) -> None:
        self.update_tags_properties(remove_tags=tags)

    def add_properties(self, properties: Mapping[str, str]) -> None:
        self.update_tags_properties(add_properties=properties)

    def _label(self, labels: Labels) -> None:
        self._take(self.workspace, self.workspace.contents.models.label(self._stored, labels))

    def delete(self) -> None:
        """Forgets this version; its number is never given again. Raises WebserviceException where a service has it."""
        from pipeline.azureml.webservice import Webservice

        if users := [service.name for service in Webservice.list(self.workspace, model_id=self.id)]:
            remedy = "delete the services first"
            raise WebserviceException(f"model {self.id} is in use by {', '.join(users)}", remedy=remedy)
        self.workspace.contents.models.delete(self._stored)

    def serialize(self) -> dict[str, Any]:
        """What is known of the model, under the SDK's keys, and its files."""
        return {
            "createdTime": self.created_time.isoformat(),
            "description": self.description,
            "framework": self.model_framework,
            "frameworkVersion": self.model_framework_version,
            "id": self.id,
            "name": self.name,
            "properties": self.properties,
            "tags": self.tags,
            "url": self.url,
            "version": self.version,
            "files": [{"path": file.path, "size": file.size, "sha256": file.sha256} for file in self._stored.files],
        }

    @staticmethod
    def deploy(
        workspace: Workspace,
        name: str,
        models: Sequence[Model | str],
        inference_config: InferenceConfig | None = None,
        deployment_config: DeploymentConfig | None = None,
        deployment_target: ComputeTarget | None = None,
        overwrite: bool = False,
        show_output: bool = False,
    ) -> Webservice:
        """Builds the image and starts the service; a local one of this name is replaced, another only to `overwrite`.

        Returns when it serves or has failed: `wait_for_deployment` tells. Raises WebserviceException for wrong
        arguments and for an image that cannot be made.
        """
        from pipeline.azureml.deploying import Wanted, deploy

        wanted = Wanted(name, models, inference_config, deployment_config, deployment_target, overwrite)
        return deploy(workspace, wanted, show_output=show_output)

    def __repr__(self) -> str:
        return f"Model(workspace={self.workspace!r}, name={self.name!r}, id={self.id!r}, version={self.version})"


def register(
    workspace: Workspace,
    path: str | os.PathLike[str],
    name: str,
    labels: Labels | None = None,
    framework: tuple[str | None, str | None] = (None, None),
    children: Sequence[str] = (),
) -> Model:
    """As `Model.register`, without a word."""
    check_model(name)
    if framework[1] is not None and framework[0] is None:
        remedy = "give the framework, too"
        raise WebserviceException("a framework's version was given without the framework", remedy=remedy)
    if str(path).lower().startswith(("http:", "https:", "wasb:", "wasbs:")):
        remedy = "download it, and register the file"
        raise UserErrorException(f"a model is registered from a file or a folder, not {path}", remedy=remedy)
    known = (framework[0] or "", framework[1] or "")
    stored = workspace.contents.models.register(
        name, Path(path), labels or Labels(), framework=known, children=tuple(children)
    )
    return Model._of(workspace, stored)


def _texts(value: Mapping[str, str] | None, what: str) -> dict[str, str]:
    if value is not None and not isinstance(value, Mapping):
        raise UserErrorException(f"{what} are a dict of texts, not {type(value).__name__}")
    return {str(key): str(text) for key, text in (value or {}).items()}


def has(found: Mapping[str, str], wanted: Filter) -> bool:
    pairs = [(one,) if isinstance(one, str) else tuple(one) for one in wanted]
    return all(pair[0] in found and (len(pair) < 2 or found[pair[0]] == pair[1]) for pair in pairs)


__all__ = ["InferenceConfig", "Model", "has", "register"]
