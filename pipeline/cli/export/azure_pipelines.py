"""`pipeline export azure-pipelines`: a manifest as a pipeline of Azure Pipelines."""

from __future__ import annotations

from pipeline.cli.export._job import exporting

command = exporting(
    "azure-pipelines",
    "Write a manifest's runs as a pipeline of Azure Pipelines.\n\n"
    "Plans each pull request, runs what is committed, and with --schedule takes what is new below the images, "
    "rebuilds, and commits the new lock.",
    "pipeline export azure-pipelines manifests/prod.yaml --schedule '0 3 * * 1'",
)
