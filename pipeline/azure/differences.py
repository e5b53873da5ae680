"""What of a resource in Azure is otherwise than wanted: what Azure adds by itself does not count."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from pipeline.targets.remote import Difference

_WHOLE = ("environmentVariables", "tags")
"""Where what is there and not wanted counts as well: in variables, and not in tags, which policies add."""
_LONGEST = 60


def compared(
    live: Mapping[str, Any], wanted: Mapping[str, Any], what: str, *, secret: Collection[str] = ()
) -> list[Difference]:
    """Each field of `wanted` that is otherwise; `secret` names variables whose values are not shown."""
    found: list[Difference] = []
    for key, value in wanted.items():
        there, place = live.get(key), f"{what} {key}".replace(" properties", "")
        if isinstance(value, Mapping):
            there = there if isinstance(there, Mapping) else {}
            found += compared(there, value, place, secret=secret)
            if key == _WHOLE[0]:
                found += [Difference(f"{place} {name}", "***", None) for name in there if name not in value]
        elif not _same(there, value):
            hide = key in secret
            found.append(Difference(place, _text(there, hide), _text(value, hide)))
    return found


def _same(live: Any, wanted: Any) -> bool:
    """ARM ids are the same in any case of letters."""
    if isinstance(live, str) and isinstance(wanted, str) and wanted.startswith("/subscriptions/"):
        return live.lower() == wanted.lower()
    return bool(live == wanted)


def _text(value: Any, hide: bool) -> str | None:
    if value is None:
        return None
    text = "***" if hide else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
