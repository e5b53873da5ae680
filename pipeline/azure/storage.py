"""Azure's blob storage, by addresses that carry their own signature: a context put there, a log read as it grows.

Protocol: Azure's REST reference, Blob service: Put Blob, Get Blob Properties, Get Blob.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.errors import OutOfReach
from pipeline.http import Response, Transport, retry_after, shown
from pipeline.manifest.model import Secret

_CHUNK = 1 << 20


def put(transport: Transport, url: Secret, file: Path, stop: Callable[[], None]) -> None:
    """Uploads a file. OutOfReach, transient where trying again may help."""
    size = file.stat().st_size
    headers = {"x-ms-blob-type": "BlockBlob", "Content-Length": str(size), "Content-Type": "application/octet-stream"}
    with transport.send("PUT", url.reveal(), headers, _chunks(file, stop)) as response:
        if response.status != 201:
            raise _refused(response, url, "does not take the context")


class Log:
    """A log that grows: `read` gives what is new. `place` is asked for its address, again when that has run out."""

    def __init__(self, transport: Transport, place: Callable[[], Secret]) -> None:
        self._transport = transport
        self._place = place
        self._url = Secret("")
        self._taken = 0
        self._rest = b""
        self.complete = False

    def read(self) -> list[str]:
        """The lines that are new and whole; at the log's end whatever is left. Nothing while there is no log."""
        if not self._url.reveal():
            self._url = self._place()
        with self._transport.send("HEAD", self._url.reveal(), {}) as response:
            if response.status in (401, 403):
                self._url = Secret("")
                return []
            if response.status == 404:
                return []
            if response.status != 200:
                raise _refused(response, self._url, "does not give the log")
            size = int(response.headers.get("content-length") or 0)
            self.complete = bool(response.headers.get("x-ms-meta-complete"))
        self._rest += self._part(size)
        *lines, self._rest = self._rest.split(b"\n")
        if self.complete and self._rest:
            lines, self._rest = [*lines, self._rest], b""
        return [_plain(line.decode(errors="replace")) for line in lines]

    def _part(self, size: int) -> bytes:
        if size <= self._taken:
            return b""
        wanted = {"Range": f"bytes={self._taken}-{size - 1}"}
        with self._transport.send("GET", self._url.reveal(), wanted) as response:
            if response.status not in (200, 206):
                raise _refused(response, self._url, "does not give the log")
            data = b"".join(response.chunks())
        # One that does not know of ranges sends all of it.
        data = data[self._taken :] if response.status == 200 else data
        self._taken += len(data)
        return data


def _plain(line: str) -> str:
    """Without colours, and what else could move a terminal's cursor."""
    return "".join(c for c in re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line) if c.isprintable() or c == "\t").rstrip()


def _chunks(file: Path, stop: Callable[[], None]) -> Iterator[bytes]:
    with file.open("rb") as content:
        while data := content.read(_CHUNK):
            stop()
            yield data


def _refused(response: Response, url: Secret, what: str) -> OutOfReach:
    transient = response.status >= 500 or response.status in (408, 429)
    error = OutOfReach(
        f"{shown(url.reveal())} {what} ({response.status})",
        remedy="try again later" if transient else "see the registry's storage in the portal",
        transient=transient,
    )
    error.retry_after = retry_after(response.headers.get("retry-after", ""), 0.0)
    return error
