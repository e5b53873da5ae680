"""JSON lines: one event a line, for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from pipeline.events import Event, to_json


class JsonLines:
    """Writes each event to `out` as one JSON object."""

    def __init__(self, out: Callable[[str], None], *, ascii_only: bool = False) -> None:
        self._out = out
        self._ascii = ascii_only

    def fit(self, names: Iterable[str]) -> None:
        pass

    def close(self) -> None:
        pass

    def __call__(self, event: Event) -> None:
        self._out(json.dumps(to_json(event), ensure_ascii=self._ascii))
