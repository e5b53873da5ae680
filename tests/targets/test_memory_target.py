"""The target that only remembers is a target."""

from __future__ import annotations

import pytest
from conformance import TargetConformance

from pipeline.digest import digest_of
from pipeline.targets._memory import MemoryTarget
from pipeline.targets.model import Release


class TestMemoryTarget(TargetConformance):
    @pytest.fixture
    def target(self) -> MemoryTarget:
        return MemoryTarget()

    @pytest.fixture
    def releases(self) -> tuple[Release, Release]:
        one, two = (Release("s", digest_of(text), (), {}, 8000, 5001) for text in (b"1", b"2"))
        return one, two
