"""`pipeline export github-actions`: a manifest as a workflow of GitHub Actions."""

from __future__ import annotations

from pipeline.cli.export._job import exporting

command = exporting(
    "github-actions",
    "Write a manifest's runs as a workflow of GitHub Actions.\n\n"
    "Plans each pull request, runs what is committed, and with --schedule takes what is new below the images, "
    "rebuilds, and commits the new lock.",
    "pipeline export github-actions manifests/prod.yaml --schedule '0 3 * * 1'",
)
