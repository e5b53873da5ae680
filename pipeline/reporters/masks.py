"""Keeps secrets out of everything that leaves: events, errors, logs, JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from pipeline.manifest.secrets import mask, reveal


class Masks:
    """The texts that must not be seen; more may be added while a run goes on."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> None:
        """Masks these as well, as they are and as URLs and JSON would have them."""
        for secret in map(reveal, secrets):
            if secret.strip():
                self._secrets |= {secret, secret.strip(), *_disguises(secret.strip())}

    def text(self, text: str) -> str:
        return mask(text, self._secrets) if self._secrets else text

    def value(self, value: Any) -> Any:
        """JSON data or a frozen dataclass with every text in it masked."""
        if not self._secrets:
            return value
        if isinstance(value, str):
            return self.text(reveal(value))
        if isinstance(value, Mapping):
            return {key: self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        if is_dataclass(value) and not isinstance(value, type):
            return replace(value, **{f.name: self.value(getattr(value, f.name)) for f in fields(value)})
        return value


def _disguises(secret: str) -> set[str]:
    import json
    from urllib.parse import quote

    return {
        quote(secret, safe=""),
        quote(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
    }
