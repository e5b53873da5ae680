"""Results that are shared with nobody: what stages ask for where the manifest names no cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.oci.descriptor import Layer
from pipeline.plan.model import Plan, Step
from pipeline.store.memos import Memos


class Alone(Memos):
    """Beside the memories of the store nothing; `stages.cache.SharedCache` says what each question is for."""

    def expect(self, steps: Sequence[Step]) -> None:
        """Finds out for all these steps at once what others have made; nothing is made or uploaded."""

    def find(self, _step: Step) -> bool:
        """Whether another machine has made this by now; its record is kept then."""
        return False

    def result(self, _what: str, _key: str) -> Mapping[str, Any] | None:
        """What another machine made under a key that belongs to no step."""
        return None

    def told(self, plan: Plan) -> Plan:
        """The plan, saying for each hit that is one by what others made where it comes from."""
        return plan

    def settle(self, step: Step, name: str) -> None:
        """Notes that a step was a hit of a run of the manifest `name`; shares what others do not have yet."""

    def write(self, step: Step, record: Mapping[str, Any]) -> None:
        """Begins to share what a step made."""

    def share(self, what: str, key: str, record: Mapping[str, Any]) -> None:
        """Shares what was made under a key that belongs to no step, at the end of a run."""

    def finish(self) -> None:
        """At the end of a run: returns when everything is shared that is to be."""

    def contents(self, _layer: Layer) -> bool:
        """Takes over what a layer holds, without its bytes; whether that is known then."""
        return False
