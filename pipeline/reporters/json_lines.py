"""JSON lines: one event a line, for programs, each with the time (Unix, in seconds) at which it was told."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable

from pipeline.events import Event, to_json


class JsonLines:
    """Writes each event to `out` as one JSON object."""

    def __init__(
        self, out: Callable[[str], None], *, ascii_only: bool = False, now: Callable[[], float] = time.time
    ) -> None:
        self._out, self._now = out, now
        self._ascii = ascii_only

    def fit(self, names: Iterable[str]) -> None:
        pass

    def close(self) -> None:
        pass

    def __call__(self, event: Event) -> None:
        self._out(json.dumps({**to_json(event), "at": round(self._now(), 3)}, ensure_ascii=self._ascii))
