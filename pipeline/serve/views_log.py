"""Pages of a job's log: the lines of `--output json` as people read them, from any place on."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.serve.views_model import LogLine, LogPage
from pipeline.serve.views_words import plain, since

PAGE = 1000
"""Lines of a page at most."""
TAIL = 64 << 10
"""Bytes that are looked through for the end of a log; of one step's, `_READ`."""
_READ = 4 << 20
_VALUE = 60
"""Lines of a value at most."""


def page(path: Path, step: str = "", offset: int = 0, most: int = PAGE) -> LogPage:
    """Lines from a byte offset on, of one step or of all; from the end of the log where the offset is negative."""
    # Most lines of others need no reading; letters that may be written in two ways are not looked for.
    needle = step.encode() if step.isascii() and '"' not in step and "\\" not in step else b""
    lines: deque[LogLine] = deque(maxlen=most if offset < 0 else None)
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            begun = position = _begin(file, size, offset, _READ if step else TAIL)
            # A line that is still being written is for the next page.
            while _has_room(len(lines), most, offset, position - begun) and (data := file.readline()).endswith(b"\n"):
                data = _whole(file, data)
                position += len(data)
                if needle in data:
                    lines.extend(one for one in _lines(data) if not step or one.step == step)
            more = file.readline().endswith(b"\n")
    except OSError:
        return LogPage((), 0)
    return LogPage(tuple(lines), position, more)


def _has_room(lines: int, most: int, offset: int, read: int) -> bool:
    return read < _READ and (offset < 0 or lines < most)


def _begin(file: Any, size: int, offset: int, tail: int) -> int:
    if offset >= 0:
        # A log that is shorter than that was begun anew.
        return int(file.seek(offset if offset <= size else 0))
    position = int(file.seek(max(0, size - tail)))
    if position:
        position += len(file.readline())
    return position


def _whole(file: BinaryIO, line: bytes) -> bytes:
    """A line; of a value that goes over several, as commands say that are no run, all of them."""
    if line != b"{\n":
        return line
    behind, rest = file.tell(), line
    for more in islice(file, _VALUE):
        rest += more
        if more == b"}\n":
            return rest
    file.seek(behind)
    return line


def _lines(data: bytes) -> Iterator[LogLine]:
    text = data.decode("utf-8", "replace").rstrip("\n")
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if isinstance(value, dict) and isinstance(value.get("event"), str):
        yield from _told(value["event"], value)
    elif isinstance(value, dict) and (words := _words(value)):
        yield LogLine(since(str(value.get("at", ""))), "", plain(words))
    else:
        yield LogLine(0.0, "", plain(text))


def _words(value: Mapping[str, Any]) -> str:
    """What a command that is no run said, as it says that to people; nothing for what none says."""
    match value:
        case {"service": str(service), "text": str(text)}:
            return f"{service}: {text}"
        case {"service": str(service), "stopped": bool(stopped)}:
            return f"{service} is stopped" if stopped else f"{service} was not running"
    return ""


def _told(name: str, event: Mapping[str, Any]) -> Iterator[LogLine]:
    from pipeline.reporters.lines import seconds

    at, step = float(event.get("at") or 0.0), str(event.get("step") or "")
    text = plain(str(event.get("text") or ""))
    match name:
        case "step-said" | "followed":
            yield from (LogLine(at, step, line) for line in text.removesuffix("\n").split("\n"))
        case "step-started":
            yield LogLine(at, step, "begins", "step")
        case "step-waits":
            yield LogLine(at, step, f"waits for {event.get('holder', '')}", "step")
        case "step-retried":
            wait = seconds(float(event.get("wait", 0.0)))
            yield LogLine(at, step, f"{plain(str(event.get('error', '')))}; trying again in {wait}", "warning")
        case "step-ended" if event.get("outcome") != "hit" or event.get("seconds"):
            yield from _step_ended(event, at, step)
        case "warning":
            yield LogLine(at, "", text, "warning")
        case "locked":
            yield from (LogLine(at, "", str(change), "lock") for change in event.get("changes", ()))
        case "attempt" if event.get("attempt") != 1:
            yield LogLine(at, "", f"begun again, attempt {event.get('attempt')}", "step")
        case "run-continued":
            yield LogLine(at, "", f"continues run {event.get('run')}, which was killed", "step")
        case "run-started":
            yield LogLine(at, "", f"run of {event.get('manifest')}: {event.get('steps')} steps", "step")
        case "error":
            yield from (LogLine(at, "", line, "error") for line in _error(event))


def _step_ended(event: Mapping[str, Any], at: float, step: str) -> Iterator[LogLine]:
    from pipeline.reporters.lines import seconds, titled

    took = seconds(float(event.get("seconds", 0.0)))
    if event.get("outcome") == "failed":
        yield from (LogLine(at, step, line, "error") for line in plain(str(event.get("error", ""))).split("\n"))
        yield LogLine(at, step, f"failed after {took}", "error")
    elif event.get("outcome") in ("skipped", "hit"):
        yield LogLine(at, step, "skipped" if event["outcome"] == "skipped" else f"a hit, after {took}", "step")
    else:
        title = plain(titled(str(event.get("title") or "")))
        yield LogLine(at, step, f"made in {took}" + (f": {title}" if title else ""), "step")


def _error(event: Mapping[str, Any]) -> Iterator[str]:
    yield from plain(str(event.get("message", ""))).split("\n")
    if event.get("remedy"):
        yield str(event["remedy"])
    yield from (plain(str(line)) for line in event.get("log", ()))


__all__ = ["PAGE", "page"]
