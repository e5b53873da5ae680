"""What others have changed of a service since it passed the gate."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.errors import OutOfReach, UsageError
from pipeline.targets.model import Release, Target
from pipeline.targets.remote import Difference, RemoteTarget


def drift(target: Target, passed: Release) -> Sequence[Difference]:
    """What is live otherwise than it was when it passed the gate; nothing of a target that does not tell."""
    try:
        return target.differences(passed) if isinstance(target, RemoteTarget) else ()
    except (OutOfReach, UsageError):
        return ()


def told(differences: Sequence[Difference], most: int = 3) -> str:
    """The first differences in one line."""
    more = f" and {len(differences) - most} more" if len(differences) > most else ""
    return ", ".join(str(one) for one in differences[:most]) + more
