"""What a command said, read from its job's log: how it ended, what it made, and what went wrong."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from pipeline.events import Report
from pipeline.noun import noun
from pipeline.reporters.lines import summary
from pipeline.serve.child import ENDED
from pipeline.serve.model import Live, State
from pipeline.serve.ports import Outcome

ATTEMPT = "attempt"
"""The event that a job's log has at the beginning of each attempt."""
OUT_OF_REACH = 4
"""The exit code of what may go well later (pipeline.errors)."""
_TERMINATED = (130, 143, -2, -9, -15)
_LONGEST = 4000


@noun
class Said:
    """`code` is the command's exit code where it had ended by itself, `report` that of a run, `error` an event,
    `locked` whether it wrote a lock, `value` what a command that is no run said, `words` the last of standard error.
    """

    code: int | None = None
    report: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 0
    error: Mapping[str, Any] = field(default_factory=dict)
    locked: bool = False
    value: Any = None
    words: str = ""


def begin(log: Path, attempt: int, at: float) -> None:
    """A line that says so; what a kill left half written is closed first."""
    log.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps({"event": ATTEMPT, "attempt": attempt, "at": round(at, 3)})
    with log.open("ab+") as file:
        if file.tell():
            file.seek(-1, 2)
            line = line if file.read(1) == b"\n" else f"\n{line}"
        file.write(f"{line}\n".encode())
    log.with_suffix(".err").write_bytes(b"")


def read(log: Path) -> Said:
    """What the commands of the last attempt said so far."""
    said, loose = Said(), []
    for line in _last_attempt(log):
        event = _event(line)
        if event is None:
            loose.append(line)
            continue
        said = _with(said, event)
    return replace(said, value=_value(loose), words=_last(log.with_suffix(".err")))


def _last_attempt(log: Path) -> Iterator[str]:
    lines: list[str] = []
    try:
        with log.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith(f'{{"event": "{ATTEMPT}"'):
                    lines = []
                elif not line.startswith('{"event": "step-'):
                    lines.append(line)
    except FileNotFoundError:
        pass
    return iter(lines)


def _event(line: str) -> Mapping[str, Any] | None:
    if not line.startswith('{"event": '):
        return None
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _with(said: Said, event: Mapping[str, Any]) -> Said:
    match event["event"]:
        case "run-started":
            return replace(said, steps=event.get("steps", 0), report={}, error={})
        case "locked":
            return replace(said, locked=True)
        case "run-ended":
            return replace(said, report=event.get("report", {}))
        case "error":
            return replace(said, error=event)
        case name if name == ENDED:
            return replace(said, code=event.get("exit_code"))
    return said


def _value(lines: Iterable[str]) -> Any:
    try:
        return json.loads("".join(lines))
    except ValueError:
        return None


def _last(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace")[-_LONGEST:].splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def outcome(code: int, said: Said, **told: Any) -> Outcome:
    """How a job ended whose command ended so; with its words, and what more is told."""
    state: State = "done" if code == 0 else "cancelled" if code in _TERMINATED else "failed"
    found = {"text": text(code, said)} | {
        name: said.report[name] for name in ("images", "services", "pushed", "made", "hits") if name in said.report
    }
    if said.error.get("remedy"):
        found["remedy"] = str(said.error["remedy"])[:_LONGEST]
    return Outcome(state, code, {**found, **told}, heals(said.error, code))


def error_of(out: str) -> Mapping[str, Any]:
    """The error that a command with `--output json` printed; none where it did not."""
    events = filter(None, map(_event, out.splitlines()))
    return next((event for event in events if event["event"] == "error"), {})


def heals(error: Mapping[str, Any], code: int) -> bool:
    """Whether a command's error may be gone later by itself: nobody answered (`code`), or it says so. What only
    somebody can mend, such as a right or a certificate, is not.
    """
    return bool(error.get("transient")) or (code == OUT_OF_REACH and not error.get("lasting"))


def text(code: int, said: Said) -> str:
    """The one sentence: of a run its last line, of what failed its error."""
    if said.error:
        return _error(said.error)
    if code == 0 and said.report:
        names = Report.__dataclass_fields__
        return summary(Report(**{name: said.report.get(name, 0) for name in names}), said.steps)
    if code == 0:
        value = said.value
        return str(value["text"]) if isinstance(value, dict) and "text" in value else "done"
    if code < 0:
        return f"the command was killed by signal {-code}"
    return said.words.removeprefix("error: ")[:_LONGEST] or f"the command ended with exit code {code}"


def with_pins(ended: Outcome, live: Iterable[Live]) -> Outcome:
    """A run that is done says which targets it had to leave as they are: `live` are the manifest's."""
    pinned = [f"{one.target} stays pinned to {one.pinned}" for one in live if one.pinned]
    if ended.state != "done" or not pinned:
        return ended
    return replace(ended, told={**ended.told, "text": "; ".join([str(ended.told.get("text", "")), *pinned])})


def _error(error: Mapping[str, Any]) -> str:
    found = error.get("diagnostics") or []
    if not found:
        place = _place(error.get("place") or {})
        return f"{place}{error.get('message', 'failed')}"[:_LONGEST]
    first = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    remedy = f" ({first['remedy']})" if first.get("remedy") else ""
    return f"{_place(first)}{first.get('message', '')}{remedy}{more}"[:_LONGEST]


def _place(place: Mapping[str, Any]) -> str:
    if not place.get("file"):
        return ""
    return f"{place['file']}:{place['line']}: " if place.get("line") else f"{place['file']}: "


__all__ = ["ATTEMPT", "OUT_OF_REACH", "Said", "begin", "error_of", "heals", "outcome", "read", "text", "with_pins"]
