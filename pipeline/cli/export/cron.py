"""`pipeline export cron`: a manifest as a line for crontab."""

from __future__ import annotations

from pipeline.cli.export._job import exporting

command = exporting(
    "cron",
    "Write a manifest's runs as a line for crontab.\n\n"
    "Takes what is new below the images, and rebuilds, by the clock of this machine (03:00 when no schedule is given).",
    "pipeline export cron manifests/prod.yaml --schedule '0 3 * * 1'",
)
