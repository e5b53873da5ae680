"""What a server does that has lost its database: nothing that it cannot know is guessed, and nothing is run unasked."""

from __future__ import annotations

import contextlib
from pathlib import Path

from pipeline.serve import opening
from pipeline.serve.database import Database
from pipeline.serve.git.mirror import mirrored
from pipeline.serve.web.sessions import KEY

_FACT = "lost/"


def note(database: Database, state: Path, logs: Path) -> str:
    """To be called in the transaction that makes the tables of an empty database: what there is to say of the one that
    was there before, "" where there was none.

    The repositories that are mirrored below `state` were watched: what of theirs was applied is not known. Logs of jobs
    that nobody knows are set aside, and their numbers not given again. Sessions end: who has signed out is not known.
    """
    names = mirrored(state)
    if not names:
        return ""
    why = database.lost or f"{database.path.name} was removed"
    for name in names:
        database.keep(_FACT + name, why)
    numbers = [int(path.stem) for path in logs.glob("*.*") if path.stem.isdigit()]
    database.execute("INSERT INTO sqlite_sequence VALUES ('jobs', ?)", max(numbers, default=0))
    with contextlib.suppress(OSError):
        (state / KEY).unlink(missing_ok=True)
        if numbers:
            folder = opening.aside(state)
            folder.mkdir(parents=True, exist_ok=True)
            logs.replace(folder / logs.name)
    one = len(names) == 1
    held = f"repository {names[0]} is held" if one else f"{len(names)} repositories are held"
    return f"{why}: {held} until somebody accepts {'its' if one else 'their'} newest commit (docs/serve.md)"


def of(database: Database, repository: str) -> str:
    """Why it is not known what of a repository was applied; "" where that is known."""
    return str(database.fact(_FACT + repository) or "")


def over(database: Database, repository: str) -> None:
    """A commit of the repository was applied."""
    database.forget(_FACT + repository)


__all__ = ["note", "of", "over"]
