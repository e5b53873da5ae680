"""What passed the gate, kept in a Secret of the cluster: every machine that rolls out knows what to put back."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.kubernetes import names
from pipeline.kubernetes.api import Cluster, Object
from pipeline.targets.model import Release

KEPT = 10
_CONFIG = ("Env", "User", "ExposedPorts")


class ReleasesSecret:
    """`pipeline.targets.remote.Verified` of one service, in the Secret NAME-releases."""

    def __init__(self, cluster: Callable[[], Cluster], name: str) -> None:
        self._cluster = cluster
        self._name = f"{name}-releases"
        self._instance = name
        self._known: tuple[list[Release], str] | None = None
        self._data: Mapping[str, str] = {}
        """As it was read last."""

    def get(self, service: str) -> Release | None:
        return next(iter(self.history(service)), None)

    def history(self, service: str) -> list[Release]:
        return [release for release in self._read()[0] if release.service == service]

    def put(self, release: Release) -> None:
        kept = [one for one in self._read(fresh=True)[0] if one.revision != release.revision]
        self._write([release, *kept][:KEPT], self._read()[1])

    def demote(self, service: str, revision: str) -> None:
        every, pin = self._read(fresh=True)
        self._write(sorted(every, key=lambda one: one.service == service and one.revision == revision), pin)

    def pinned(self, service: str) -> str:  # noqa: ARG002
        return self._read()[1]

    def pin(self, service: str, revision: str) -> None:  # noqa: ARG002
        self._write(self._read(fresh=True)[0], revision)

    def check(self) -> None:
        """Raises what the cluster would say to keeping a release; keeps nothing."""
        if self._cluster().get("Secret", self._name) is None:
            self._cluster().apply(self._secret({}), dry_run=True, force=True)

    def _read(self, fresh: bool = False) -> tuple[list[Release], str]:
        if self._known is None or fresh:
            found = self._cluster().get("Secret", self._name) or {}
            self._data = data = found.get("data") or {}
            self._known = _releases(data.get("releases", "")), base64.b64decode(data.get("pinned", "")).decode()
        return self._known

    def _write(self, releases: list[Release], pin: str) -> None:
        # A Secret may have 1 MiB, and an image's config the history of all its layers.
        # Sorted: the same releases give the same bytes on every machine.
        text = json.dumps([_slim(one.to_json()) for one in releases], sort_keys=True)
        packed = gzip.compress(text.encode(), mtime=0)
        data = {"releases": base64.b64encode(packed).decode(), "pinned": base64.b64encode(pin.encode()).decode()}
        if data != self._data:
            self._cluster().apply(self._secret(data), force=True)
        self._known, self._data = (releases, pin), data

    def _secret(self, data: Mapping[str, str]) -> Object:
        labels = {names.INSTANCE: self._instance, names.MANAGED: names.BY}
        metadata = {"name": self._name, "labels": labels}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": dict(data)}


def _slim(value: dict[str, Any]) -> dict[str, Any]:
    config = value["config"].get("config") or {}
    return {**value, "config": {"config": {key: config[key] for key in _CONFIG if key in config}}}


def _releases(text: str) -> list[Release]:
    try:
        values = json.loads(gzip.decompress(base64.b64decode(text))) if text else []
        return [Release.from_json(value) for value in values]
    except (OSError, ValueError, TypeError, KeyError, EOFError):
        # Somebody changed it by hand: nothing is known to have passed.
        return []
