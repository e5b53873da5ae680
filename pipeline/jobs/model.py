"""What a job runs, when, and what it needs of its surroundings."""

from __future__ import annotations

from pipeline.manifest.cron import Cron
from pipeline.noun import noun


@noun
class Job:
    """A manifest, by its path from the repository's root (or, for schedulers of one machine, `folder`), and its lock.

    `variables` are those of the environment that the manifest cannot do without. `program` is how the command is called
    on this machine, `requirement` what pip installs elsewhere. Without `schedule`, it runs at commits.
    """

    name: str
    manifest: str
    lock: str
    variables: tuple[str, ...] = ()
    schedule: Cron | None = None
    branch: str = "main"
    requirement: str = "pipeline-images"
    folder: str = ""
    program: str = "pipeline"
