"""`pipeline export gitlab-ci`: a manifest as the jobs of GitLab CI/CD."""

from __future__ import annotations

from pipeline.cli.export._job import exporting

command = exporting(
    "gitlab-ci",
    "Write a manifest's runs as the jobs of GitLab CI/CD.\n\n"
    "Plans each pull request, runs what is committed, and with --schedule takes what is new below the images, "
    "rebuilds, and commits the new lock.",
    "pipeline export gitlab-ci manifests/prod.yaml --schedule '0 3 * * 1'",
)
