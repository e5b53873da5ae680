"""A target kind from outside, for tests: services that are only remembered, until the test forgets them."""

from typing import Any

from pipeline.targets._memory import MemoryTarget

SCHEMA = {
    "type": "object",
    "required": ["image", "port"],
    "properties": {"image": {"type": "string"}, "port": {"type": "integer"}, "broken": {"type": "boolean"}},
}

LIVE: dict[str, MemoryTarget] = {}


def target(service: str, _spec: Any, **_surroundings: Any) -> MemoryTarget:
    if service not in LIVE:
        LIVE[service] = MemoryTarget(lambda release: "failed" if release.settings.get("broken") else "running")
    return LIVE[service]
