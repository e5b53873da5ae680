"""The lock beside a manifest: read, and written in one act."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pipeline.digest import cache_key
from pipeline.errors import PipelineError, UsageError
from pipeline.events import Locked, Reporter, Warned
from pipeline.lock.model import Lock, head_of, path_of
from pipeline.lock.text import dump, parse
from pipeline.lock.upgrade import Upgrade, selection
from pipeline.stages.bench import Bench
from pipeline.stages.resolve import Resolution


def read_lock(bench: Bench) -> Lock:
    """The lock beside the manifest; an empty one when there is none yet."""
    path = path_of(bench.manifest.path)
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        return Lock()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise PipelineError(f"the lock {path} cannot be read: {why}", remedy="give back what Git has") from error


def lock_of(name: str, path: Path) -> Lock:
    """The lock in the file `name`, or the one that `path` was in the Git revision `name`. UsageError for neither."""
    if Path(name).is_file():
        return parse(Path(name).read_text(encoding="utf-8"), name)
    import subprocess

    if name.endswith(".lock") or name.startswith("-"):
        raise UsageError(f"there is no lock '{name}'", remedy="name a lock file or a Git revision")
    command = ["git", "-C", str(path.parent), "show", f"{name}:./{path.name}"]
    try:
        shown = subprocess.run(command, capture_output=True, check=False)
    except OSError as error:
        raise UsageError(f"there is no lock '{name}', and no git to ask", remedy="name a lock file") from error
    if shown.returncode:
        said = shown.stderr.decode(errors="replace").strip().splitlines() or ["git failed"]
        raise UsageError(f"'{name}' has no {path.name}: {said[0]}", remedy="name a lock file or a Git revision")
    return parse(shown.stdout.decode(errors="replace"), f"{name}:{path.name}")


def anew(bench: Bench, lock: Lock, names: Sequence[str]) -> Upgrade:
    """What to ask anew by names of the manifest and of the lock (lock.upgrade.selection). UsageError."""
    if not names:
        return Upgrade()
    manifest = bench.manifest
    heads = [*(f"bases.{name}" for name in manifest.bases), *(f"layers.{name}" for name in manifest.layers)]
    return selection(names, lock, heads)


def merged(bench: Bench, old: Lock, resolution: Resolution) -> Lock:
    """The lock to write: what images that were left out need stays, what nothing can use any more goes."""
    made, manifest = resolution.lock, bench.manifest
    if len({resolved.image.name for resolved in resolution.images}) >= len(manifest.images):
        return made
    known = {f"bases.{name}" for name in manifest.bases} | {f"layers.{name}" for name in manifest.layers}
    entries = {id_: entry for id_, entry in old.entries.items() if head_of(id_) in known}
    files = {head: rows for head, rows in old.files.items() if head in known}
    return Lock({**entries, **made.entries}, {**files, **made.files}, made.packer)


def write_lock(
    bench: Bench, old: Lock, resolution: Resolution, report: Reporter | None, seconds: float = 0.0
) -> list[str]:
    """Writes the lock when it says something new; the changes, a line each."""
    new = merged(bench, old, resolution)
    if new == old:
        return []
    from pipeline.lock.diff import changes

    names_moved = new.entries != old.entries
    try:
        _write(bench, new)
    except PipelineError as error:
        if names_moved or report is None:
            raise
        # What is new are digests of the project's files alone: the run needs no lock for them.
        report(Warned(error.message))
    moved = changes(old, new)
    if report and names_moved:
        report(Locked(str(path_of(bench.manifest.path)), moved, seconds))
    return moved


def _write(bench: Bench, lock: Lock) -> None:
    path = path_of(bench.manifest.path)
    # One name for all, so that a killed run leaves nothing that the next one does not put in place; so one at a time.
    scratch = path.with_name(f".{path.name}.new")
    try:
        with bench.store.guard("lock-" + cache_key(str(path))[:24]):
            scratch.write_text(dump(lock), encoding="utf-8")
            scratch.replace(path)
    except OSError as error:
        with suppress(OSError):
            scratch.unlink()
        remedy = "check its folder's permissions and space; --frozen uses the lock that is there, and writes none"
        raise PipelineError(f"the lock {path} cannot be written: {error.strerror}", remedy=remedy) from error


__all__ = ["anew", "lock_of", "merged", "read_lock", "write_lock"]
