"""Where a model lies: below `azureml-models`, as in an image, or in a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.azureml._names import check_model
from pipeline.azureml.exceptions import ModelNotFoundException, UserErrorException, WebserviceException

if TYPE_CHECKING:
    from pipeline.azureml.workspace import Workspace

FOLDER = "azureml-models"
"""Where models lie in an image, below the app's folder."""


def path_of(model_name: str, version: int | None, workspace: Workspace | None) -> str:
    """As `Model.get_model_path`."""
    if version is not None and not isinstance(version, int):
        raise WebserviceException(f"a version is a whole number, not {version!r}")
    if workspace is None and (found := _unpacked(Path(FOLDER) / model_name, version)):
        return found
    if workspace is None and Path(model_name).exists():
        return model_name
    workspace = workspace or _nearest(model_name)
    models = workspace.contents.models
    return str(models.checked(models.get(check_model(model_name), version)))


def _unpacked(folder: Path, version: int | None) -> str:
    """The one file or folder of a version below `azureml-models/NAME`, by default of the highest; '' for none."""
    if not folder.is_dir():
        return ""
    there = [int(path.name) for path in folder.iterdir() if path.name.isdecimal()]
    number = version if version is not None else max(there, default=None)
    inside = sorted((folder / str(number)).iterdir()) if number in there else []
    return str(inside[0]) if len(inside) == 1 else ""


def _nearest(model: str) -> Workspace:
    from pipeline.azureml.workspace import Workspace

    try:
        return Workspace.from_config()
    except UserErrorException as error:
        remedy = "register it in a workspace, or put it below azureml-models"
        raise ModelNotFoundException(f"ModelNotFound: there is no model {model} here", remedy=remedy) from error
