"""A target kind elsewhere, for tests: rooms that remember services, some of them closed, some of them refused."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from pipeline.errors import OutOfReach, UsageError
from pipeline.targets.model import Observation, Release
from pipeline.targets.remote import Difference, RemoteTarget, Surroundings

REMOTE = MOUNTS = True
WHERE = ("room",)
SCHEMA = {
    "type": "object",
    "required": ["image"],
    "properties": {"image": {"type": "string"}, "port": {"type": "integer"}, "room": {"type": "string"}},
}

ROOMS: dict[str, Release] = {}
CLOSED: set[str] = set()
REFUSED: set[str] = set()
CHANGED: list[Difference] = []


def clear() -> None:
    for one in (ROOMS, CLOSED, REFUSED, CHANGED):
        one.clear()


class Far(RemoteTarget):
    def __init__(self, room: str) -> None:
        self._room = room

    def observe(self) -> Observation:
        if self._room in CLOSED:
            return Observation("unknown", detail="the room is closed")
        found = ROOMS.get(self._room)
        return Observation("running", found.revision, found.image, self._room) if found else Observation("absent")

    def check(self, *, mounts: Collection[str] = (), scores: bool = False, image: str = "") -> None:  # noqa: ARG002
        if self._room in REFUSED:
            raise UsageError(f"nobody may enter {self._room}", remedy=f"with {len(mounts)} models")

    def rollout(self, release: Release) -> Observation:
        if self._room in CLOSED:
            raise OutOfReach("the room is closed")
        ROOMS[self._room] = release
        CHANGED.clear()
        return self.observe()

    def differences(self, release: Release) -> Sequence[Difference]:  # noqa: ARG002
        return CHANGED

    def place(self) -> str:
        return f"room {self._room}"

    def removal(self) -> str:
        return f"empty {self._room}"

    def logs(self, *, follow: bool = False, lines: int | None = None) -> Iterator[str]:  # noqa: ARG002
        return iter(())

    def stop(self) -> Observation:
        ROOMS.pop(self._room, None)
        return self.observe()


def target(_service: str, spec: Any, _surroundings: Surroundings) -> Far:
    return Far(spec.get("room", "one"))
