"""Makes again, in the middle of a run, what turned out to be missing or damaged in the store."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from pipeline.digest import Digest, short
from pipeline.errors import Lost, StoreError
from pipeline.plan.model import LayerWork, Plan, Step, comes_when_needed
from pipeline.recipe import Borrow

if TYPE_CHECKING:
    from pipeline.stages.bench import Bench

MOST = 100
"""What is mended in one run: with more damage than that a disk is at fault, and not a file."""
_TWICE = 2


class Mender:
    """Finds the step that made what was lost, and has it done again by `redo`; safe for several threads."""

    def __init__(self, bench: Bench, plan: Plan, redo: Callable[[Step, str], None]) -> None:
        self._bench = bench
        self._plan = plan
        self._redo = redo
        self._lock = threading.Lock()
        self._seen: Counter[tuple[str, str]] = Counter()

    def mend(self, reader: Step, lost: Lost) -> bool:
        """Whether `reader` may try again; False for what was lost before, and for too much.

        Raises what making it again raises.
        """
        with self._lock:
            self._seen[reader.id, lost.digest] += 1
            if self._seen[reader.id, lost.digest] > _TWICE or self._seen.total() > MOST:
                return False
        maker = self._maker(lost.digest)
        if maker is None or maker.id == reader.id:
            self._bench.warn(f"{lost.message}: '{reader.id}', which makes it, is done again")
            return True
        self._bench.warn(f"{lost.message}: '{maker.id}' makes it again for '{reader.id}'")
        if _is_built(maker):
            self._build(lost)
        self._redo(maker, f"{short(Digest(lost.digest))} was damaged")
        return True

    def _maker(self, digest: str) -> Step | None:
        """The first step, the lowest layers before all others, whose result names a digest."""
        for step in self._plan.steps:
            record = self._bench.store.database.record(step.key)
            if record is not None and digest in json.dumps(record):
                return step
        return None

    def _build(self, lost: Lost) -> None:
        """An image that an engine built is built while a manifest is resolved."""
        from pipeline.stages.locks import read_lock
        from pipeline.stages.resolve import resolve

        resolve(self._bench, read_lock(self._bench), frozen=True)
        if not self._bench.store.blobs.has(Digest(lost.digest)):
            again = "the next run takes what its Dockerfile makes now"
            raise StoreError(f"{lost.message}; built again, the image came out otherwise", remedy=f"run again: {again}")


def _is_built(step: Step) -> bool:
    work = step.work
    return isinstance(work, LayerWork) and isinstance(work.recipe, Borrow) and not comes_when_needed(work)
