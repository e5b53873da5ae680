"""Fetches groups of wheels side by side, each once: who needs one waits for its group alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

Wheel = tuple[str, str]
"""A wheel's file name and its sha256."""
Fetch = Callable[[Sequence[Wheel]], Mapping[str, Path]]

_AT_ONCE = 4


class Ahead:
    """Wheels that were fetched or are being, by what they are for (`key`)."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._known: dict[tuple[object, Wheel], Future[Mapping[str, Path]]] = {}

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(_AT_ONCE, "wheels")

    def folders(
        self, key: object, wheels: Sequence[Wheel], others: Sequence[Sequence[Wheel]], fetch: Fetch
    ) -> dict[str, Path]:
        """The folder of each of `wheels` by file name. `others` are groups that will be asked for later.

        Raises what `fetch` does; then the next who asks tries again.
        """
        with self._guard:
            given = {wheel for group in others for wheel in group}
            for group in (*others, [wheel for wheel in wheels if wheel not in given]):
                if lacking := [wheel for wheel in group if (key, wheel) not in self._known]:
                    future = self._pool.submit(fetch, lacking)
                    self._known.update({(key, wheel): future for wheel in lacking})
            waiting = {wheel: self._known[key, wheel] for wheel in wheels}
        try:
            return {wheel[0]: future.result()[wheel[0]] for wheel, future in waiting.items()}
        except BaseException:
            self._forget(waiting)
            raise

    def _forget(self, waiting: Mapping[Wheel, Future[Mapping[str, Path]]]) -> None:
        with self._guard:
            failed = {future for future in waiting.values() if future.done() and future.exception()}
            self._known = {one: future for one, future in self._known.items() if future not in failed}
