"""Golden cache keys: they change only on purpose, for every user builds everything anew when they do.

When they are meant to change (see pipeline.assemble.PACKER), write them again: `python tests/plan/test_keys.py`.
"""

from __future__ import annotations

import json
from pathlib import Path

from plan_values import project

from pipeline.plan.steps import steps_of

GOLDEN = Path(__file__).parents[1] / "golden" / "keys.json"


def current() -> dict[str, str]:
    return {step.id: step.key for step in steps_of(*project())}


def test_cache_keys_are_what_they_were() -> None:
    assert current() == json.loads(GOLDEN.read_text())


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(current(), indent=2) + "\n")
