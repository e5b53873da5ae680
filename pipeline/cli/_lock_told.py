"""What `pipeline lock` says: what changed, what would, or how two locks differ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli._shell import Shell

if TYPE_CHECKING:
    from pipeline.lock.model import Lock


def compared(shell: Shell, path: Path, since: str, until: str) -> int:
    """The difference of two locks that are there, `until` by default the one at `path`. The exit code."""
    from pipeline.lock.diff import changes
    from pipeline.stages.locks import lock_of

    old, new = lock_of(since, path), lock_of(until or str(path), path)
    if shell.json:
        shell.value({"lock": str(path), "changed": old != new, "written": False, **_json(old, new)})
        return 0
    for line in changes(old, new) or [f"nothing differs from {since}"]:
        shell.line(line)
    return 0


def tell(shell: Shell, path: Path, old: Lock, new: Lock, writes: bool) -> None:
    """What differs between the lock that was there and the new one, written or not."""
    from pipeline.lock.diff import changes

    changed = old != new
    if shell.json:
        shell.value({"lock": str(path), "changed": changed, "written": changed and writes, **_json(old, new)})
        return
    lines = changes(old, new)
    for line in lines:
        shell.line(line)
    count = f"{len(lines)} change{'' if len(lines) == 1 else 's'}" if lines else "only its format"
    if not changed:
        shell.line(f"{path} is up to date")
    elif writes:
        shell.line(f"{path} written: {count}")
    else:
        shell.line(f"{path} would change: {count}; run 'pipeline lock {path.with_suffix('.yaml')}' and commit it")


def _json(old: Lock, new: Lock) -> dict[str, object]:
    from dataclasses import asdict

    from pipeline.lock.diff import changes, differences

    return {"changes": changes(old, new), "differences": [asdict(change) for change in differences(old, new)]}
