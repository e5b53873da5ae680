"""A line of crontab(5): a rebuild by the clock, on this machine."""

from __future__ import annotations

import shlex

from pipeline.jobs.model import Job
from pipeline.manifest.cron import Cron

FILE = "-"
NIGHTLY = Cron("0", "3", "*", "*", "*")


def text(job: Job) -> str:
    """The line, and what stands before it. What the run needs of the environment is read from a file, not from here."""
    # In a crontab a percent sign ends the command.
    command = shlex.join([job.program, *job.rebuild, job.manifest]).replace("%", r"\%")
    folder = shlex.quote(job.folder).replace("%", r"\%")
    secrets = f"$HOME/.config/pipeline/{job.name}.env"
    load = f'set -a; . "{secrets}"; set +a; ' if job.variables else ""
    lines = [f"# {job.name}: what is new below its images, each time the clock says so. Mail only when it fails."]
    if job.variables:
        lines.append(f'# {", ".join(f"{name}=…" for name in job.variables)} in "{secrets}", of mode 600.')
    if job.timezone:
        lines.append(
            "# For this line and those below it. cronie knows it; Debian's cron goes by the machine's time zone."
        )
        lines.append(f"CRON_TZ={job.timezone}")
    log = f'"$HOME/.local/state/pipeline-{job.name}.log"'
    failed = f"{{ tail -n 40 {log}; false; }}"
    lines.append(f"{job.schedule or NIGHTLY} {load}cd {folder} && {command} >{log} 2>&1 || {failed}")
    return "\n".join(lines) + "\n"
