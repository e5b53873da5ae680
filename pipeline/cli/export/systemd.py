"""`pipeline export systemd`: a manifest as a timer of systemd."""

from __future__ import annotations

from pipeline.cli.export._job import exporting

command = exporting(
    "systemd",
    "Write a manifest's runs as a service and a timer of systemd.\n\n"
    "Takes what is new below the images, and rebuilds, by the clock of this machine (03:00 when no schedule is given).",
    "pipeline export systemd manifests/prod.yaml --schedule '0 3 * * 1'",
)
