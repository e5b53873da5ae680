"""`ContainerRegistry` under the name of the SDK's own module."""

from __future__ import annotations

from pipeline.azureml.docker import ContainerRegistry, RegistryIdentity

__all__ = ["ContainerRegistry", "RegistryIdentity"]
