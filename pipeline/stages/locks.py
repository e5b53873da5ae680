"""The lock beside a manifest: read, and written in one act."""

from __future__ import annotations

from contextlib import suppress

from pipeline.errors import PipelineError
from pipeline.events import Locked, Reporter
from pipeline.lock.model import Lock, changes, dump, parse, path_of
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


def write_lock(
    bench: Bench, old: Lock, resolution: Resolution, report: Reporter | None, seconds: float = 0.0
) -> list[str]:
    """Writes the lock when it says something new; the changes, a line each."""
    path = path_of(bench.manifest.path)
    # Entries of images that this run left out stay; those that nothing in the manifest can use any more go.
    known = {f"bases.{name}" for name in bench.manifest.bases} | {f"layers.{name}" for name in bench.manifest.layers}
    kept = {id_: entry for id_, entry in old.entries.items() if id_.split()[0] in known}
    new = Lock(
        resolution.entries if len(resolution.images) >= len(bench.manifest.images) else {**kept, **resolution.entries}
    )
    if new == old:
        return []
    scratch = path.with_name(f".{path.name}.new")
    try:
        scratch.write_text(dump(new), encoding="utf-8")
        scratch.replace(path)
    except OSError as error:
        with suppress(OSError):
            scratch.unlink()
        remedy = "check its folder's permissions and space; --frozen uses the lock that is there, and writes none"
        raise PipelineError(f"the lock {path} cannot be written: {error.strerror}", remedy=remedy) from error
    moved = changes(old, new)
    if report:
        report(Locked(str(path), moved, seconds))
    return moved
