"""Changes that are asked for again are done once: by the key that a client gives them (Idempotency-Key)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from pipeline.serve.acts import NotNow
from pipeline.serve.database import Database

KEPT = 86400.0
"""Seconds that an answer is kept for whoever asks again."""
_PREFIX = "once:"


class _Repeated(Exception):
    """Somebody else was first."""


class Once:
    """Answers of changes, by who asked and their key; a kill loses neither or both, the change and its answer."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database, self._now = database, now

    def do(
        self, who: str, key: str, asked: str, act: Callable[[Callable[[Any], None]], Any], told: Callable[[Any], Any]
    ) -> Any:
        """What `told` makes of what `act` did, or did before by the same key. `act` gets what it is to call within its
        transaction. Raises NotNow where the key was used for something else.
        """
        if not key:
            return told(act(lambda _made: None))
        name = _PREFIX + hashlib.sha256(f"{who}\0{key}".encode()).hexdigest()
        asked = hashlib.sha256(asked.encode()).hexdigest()
        if (kept := self._kept(name, asked)) is not None:
            return kept
        try:
            return told(act(lambda made: self._keep(name, asked, told(made))))
        except _Repeated:
            return self._kept(name, asked)

    def _kept(self, name: str, asked: str) -> Any:
        kept = self._database.fact(name)
        if kept is None or kept["at"] + KEPT <= self._now():
            return None
        if kept["asked"] != asked:
            raise NotNow("this Idempotency-Key was used for something else", remedy="give each change its own")
        return kept["told"]

    def _keep(self, name: str, asked: str, told: Any) -> None:
        if self._kept(name, asked) is not None:
            raise _Repeated
        old = "DELETE FROM facts WHERE name LIKE ? AND json_extract(value, '$.at') <= ?"
        self._database.execute(old, _PREFIX + "%", self._now() - KEPT)
        self._database.keep(name, {"at": self._now(), "asked": asked, "told": told})


__all__ = ["Once"]
