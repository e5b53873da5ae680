"""Verifies all that is kept: the store, with the services that run from it, and the packed packages of the caches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.home import Home
from pipeline.stages.collect import services
from pipeline.store import Store
from pipeline.store.needed import reachable
from pipeline.store.quarantine import FOLDER
from pipeline.store.verify import Verified
from pipeline.store.verify import verify as verify_store


def verify(
    home: Home, store: Store, *, dry_run: bool = False, told: Callable[[int, int], None] = lambda _done, _of: None
) -> Verified:
    """Reads everything again; what is damaged is removed, but for a `dry_run`."""
    running = reachable(store, services(home))
    return verify_store(
        store,
        frames=lambda: _frames(home.cache / "frames"),
        in_use=lambda digest: digest in running,
        beside=[home.cache / "frames" / FOLDER],
        dry_run=dry_run,
        told=told,
    )


def _frames(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Each packed package, and whether it is whole."""
    from pipeline.assemble import frame_file

    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_file():
            try:
                with path.open("rb") as file:
                    yield path, frame_file.read(file.fileno()) is not None
            except FileNotFoundError:
                continue
            except (OSError, ValueError):
                yield path, False
