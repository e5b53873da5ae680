"""What kinds find wrong with entries that fit their schema: a suite of no distribution, a malformed requirement."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pipeline import kinds
from pipeline.kinds import Section
from pipeline.manifest.findings import Finding
from pipeline.manifest.model import Path_


def kind_flaws(data: Mapping[str, Any], broken: Collection[Path_]) -> Iterator[Finding]:
    """Asks each entry's kind, where it has `flaws(spec)`: (place in the spec, what is wrong, what would be right).

    Entries at `broken` places do not fit their schema, and are left out.
    """
    sections: tuple[Section, ...] = ("bases", "layers", "targets")
    for section in sections:
        entries = data.get(section)
        for name, entry in entries.items() if isinstance(entries, dict) else ():
            if (section, name) in broken or not isinstance(entry, dict):
                continue
            for kind, spec in entry.items():
                flaws = getattr(_module(section, kind), "flaws", None)
                for place, message, remedy in flaws(spec) if flaws else ():
                    yield Finding((section, name, kind, *place), message, remedy)


def _module(section: Section, kind: str) -> object:
    """The kind's module; None for what stands beside a kind, such as `requires`."""
    try:
        return kinds.find(section, kind)
    except KeyError:
        return None
