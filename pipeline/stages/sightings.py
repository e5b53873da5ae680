"""What tags point at in registries at this moment: asked for all of them at once, and once for a plan."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError
from pipeline.reference import Reference

if TYPE_CHECKING:
    from pipeline.registry.repository import Repository

_PARALLEL = 16
_EACH = 2
"""Threads at most, and tags for each: each thread needs a connection, and opening one costs as much as asking on it."""


class Sightings:
    """`digest` tells what a tag is. The first question asks for every tag that is expected to be asked for."""

    def __init__(self, repository: Callable[[Reference], Repository]) -> None:
        self._repository = repository
        self._expected: dict[Reference, None] = {}
        self._seen: dict[Reference, str | PipelineError] = {}
        self._lock = threading.Lock()

    def expect(self, tags: Iterable[Reference]) -> None:
        """Notes tags that will be asked for; nothing goes out yet."""
        self._expected.update(dict.fromkeys(tags))

    def forget(self, tags: Iterable[Reference] = ()) -> None:
        """Asks for these again when they are asked for, others may have moved them since; and for what failed."""
        with self._lock:
            failed = [tag for tag, found in self._seen.items() if isinstance(found, PipelineError)]
            for tag in (*tags, *failed):
                self._seen.pop(tag, None)

    def digest(self, tag: Reference) -> str:
        """The digest of what has this tag; empty when the registry has no such tag. OutOfReach."""
        with self._lock:
            if tag not in self._seen:
                self._ask([each for each in dict.fromkeys([*self._expected, tag]) if each not in self._seen])
            found = self._seen[tag]
        if isinstance(found, PipelineError):
            raise found
        return found

    def _ask(self, tags: Sequence[Reference]) -> None:
        """Gets every answer, or why there is none: by this thread, and by another one for each few of them."""
        left = deque(tags)
        failures: list[BaseException] = []

        def work() -> None:
            while True:
                try:
                    tag = left.popleft()
                except IndexError:
                    return
                try:
                    self._seen[tag] = self._given_up(tag) or self._look(tag)
                except BaseException as error:
                    failures.append(error)
                    left.clear()

        count = min(_PARALLEL, -(-len(tags) // _EACH)) - 1
        helpers = [threading.Thread(target=work, name=f"look {number}", daemon=True) for number in range(count)]
        for thread in helpers:
            thread.start()
        work()
        for thread in helpers:
            thread.join()
        if failures:
            raise failures[0]

    def _given_up(self, tag: Reference) -> PipelineError | None:
        """Why its registry is not asked any more: it did not answer for another tag, as often as that was tried."""
        for other, found in list(self._seen.items()):
            if other.registry == tag.registry and isinstance(found, PipelineError) and found.transient:
                return found
        return None

    def _look(self, tag: Reference) -> str | PipelineError:
        from pipeline.registry.problems import NotFound

        try:
            return str(self._repository(tag).resolve(tag.tag).digest)
        except NotFound:
            return ""
        except PipelineError as error:
            return error
