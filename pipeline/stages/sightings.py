"""What tags point at in registries at this moment: asked for all of them at once, and once for a plan."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from pipeline.reference import Reference

if TYPE_CHECKING:
    from pipeline.registry.repository import Repository

_PARALLEL = 16


class Sightings:
    """`digest` tells what a tag is. The first question asks for every tag that is expected to be asked for."""

    def __init__(self, repository: Callable[[Reference], Repository]) -> None:
        self._repository = repository
        self._expected: dict[Reference, None] = {}
        self._seen: dict[Reference, Future[str]] = {}
        self._lock = threading.Lock()

    def expect(self, tags: Iterable[Reference]) -> None:
        """Notes tags that will be asked for; nothing goes out yet."""
        self._expected.update(dict.fromkeys(tags))

    def digest(self, tag: Reference) -> str:
        """The digest of what has this tag; empty when the registry has no such tag. OutOfReach."""
        with self._lock:
            if tag not in self._seen:
                self._ask([*self._expected, tag])
        return self._seen[tag].result()

    def _ask(self, tags: Iterable[Reference]) -> None:
        missing = [tag for tag in dict.fromkeys(tags) if tag not in self._seen]
        with ThreadPoolExecutor(min(_PARALLEL, len(missing)), thread_name_prefix="look") as pool:
            self._seen |= {tag: pool.submit(self._look, tag) for tag in missing}

    def _look(self, tag: Reference) -> str:
        from pipeline.registry.problems import NotFound

        try:
            return str(self._repository(tag).resolve(tag.tag).digest)
        except NotFound:
            return ""
