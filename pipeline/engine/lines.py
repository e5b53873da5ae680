"""Whole lines of what a program prints, as it comes over a connection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

LONGEST = 1 << 20
"""Bytes without an end that are taken for a line."""


def lines(frames: Iterable[tuple[int, bytes]]) -> Iterator[str]:
    """Whole lines of the pieces of several streams; of a line that rewrites itself (progress bars) its last state."""
    rests: dict[int, bytes] = {}
    for stream, piece in frames:
        *whole, rest = (rests.get(stream, b"") + piece).split(b"\n")
        yield from map(_text, whole)
        if len(rest) > LONGEST:
            yield _text(rest)
            rest = b""
        rests[stream] = rest
    yield from map(_text, filter(None, rests.values()))


def _text(line: bytes) -> str:
    return line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace")
