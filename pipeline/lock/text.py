"""The lock's text: JSON with one package on each line, so that a diff reads well."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipeline.errors import Diagnostic, Location, ManifestError
from pipeline.lock.model import VERSION, Lock, LockEntry

READABLE = (1, VERSION)
"""Version 1 kept neither what was asked nor the project's files: what it lacks is added by the next run."""

AGAIN = "run 'pipeline lock'"
_CONFLICT = ("<<<<<<<", "=======", ">>>>>>>", "|||||||")


def dump(lock: Lock) -> str:
    """The same lock gives the same text."""
    entries = {id_: _entry(entry) for id_, entry in sorted(lock.entries.items())}
    value: dict[str, Any] = {"version": VERSION, "packer": lock.packer, "entries": entries}
    if lock.files:
        value["files"] = dict(sorted(lock.files.items()))
    return _pretty(value, "") + "\n"


def _entry(entry: LockEntry) -> dict[str, Any]:
    asked = {} if entry.asked is None else {"asked": entry.asked}
    return {"kind": entry.kind, "request": entry.request, **asked, "locked": entry.locked}


def _pretty(value: Any, indent: str, *, spread: bool = False) -> str:
    """`spread` gives each text of a list a line of its own."""
    deeper = indent + "  "
    if isinstance(value, Mapping) and value and (spread or _nested(value)):
        inner = ((key, _pretty(part, deeper, spread=spread or key == "asked")) for key, part in value.items())
        body = (f"{deeper}{json.dumps(key)}: {text}" for key, text in inner)
        return "{\n" + ",\n".join(body) + f"\n{indent}}}"
    if isinstance(value, list) and value and (spread or any(isinstance(item, dict | list) for item in value)):
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
    """The lock in `text`; ManifestError with the place when it is not one, or one of another time."""
    data = _json(text, file)
    try:
        version = data["version"]
        if version not in READABLE:
            newer = isinstance(version, int) and version > VERSION
            remedy = "upgrade pipeline" if newer else f"remove the file and {AGAIN}"
            raise _error(file, f"lock version {version!r} is not {VERSION}", remedy)
        entries = {
            id_: LockEntry(str(e["kind"]), str(e["request"]), e["locked"], e.get("asked"))
            for id_, e in data["entries"].items()
        }
        files = {head: [dict(row) for row in rows] for head, rows in data.get("files", {}).items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _error(file, "this is not a lock file", f"remove the file and {AGAIN}") from error
    return Lock(entries, files, str(data.get("packer", "")), version)


def _json(text: str, file: str) -> Any:
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith(_CONFLICT):
            message = "the lock has a merge conflict"
            remedy = f"take either side ('git checkout --ours {file}') and {AGAIN}: it adds what the other side had"
            raise ManifestError([Diagnostic(Location(file, number, 1), message, remedy, line)])
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        lines = text.splitlines()
        line = lines[error.lineno - 1][:200] if error.lineno <= len(lines) else ""
        remedy = f"take the one that Git has, or remove the file and {AGAIN}"
        message = f"the lock is not JSON: {error.msg}"
        raise ManifestError([Diagnostic(Location(file, error.lineno, error.colno), message, remedy, line)]) from error
    except RecursionError as error:
        raise _error(file, "the lock is nested too deeply", f"remove the file and {AGAIN}") from error
    except ValueError as error:
        # Python reads no number of more than 4300 digits.
        raise _error(file, "the lock holds a number that is none", f"remove the file and {AGAIN}") from error


def _error(file: str, message: str, remedy: str) -> ManifestError:
    return ManifestError([Diagnostic(Location(file), message, remedy)])
