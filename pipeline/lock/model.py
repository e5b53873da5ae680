"""The lock: what a manifest resolved to, by file name, version and hash, and never by host."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from pipeline.digest import cache_key, short
from pipeline.errors import Diagnostic, Location, ManifestError
from pipeline.noun import noun

VERSION = 1


@noun
class LockEntry:
    """One base or layer, resolved: `request` is the hash of what was asked, `locked` the kind's answer."""

    kind: str
    request: str
    locked: Any

    def answers(self, kind: str, request: str) -> bool:
        return self.kind == kind and self.request == request


@noun
class Lock:
    """All entries by id, such as `layers.science linux/amd64 libc=2.36 python=3.11`."""

    entries: Mapping[str, LockEntry] = field(default_factory=dict)

    def before(self, id_: str) -> LockEntry | None:
        """The entry itself, or the same base or layer on the same platform for other needs: the one most like it."""
        head, words = id_.split()[:2], set(id_.split()[2:])
        alike = [other for other in self.entries if other.split()[:2] == head]
        best = max(alike, key=lambda other: (len(words & set(other.split()[2:])), other), default=None)
        return self.entries[best] if best else None


def request_hash(request: Any) -> str:
    return cache_key(request)[:32]


def entry_id(section: str, name: str, platform: str, needs: Mapping[str, str]) -> str:
    return " ".join([f"{section}.{name}", platform, *(f"{key}={value}" for key, value in sorted(needs.items()))])


def path_of(manifest: Path) -> Path:
    """`prod.lock` beside `prod.yaml`."""
    return manifest.with_suffix(".lock")


def dump(lock: Lock) -> str:
    """JSON with one package on each line, so that a diff reads well; the same lock gives the same text."""
    entries = {
        id_: {"kind": entry.kind, "request": entry.request, "locked": entry.locked}
        for id_, entry in sorted(lock.entries.items())
    }
    return _pretty({"version": VERSION, "entries": entries}, "") + "\n"


def _pretty(value: Any, indent: str) -> str:
    deeper = indent + "  "
    if isinstance(value, Mapping) and value and _nested(value):
        body = (f"{deeper}{json.dumps(key)}: {_pretty(value[key], deeper)}" for key in value)
        return "{\n" + ",\n".join(body) + f"\n{indent}}}"
    if isinstance(value, list) and value and any(isinstance(item, dict | list) for item in value):
        return "[\n" + ",\n".join(deeper + _item(item, deeper) for item in value) + f"\n{indent}]"
    return json.dumps(value, ensure_ascii=False)


def _item(value: Any, indent: str) -> str:
    """A package on one line, lists of texts in it included."""
    parts = value.values() if isinstance(value, Mapping) else ()
    deep = any(isinstance(inner, dict) for part in parts for inner in (part if isinstance(part, list) else [part]))
    return _pretty(value, indent) if deep else json.dumps(value, ensure_ascii=False)


def _nested(value: Mapping[str, Any]) -> bool:
    return any(isinstance(item, dict | list) and item for item in value.values())


def parse(text: str, file: str) -> Lock:
    """The lock in `text`; ManifestError with the place when it is not one."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        lines = text.splitlines()
        line = lines[error.lineno - 1] if error.lineno <= len(lines) else ""
        remedy = "resolve the merge conflict, or remove the file and run 'pipeline lock'"
        message = f"the lock is not JSON: {error.msg}"
        raise ManifestError([Diagnostic(Location(file, error.lineno, error.colno), message, remedy, line)]) from error
    except RecursionError as error:
        remedy = "remove the file and run 'pipeline lock'"
        raise ManifestError([Diagnostic(Location(file), "the lock is nested too deeply", remedy)]) from error
    try:
        if data["version"] != VERSION:
            remedy = "use the version of pipeline that wrote it, or run 'pipeline lock'"
            raise ManifestError(
                [Diagnostic(Location(file), f"lock version {data['version']!r} is not {VERSION}", remedy)]
            )
        return Lock({id_: LockEntry(e["kind"], e["request"], e["locked"]) for id_, e in data["entries"].items()})
    except (KeyError, TypeError, AttributeError) as error:
        remedy = "remove the file and run 'pipeline lock'"
        raise ManifestError([Diagnostic(Location(file), "this is not a lock file", remedy)]) from error


def changes(old: Lock, new: Lock) -> list[str]:
    """What differs, a line each, for people: packages by name with both versions."""
    lines: list[str] = []
    for id_ in sorted({*old.entries, *new.entries}):
        before, after = _versions(old.entries.get(id_)), _versions(new.entries.get(id_))
        moved = [
            f"{n} {before.get(n, '-')} → {after.get(n, '-')}"
            for n in sorted({*before, *after})
            if before.get(n) != after.get(n)
        ]
        if id_ not in old.entries:
            count = len(after) - ("image" in after)
            lines.append(f"{id_}: new, {count} package{'s' * (count != 1)}")
        elif id_ not in new.entries:
            lines.append(f"{id_}: gone")
        else:
            lines += [f"{id_}: {change}" for change in moved]
    return lines


def _versions(entry: LockEntry | None) -> dict[str, str]:
    """name → version of everything in an entry that has both; a changed file of the same version shows its hash."""
    found: dict[str, str] = {}
    lists = (
        [v for v in entry.locked.values() if isinstance(v, list)] if entry and isinstance(entry.locked, dict) else []
    )
    for item in (item for group in lists for item in group):
        if isinstance(item, dict) and "name" in item and "version" in item:
            content = str(item.get("sha256", ""))[:8]
            found[item["name"]] = f"{item['version']} ({content})" if content else item["version"]
    if entry and isinstance(entry.locked, dict) and entry.locked.get("reference"):
        found["image"] = f"{entry.locked['reference']}@{short(str(entry.locked.get('digest')))}"
    return found
