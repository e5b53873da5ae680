"""What inference configurations said before there were environments (SDK 1.0), as the environment that it stood for.

The SDK does the same (azureml-core 1.61, `convert_parts_to_environment`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.azureml import defaults
from pipeline.azureml.docker import ContainerRegistry
from pipeline.azureml.document import Document
from pipeline.azureml.elements import checked
from pipeline.azureml.environment import Environment
from pipeline.azureml.exceptions import UserErrorException, WebserviceException
from pipeline.noun import noun

KEYS = {
    "runtime": "runtime",
    "condaFile": "conda_file",
    "extraDockerfileSteps": "extra_docker_file_steps",
    "enableGpu": "enable_gpu",
    "baseImage": "base_image",
    "baseImageRegistry": "base_image_registry",
    "cudaVersion": "cuda_version",
}
"""Keys of inferenceconfig.json, and the arguments of `InferenceConfig` that they are."""

_RUNTIMES = ("python", "python-slim")
_GPU = {"10.0": defaults.DEFAULT_GPU_IMAGE, "9.0": defaults.CUDA_9_IMAGE}


@noun
class Older:
    """The settings; paths are relative to the source directory where there is one."""

    runtime: str | None = None
    conda_file: str | None = None
    extra_docker_file_steps: str | None = None
    enable_gpu: bool | None = None
    base_image: str | None = None
    base_image_registry: ContainerRegistry | None = None
    cuda_version: str | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """The names of those that say something."""
        return tuple(name for name in KEYS.values() if getattr(self, name))


def read(value: Mapping[str, Any], document: Document) -> Older:
    """Those in a file. UserErrorException with the place of what is wrong."""
    found: dict[str, Any] = {}
    for key, name in KEYS.items():
        if (part := value.get(key)) is None:
            continue
        if name == "base_image_registry":
            registry = ContainerRegistry.from_json(part, document, (key,))
            found[name] = registry if registry.address else None
        else:
            found[name] = checked("flag" if name == "enable_gpu" else "text", part, document, (key,))
    return Older(**found)


def below(older: Older, folder: Path) -> Older:
    """With its paths relative to a folder."""
    names = ("conda_file", "extra_docker_file_steps")
    paths: dict[str, Any] = {name: str(folder / path) for name in names if (path := getattr(older, name))}
    return replace(older, **paths)


def environment_of(older: Older, source: str | None, server_flaw: Callable[[Environment], str]) -> Environment:
    """The environment that they stand for. WebserviceException for what cannot be had, UserErrorException for files."""
    if older.runtime and older.runtime.lower() not in _RUNTIMES:
        raise WebserviceException(f"the runtime {older.runtime} cannot be had here", remedy="only python can")
    if older.cuda_version and older.cuda_version not in _GPU:
        known = " and ".join(sorted(_GPU))
        raise WebserviceException(
            f"CUDA {older.cuda_version} cannot be had by its version", remedy=f"known are {known}"
        )
    folder = Path(source or ".")
    made = Environment(None)
    if older.conda_file:
        made = Environment.from_conda_specification("", str(folder / older.conda_file))
        made.name = None
    made.environment_variables = {}
    made.docker.base_image = older.base_image
    if older.base_image:
        made.docker.base_image_registry = older.base_image_registry or ContainerRegistry()
    elif older.enable_gpu or older.cuda_version:
        made.docker.base_image = _GPU[older.cuda_version or "10.0"]
    # Those images brought the server by themselves.
    if older.base_image or server_flaw(made):
        made.inferencing_stack_version = "latest"
    if older.extra_docker_file_steps:
        base, steps = made.docker.base_image or defaults.DEFAULT_CPU_IMAGE, folder / older.extra_docker_file_steps
        made.docker.base_dockerfile = f"FROM {base}\n{_text(steps)}"
    return made


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserErrorException(f"{path} cannot be read: {error}") from None
