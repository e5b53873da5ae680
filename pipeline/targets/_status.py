"""STATE/status.json of a service that runs in a container engine: which engine, and whether it was stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.engine.model import About

_FIELDS = ("name", "version", "platform", "address")


def read(state: Path) -> dict[str, Any]:
    """What is recorded; empty when nothing is."""
    try:
        value = json.loads((state / "status.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def engine_of(state: Path) -> About | None:
    """The engine that the service was started in; None for none."""
    engine = read(state).get("engine")
    if not engine:
        return None
    from pipeline.engine.model import About

    return About(*(engine[field] for field in _FIELDS))


def record(state: Path, about: About, *, stopped: bool = False, images: Sequence[str] = ()) -> None:
    """Writes the record anew, in one act. `images` are those that the service left in the engine, the newest first."""
    value: Mapping[str, Any] = {
        "engine": {field: getattr(about, field) for field in _FIELDS},
        "stopped": stopped,
        "images": list(images),
    }
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = state / "status.json"
    staging = path.with_suffix(f".{os.getpid()}")
    staging.write_text(json.dumps(value))
    staging.replace(path)
