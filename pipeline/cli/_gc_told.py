"""What a collection did, for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.digest import short
from pipeline.reporters.lines import number, size
from pipeline.stages.collect import Cleared


def told(done: Cleared, dry_run: bool, verbose: bool, keep: int | None) -> Iterator[str]:
    """A line for each kind of thing that went, and a last one worth reading alone; with `verbose` one for each."""
    if verbose:
        for item in done.store.items:
            yield f"{item.kind}  {short(item.digest) if item.digest else item.path.name}  {size(item.size)}"
        for each in done.aged:
            yield f"{each.kind}  {each.path}  {size(each.size)}"
    for name in done.store.forgotten:
        yield f"manifest {name} is gone: its images' names and tags go, too"
    for kind, sizes in _kinds(done).items():
        yield f"{number(len(sizes), kind, _plural(kind)):<24}{size(sum(sizes)):>9}"
    if done.store.rows:
        yield f"{number(done.store.rows, 'row')} of the database"
    if done.spared:
        yield f"{number(done.store.runs, 'run')} at work: what it counts on stays, and so do the caches"
    total = sum(sum(sizes) for sizes in _kinds(done).values())
    left = done.store.total - done.store.size
    if not _kinds(done):
        yield f"nothing to remove: all {size(left)} of the store are needed or too new"
    else:
        yield f"{'would free' if dry_run else 'freed'} {size(total)}; the store {_has(dry_run)} {size(left)}"
    if keep is not None and left > keep:
        yield f"more than {size(keep)} are needed"


def _has(dry_run: bool) -> str:
    return "would have" if dry_run else "has"


def _plural(kind: str) -> str:
    return "" if kind != "cache" else "files of caches"


def _kinds(done: Cleared) -> dict[str, Sequence[int]]:
    kinds: dict[str, list[int]] = {}
    for item in done.store.items:
        kinds.setdefault(item.kind, []).append(item.size)
    for each in done.aged:
        kinds.setdefault(each.kind, []).append(each.size)
    return dict(kinds)


def to_json(done: Cleared, dry_run: bool) -> dict[str, Any]:
    """`left` are the bytes of the store afterwards; sizes are in bytes."""
    return {
        "dry_run": dry_run,
        "removed": [
            *(
                {"kind": item.kind, "digest": item.digest, "path": str(item.path), "size": item.size}
                for item in done.store.items
            ),
            *({"kind": each.kind, "path": str(each.path), "size": each.size} for each in done.aged),
        ],
        "size": done.store.size + sum(each.size for each in done.aged),
        "left": done.store.total - done.store.size,
        "rows": done.store.rows,
        "manifests": list(done.store.forgotten),
        "runs": done.store.runs,
    }
