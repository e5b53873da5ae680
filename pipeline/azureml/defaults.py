"""What the SDK takes where a script or a file says nothing (azureml-core 1.61.0.post4 and 1.13.0, their constants)."""

from __future__ import annotations

DEFAULT_CPU_IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:20251130.v1"
"""`azureml.core.environment.DEFAULT_CPU_IMAGE`; that of 1.13.0 was intelmpi2018.3-ubuntu16.04:20200821.v1."""

DEFAULT_GPU_IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-cuda11.8-cudnn8-ubuntu22.04"
"""`azureml.core.environment.DEFAULT_GPU_IMAGE`: the SDK has no tag for it, so that it is the latest."""

CUDA_9_IMAGE = "mcr.microsoft.com/azureml/base-gpu:intelmpi2018.3-cuda9.0-cudnn7-ubuntu16.04"
"""What `cuda_version="9.0"` of an inference configuration asked for."""

PYTHON_VERSION = "3.10.18"
"""The Python of `CondaDependencies.create()`, and of an environment file that names none."""

BARE_PYTHON_VERSION = "3.8.13"
"""The Python of `CondaDependencies()`, which the SDK reads from a file of its own (`_project/base_project_files`)."""

CHANNELS = ("anaconda", "conda-forge")
ENVIRONMENT_NAME = "project_environment"

PACKAGE_INDEX = "https://pypi.python.org/simple"
"""The index that the SDK writes into each environment that it creates: the public one, by its old name."""

LABEL = "azureml.environment"
"""The label of an imported image: NAME or NAME:VERSION of the environment that it was."""

AZUREML_DEFAULTS = "azureml-defaults"
AZUREML_DEFAULTS_SINCE = "1.0.45"
"""Azure ML's documents: the oldest release with what the inference stack needs."""
