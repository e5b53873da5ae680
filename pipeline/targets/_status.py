"""STATE of a local service: its lock, and the status.json of one in a container engine: which, and whether stopped."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.engine.model import About

_FIELDS = ("name", "version", "platform", "address")


@contextmanager
def guard(state: Path) -> Iterator[int]:
    """Holds off other runs of this service. The system releases it when the last process has ended that has the
    descriptor, which is given.
    """
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (state / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def put(state: Path, value: Any) -> None:
    """Writes status.json anew, in one act; whoever does holds the guard."""
    path = state / "status.json"
    staging = path.with_suffix(".json.new")
    staging.write_text(json.dumps(value))
    staging.replace(path)


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
    """Writes the record. `images` are those that the service left in the engine, the newest first."""
    value: Mapping[str, Any] = {
        "engine": {field: getattr(about, field) for field in _FIELDS},
        "stopped": stopped,
        "images": list(images),
    }
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    put(state, value)
