"""The figures as tables in Markdown, and as a picture."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

from bench.peers.rows import Row
from bench.peers.traffic import Moved

MARKS = ("<!-- figures of make bench-peers -->", "<!-- end of figures -->")
# Of equal lightness, and far enough from white and from black.
COLOURS = ("#2a9d63", "#8b93a1", "#5b83c7", "#a67bc4")
WIDTH, LEFT, BAR, GAP = 860, 330, 15, 16


def seconds(value: float) -> str:
    """As many digits as a reader can use."""
    return f"{value:.0f} s" if value >= 20 else f"{value:.1f} s" if value >= 2 else f"{value:.2f} s"


def megabytes(value: int) -> str:
    return (
        "0"
        if not value
        else "< 0.1"
        if value < 50_000
        else f"{value / 1e6:.1f}"
        if value < 10_000_000
        else f"{value / 1e6:.0f}"
    )


def tables(rows: Sequence[Row], names: Sequence[str], counted: bool) -> str:
    """Seconds, then bytes (fetched from indexes and archives, got from the registry, sent there)."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    def cell(row: Row, name: str, text: str) -> str:
        return text if name in row.takes else ""

    said = [line(["work", "goal", *names, "runs"]), line(["---"] * (len(names) + 3))]
    for row in rows:
        taken = [seconds(row.seconds(name)) if name in row.takes else "" for name in names]
        said.append(line([row.what, row.goal, *taken, str(row.runs())]))
    if counted:
        said += ["", "MB fetched from package indexes / got from the registry / sent to it:", ""]
        said += [line(["work", *names]), line(["---"] * (len(names) + 1))]
        said += [line([row.what, *(_bytes(row, name) for name in names)]) for row in rows]
    return "\n".join(said)


def _bytes(row: Row, name: str) -> str:
    if name not in row.takes:
        return ""
    moved: Moved = row.moved(name)
    return " / ".join(map(megabytes, (moved.fetched, moved.down, moved.up)))


def picture(rows: Sequence[Row], names: Sequence[str]) -> str:
    """Bars, each row to a scale of its own; text follows the reader's light or dark scheme (CSS media queries)."""
    parts, y = [], 20
    for number, name in enumerate(names):
        parts.append(f'<rect x="{LEFT}" y="{y}" width="12" height="12" rx="2" fill="{COLOURS[number]}"/>')
        parts.append(f'<text x="{LEFT + 20}" y="{y + 11}">{escape(name)}</text>')
        y += 20
    for row in rows:
        y += GAP
        taking = [name for name in names if name in row.takes]
        longest = max((row.seconds(name) for name in taking), default=1.0)
        middle = y + (BAR + 3) * len(taking) / 2
        parts.append(f'<text x="{LEFT - 12}" y="{middle + 4:.0f}" text-anchor="end">{escape(row.what)}</text>')
        for name in taking:
            value = row.seconds(name)
            width = max(2.0, (WIDTH - LEFT - 80) * value / longest)
            colour = COLOURS[list(names).index(name)]
            parts.append(f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2" fill="{colour}"/>')
            parts.append(f'<text x="{LEFT + width + 6:.1f}" y="{y + 12}">{seconds(value)}</text>')
            y += BAR + 3
    height = y + 20
    style = "text{font:13px system-ui,sans-serif;fill:#24292f}@media (prefers-color-scheme:dark){text{fill:#e6edf3}}"
    title = "Seconds for each piece of work, shorter is better; each group has its own scale"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}">'
    return "\n".join([head, f"<title>{title}</title>", f"<style>{style}</style>", *parts, "</svg>", ""])


def write(page: Path, image: Path, text: str, drawn: str) -> None:
    """Puts the figures between the marks of a page, and the picture beside it."""
    first, last = MARKS
    old = page.read_text(encoding="utf-8")
    new, found = re.subn(
        f"{re.escape(first)}.*{re.escape(last)}", lambda _: f"{first}\n{text}\n{last}", old, flags=re.DOTALL
    )
    if found != 1:
        raise ValueError(f"{page} has no place for the figures: {first} ... {last}")
    page.write_text(new, encoding="utf-8")
    image.write_text(drawn, encoding="utf-8")
