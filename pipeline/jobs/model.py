"""What a job runs, when, and what it needs of its surroundings."""

from __future__ import annotations

from pipeline.manifest.cron import Cron
from pipeline.noun import noun


@noun
class Job:
    """A manifest, by its path from the repository's root (or, for schedulers of one machine, `folder`), and its lock.

    `variables` are those of the environment that the manifest cannot do without. `program` is how the command is called
    on this machine, `requirement` what pip installs elsewhere. Without `schedule`, it runs at commits; that is by
    `timezone` (empty: as the scheduler has it), `remark` is what else there is to say of it, and begins up to `jitter`
    seconds later. `upgrade` names what is then taken anew (empty: everything).
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
    timezone: str = ""
    remark: str = ""
    jitter: float = 0.0
    upgrade: tuple[str, ...] = ()

    @property
    def rebuild(self) -> tuple[str, ...]:
        """The words of the command that takes what is new and rebuilds, but for the program and the manifest."""
        names = [word for name in self.upgrade for word in ("--upgrade", name)]
        return ("run", *(names or ["--upgrade"]))
