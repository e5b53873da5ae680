"""What `--ic` and the flags beside it say: entry script, environment, base image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.noun import noun

if TYPE_CHECKING:
    from pipeline.azureml.environment import Environment
    from pipeline.azureml.inference import Find, InferenceConfig
    from pipeline.azureml.workspace import Workspace


@noun
class Said:
    """The flags, empty where not given: their names are those of `az ml model deploy`."""

    inference_config_file: Path | None = None
    entry_script: str = ""
    source_directory: str = ""
    environment_name: str = ""
    environment_version: str = ""
    environment_directory: str = ""
    conda_file: str = ""
    base_image: str = ""
    base_image_registry: str = ""
    runtime: str = ""
    enable_gpu: bool = False


def inference_of(workspace: Workspace, name: str, said: Said) -> InferenceConfig:
    """The configuration. UsageError where too little is said, UserErrorException for what is wrong."""
    from pipeline.azureml.inference import InferenceConfig, read_inference

    if said.runtime and said.runtime.lower() not in ("python", "python-slim"):
        raise UsageError(f"--runtime {said.runtime} cannot be had here", remedy="only python can")
    if said.inference_config_file:
        made = read_inference(said.inference_config_file, finder(workspace))
        made.entry_script = said.entry_script or made.entry_script
        if said.source_directory:
            made.source_directory = str(Path(said.source_directory).resolve())
    elif said.entry_script:
        made = InferenceConfig(said.entry_script, None, said.source_directory or None)
    else:
        raise UsageError("there is no code to serve the models with", remedy="give --ic FILE, or --entry-script FILE")
    chosen = _chosen(workspace, name, said)
    if chosen is not None:
        made.environment = chosen
    if made.environment is not None:
        _base(made.environment, said)
    made.validate_configuration()
    return made


def finder(workspace: Workspace) -> Find:
    """Finds environments that a file only names."""
    from pipeline.azureml.environment import Environment

    return lambda name, version: Environment.get(workspace, name, version or None)


def _chosen(workspace: Workspace, name: str, said: Said) -> Environment | None:
    """The environment that flags name, or make."""
    from pipeline.azureml.environment import Environment

    if said.environment_name:
        return Environment.get(workspace, said.environment_name, said.environment_version or None)
    if said.environment_version:
        raise UsageError("--environment-version without --environment-name", remedy="give both")
    if said.environment_directory:
        return Environment.load_from_directory(said.environment_directory)
    if said.conda_file:
        made = Environment.from_conda_specification(f"{name}-env", said.conda_file)
        made.environment_variables = {}
        made.inferencing_stack_version = "latest"
        return made
    if said.base_image and not said.inference_config_file:
        return Environment(f"{name}-env", _skip_defaults=True)
    return None


def _base(environment: Environment, said: Said) -> None:
    from pipeline.azureml import defaults

    if said.base_image:
        environment.docker.base_image = said.base_image
    elif said.enable_gpu and environment.docker.base_image in (None, defaults.DEFAULT_CPU_IMAGE):
        environment.docker.base_image = defaults.DEFAULT_GPU_IMAGE
    if said.base_image_registry:
        if environment.docker.base_image_registry is None:
            raise UsageError("--base-image-registry and no base image")
        environment.docker.base_image_registry.address = said.base_image_registry
