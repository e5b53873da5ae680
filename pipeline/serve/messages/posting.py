"""Posts a message's JSON to an address that is a secret itself: no error ever shows more of it than its host."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from pipeline.errors import OutOfReach, UsageError
from pipeline.http import Transport, long, retry_after
from pipeline.manifest.model import Secret
from pipeline.manifest.secrets import mask

_MOST = 2_000
"""Bytes of an answer that are looked at."""


class Post:
    """`name` is the channel's name in the settings, `now` gives Unix times in seconds."""

    def __init__(self, name: str, url: Secret, transport: Transport, now: Callable[[], float]) -> None:
        self._name, self._url, self._transport, self._now = name, url.reveal(), transport, now

    def __call__(self, data: Any, headers: Callable[[bytes], Mapping[str, str]] = lambda _body: {}) -> None:
        """Posts `data`; `headers` are made of the very bytes. OutOfReach to be tried again, else UsageError."""
        body = json.dumps(data, ensure_ascii=False).encode()
        all_headers = {"Content-Type": "application/json", **headers(body)}
        try:
            with self._transport.send("POST", self._url, all_headers, body) as response:
                status, found = response.status, response.headers
                says = response.read(_MOST).decode(errors="replace")
        except OutOfReach as error:
            hidden = OutOfReach(self._hidden(error.message), remedy=error.remedy, transient=error.transient)
            hidden.silent = error.silent
            raise hidden from None
        if not 200 <= status < 300:
            raise self._problem(status, found, says)

    def _problem(self, status: int, headers: Mapping[str, str], says: str) -> OutOfReach | UsageError:
        words = "".join(c if c.isprintable() else " " for c in self._hidden(says)).strip()[:200]
        fact = f"messages to '{self._name}' ({self._host}) are refused: {words or 'no reason given'} ({status})"
        if status in (408, 425, 429) or status >= 500:
            wait = retry_after(headers.get("retry-after", ""), self._now()) or (60.0 if status == 429 else 0.0)
            error = OutOfReach(fact, remedy=f"again in {long(wait)}" if wait else "it is tried again", transient=True)
            error.retry_after = wait
            return error
        return UsageError(fact, remedy="make a new webhook there, and name its address in the settings")

    @property
    def _host(self) -> str:
        return urlsplit(self._url).hostname or "no address"

    def _hidden(self, text: str) -> str:
        """Without the address, and without its parts, by which it may be told as well."""
        parts = urlsplit(self._url)
        return mask(text, [self._url, *(part for part in (parts.path, parts.query) if len(part) > 3)])


__all__ = ["Post"]
