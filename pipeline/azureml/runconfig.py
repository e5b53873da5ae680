"""The default base images, and what environments are made of, under the name of the SDK's own module."""

from __future__ import annotations

from pipeline.azureml.defaults import DEFAULT_CPU_IMAGE, DEFAULT_GPU_IMAGE
from pipeline.azureml.docker import ContainerRegistry

__all__ = ["DEFAULT_CPU_IMAGE", "DEFAULT_GPU_IMAGE", "ContainerRegistry"]
