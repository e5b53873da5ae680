"""Which workspace a target means: by its ARM id, or by name, resource group and subscription."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.azure.calls import setting
from pipeline.azure.resource import WORKSPACE, ResourceId, parse


def workspace_of(spec: Mapping[str, Any], environ: Mapping[str, str]) -> ResourceId:
    """UsageError for what is missing or malformed."""
    named = setting(spec, "workspace", environ, "AZUREML_WORKSPACE")
    if named.startswith("/"):
        return parse(named, WORKSPACE)
    subscription = setting(spec, "subscription", environ, "AZURE_SUBSCRIPTION_ID")
    group = setting(spec, "resource_group", environ, "AZURE_RESOURCE_GROUP")
    return parse(str(ResourceId(subscription, group, WORKSPACE, named)), WORKSPACE)
