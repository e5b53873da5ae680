"""One line for each thing that happened: the words and columns that every text reporter shares. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from pipeline.digest import short
from pipeline.events import Locked, Report, RunContinued, StepEnded, StepRetried, entry_of
from pipeline.manifest.words import size as size

NAME = 9
"""Least width of the name column."""

_KIND, _TITLE, _SECONDS, _SIZE = 6, 36, 7, 8


def width(names: Iterable[str], least: int = NAME) -> int:
    """The name column's width for steps of these names."""
    return max([least, *(len(name) + 1 for name in names)])


def number(count: int, noun: str, plural: str = "") -> str:
    """`1 hit`, `2 hits`."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def seconds(value: float) -> str:
    """Seconds for people: `0.1 s`, `12 s`, `3 min 5 s`."""
    if value < 59.95:
        return f"{value:.1f} s"
    whole = round(value)
    return f"{whole // 60} min {whole % 60} s"


def span(value: float) -> str:
    """A length of time in its largest unit: `20 s`, `3 min`, `2 h`, `5 days`."""
    for whole, unit in ((86400, "day"), (3600, "h"), (60, "min")):
        if value >= whole:
            count = int(value // whole)
            return number(count, unit) if unit == "day" else f"{count} {unit}"
    return f"{max(0, int(value))} s"


def continued(event: RunContinued) -> str:
    """That a run takes up the work of one that was killed."""
    text = f"continues run {event.run}, killed {span(event.ago)} ago"
    return f"{text}: {event.done} of {number(event.steps, 'step')} were done" if event.steps else text


def columns(kind: str, name: str, rest: str, name_width: int) -> str:
    return f"{kind:<{_KIND}} {name:<{name_width}} {rest}".rstrip()


def step(event: StepEnded, name_width: int = NAME) -> str:
    """How a step ended: kind, name, title, seconds, new bytes."""
    if event.outcome == "hit":
        text = f"{event.title}  hit" if event.kind == "target" and event.title else "hit"
        return columns(event.kind, event.name, text, name_width)
    if event.outcome == "skipped":
        return columns(event.kind, event.name, "skipped", name_width)
    title = "failed" if event.outcome == "failed" else titled(event.title)
    text = f"{title:<{_TITLE}}{seconds(event.seconds):>{_SECONDS}}"
    if len(title) + len(seconds(event.seconds)) + 2 > _TITLE + _SECONDS:
        text = f"{title}  {seconds(event.seconds)}"
    if event.size:
        text += f"{size(event.size):>{_SIZE}}" if len(size(event.size)) < _SIZE - 1 else f"  {size(event.size)}"
    return columns(event.kind, event.name, text, name_width)


def hits(events: Sequence[StepEnded], name_width: int = NAME) -> list[str]:
    """A line for each hit, but one alone for all parts of one entry."""
    entries: dict[str, list[StepEnded]] = {}
    for event in events:
        entries.setdefault(entry_of(event.kind, event.name), []).append(event)
    return [
        step(found[0], name_width)
        if len(found) == 1
        else columns(found[0].kind, entry.partition(" ")[2], f"hit, {len(found)} layers", name_width)
        for entry, found in entries.items()
    ]


def together(events: Sequence[StepEnded], seconds_: float, name_width: int = NAME) -> str:
    """One line for the layers that were made of one entry, which took so long in all."""
    kind, _, name = entry_of(events[0].kind, events[0].name).partition(" ")
    whole = next((event.title for event in events if event.name == name), "")
    title = ", ".join(filter(None, (whole or events[0].title.partition(",")[0], f"{len(events)} layers")))
    size_ = sum(event.size for event in events)
    return step(StepEnded(f"{kind} {name}", kind, name, "made", title, seconds_, size_), name_width)


def titled(title: str) -> str:
    """A title for people: a bare digest is cut short."""
    return f"sha256:{short(title)}…" if title.startswith("sha256:") and len(title) == 71 else title


def retried(event: StepRetried, name_width: int = NAME) -> str:
    kind, _, name = event.step.partition(" ")
    first = event.error.splitlines()[0] if event.error else "failed"
    head = f"attempt {event.attempt}: " if event.attempt else ""
    text = f"{head}{first}; trying again in {seconds(event.wait)}"
    return columns(kind, name, text, name_width)


def locked(event: Locked, name_width: int = NAME, most: int = 10) -> list[str]:
    """The lock's changes, each on a line of its own."""
    name = event.path.rpartition("/")[2]
    head = f"{number(len(event.changes), 'change'):<{_TITLE}}{seconds(event.seconds):>{_SECONDS}}"
    lines = [
        columns("lock", name, head, width([name], name_width)),
        *(f"    {change}" for change in event.changes[:most]),
    ]
    if len(event.changes) > most:
        lines.append(f"    and {len(event.changes) - most} more")
    return lines


def summary(report: Report, steps: int = 0) -> str:
    """The last line, worth reading alone. A run of more `steps` than have ended was interrupted."""
    left = steps - report.made - report.hits - report.failed - report.skipped
    if left > 0:
        counts = {"failed": report.failed, "made": report.made, "hits": report.hits}
        done = [f"{n} {word}" for word, n in counts.items() if n]
        return f"interrupted after {seconds(report.seconds)}: " + ", ".join([*done, f"{left} not done"])
    if report.failed or report.skipped:
        counts = {"failed": report.failed, "skipped": report.skipped, "made": report.made}
        return f"failed in {seconds(report.seconds)}: " + ", ".join(f"{n} {word}" for word, n in counts.items() if n)
    if not report.made:
        return f"nothing to do in {seconds(report.seconds)}: {number(report.hits, 'hit')}"
    parts = [f"{report.made} made"]
    if report.hits:
        parts.append(number(report.hits, "hit"))
    if report.size:
        parts.append(f"{size(report.size)} new")
    return f"done in {seconds(report.seconds)}: " + ", ".join(parts)


def table(rows: Iterable[Sequence[str]], heads: Sequence[str] = (), right: Collection[int] = ()) -> list[str]:
    """Rows in aligned columns, two spaces apart; the columns numbered in `right` are set flush right."""
    cells = [*([heads] if heads else []), *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]

    def cell(text: str, column: int) -> str:
        return text.rjust(widths[column]) if column in right else text.ljust(widths[column])

    return ["  ".join(cell(text, column) for column, text in enumerate(row)).rstrip() for row in cells]
