"""Azure ML's SDK v1 without Azure: scripts run after their import line is changed, on this machine or on a cluster.

`from azureml.core import Workspace` becomes `from pipeline.azureml import Workspace`; what the SDK has in its modules
`environment`, `model`, `webservice`, `compute`, `conda_dependencies`, `container_registry`, `authentication`,
`resource_configuration`, `runconfig` (the default images), `workspace` and `exceptions` is here in theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.azureml.compute import AksCompute, ComputeTarget
    from pipeline.azureml.conda_dependencies import CondaDependencies
    from pipeline.azureml.defaults import DEFAULT_CPU_IMAGE, DEFAULT_GPU_IMAGE
    from pipeline.azureml.environment import ContainerRegistry, Environment
    from pipeline.azureml.inference import InferenceConfig
    from pipeline.azureml.model import Model
    from pipeline.azureml.webservice import AciWebservice, AksWebservice, LocalWebservice, Webservice
    from pipeline.azureml.workspace import Workspace

_HOMES = {
    "AciWebservice": "webservice",
    "AksCompute": "compute",
    "AksWebservice": "webservice",
    "ComputeTarget": "compute",
    "CondaDependencies": "conda_dependencies",
    "ContainerRegistry": "environment",
    "DEFAULT_CPU_IMAGE": "defaults",
    "DEFAULT_GPU_IMAGE": "defaults",
    "Environment": "environment",
    "InferenceConfig": "inference",
    "LocalWebservice": "webservice",
    "Model": "model",
    "Webservice": "webservice",
    "Workspace": "workspace",
}


def __getattr__(name: str) -> Any:
    """Imports on first use: a command that asks for a file's reader needs no service."""
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(f"pipeline.azureml.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'pipeline.azureml' has no attribute {name!r}")


__all__ = [
    "DEFAULT_CPU_IMAGE",
    "DEFAULT_GPU_IMAGE",
    "AciWebservice",
    "AksCompute",
    "AksWebservice",
    "ComputeTarget",
    "CondaDependencies",
    "ContainerRegistry",
    "Environment",
    "InferenceConfig",
    "LocalWebservice",
    "Model",
    "Webservice",
    "Workspace",
]
