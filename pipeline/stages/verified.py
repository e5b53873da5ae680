"""What passed the gate, for each service: kept in a folder on this machine."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.targets.model import Release

KEPT = 10
"""Releases of a service that may be put back."""


class VerifiedFiles:
    """`pipeline.targets.remote.Verified` in a folder: SERVICE.json is the release that passed last.

    SERVICE.history has those that passed, the last first; SERVICE.pin the revision that is to stay.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, service: str) -> Release | None:
        value = self._read(service, ".json")
        return next(_releases([value]), None) if value else None

    def put(self, release: Release) -> None:
        kept = [one for one in self.history(release.service) if one.revision != release.revision]
        self._write(release.service, ".history", [one.to_json() for one in [release, *kept][:KEPT]])
        self._write(release.service, ".json", release.to_json())

    def history(self, service: str) -> list[Release]:
        value = self._read(service, ".history")
        if isinstance(value, list):
            return list(_releases(value))
        last = self.get(service)
        return [last] if last else []

    def demote(self, service: str, revision: str) -> None:
        every = sorted(self.history(service), key=lambda release: release.revision == revision)
        self._write(service, ".history", [one.to_json() for one in every])

    def pinned(self, service: str) -> str:
        value = self._read(service, ".pin")
        return str(value["revision"]) if isinstance(value, dict) and "revision" in value else ""

    def pin(self, service: str, revision: str) -> None:
        if revision:
            self._write(service, ".pin", {"revision": revision})
        else:
            self._path(service, ".pin").unlink(missing_ok=True)

    def forget(self, service: str) -> None:
        """Nothing of it is to be put back any more."""
        for suffix in (".json", ".history", ".pin"):
            self._path(service, suffix).unlink(missing_ok=True)

    def _read(self, service: str, suffix: str) -> Any:
        try:
            return json.loads(self._path(service, suffix).read_bytes())
        except (FileNotFoundError, ValueError):
            # Of a file that a crash of the machine left empty, nothing is known to have passed.
            return None

    def _write(self, service: str, suffix: str, value: Any) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(service, suffix)
        # One name for all processes: what a killed one leaves, the next one replaces.
        staging = path.with_name(f"{path.name}.new")
        with (self._folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # A target's environment may hold secrets, and putting a release back needs them.
            staging.touch(mode=0o600)
            staging.write_text(json.dumps(value))
            staging.replace(path)

    def _path(self, service: str, suffix: str) -> Path:
        from urllib.parse import quote

        return self._folder / (quote(service, safe="") + suffix)


def _releases(values: list[Any]) -> Iterator[Release]:
    for value in values:
        try:
            yield Release.from_json(value)
        except (TypeError, KeyError, ValueError):
            continue
