"""A log that can only be asked for as a whole, line by line as it grows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

_LOOK = 2.0


def following(
    read: Callable[[], Sequence[str]],
    lives: Callable[[], bool],
    lines: int | None,
    wait: Callable[[float], None],
) -> Iterator[str]:
    """What `read` gives, the last `lines` of it, then what is new, for as long as the service `lives`."""
    seen = list(read())
    yield from seen if lines is None else seen[len(seen) - min(lines, len(seen)) :]
    while lives():
        wait(_LOOK)
        now = list(read())
        yield from now[overlap(seen, now) :]
        seen = now or seen


def overlap(before: Sequence[str], now: Sequence[str]) -> int:
    """How many lines of `now` were there before: what is read is the end of a log, and its beginning moves on."""
    for count in range(min(len(before), len(now)), 0, -1):
        if list(before[len(before) - count :]) == list(now[:count]):
            return count
    return 0
