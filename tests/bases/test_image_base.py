"""The base kind `image`: which digest a tag is, now and in the lock."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.bases import image
from pipeline.errors import OutOfReach, ResolveError
from pipeline.facts import Facts
from pipeline.kinds import Held

NAME = "registry.example.com/ml/base:1"
OLD, NEW = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


class Registry:
    """A registry whose tag is `NEW` now, and which has these digests."""

    def __init__(self, *digests: str, error: type[Exception] = ResolveError) -> None:
        self.images, self._digests, self._error = self, digests, error
        self.warned: list[str] = []
        self.warn = self.warned.append

    def registry(self, name: str, _registry: str, _platform: Any) -> Any:
        digest = name.partition("@")[2] or NEW
        if digest not in self._digests:
            raise self._error("not there")
        return {"reference": name, "digest": digest, "packages": []}


def _resolve(registry: Registry, held: Held, name: str = NAME) -> Any:
    spec = {"reference": name}
    return image.resolve(spec, image.request(spec, SimpleNamespace()), Facts(), registry, held)  # type: ignore[arg-type]


def test_the_locked_digest_of_a_tag_stays_while_it_is_there() -> None:
    registry = Registry(OLD, NEW)
    locked = _resolve(registry, Held({"reference": "ml/base:1", "digest": OLD}))
    assert locked == {"reference": "ml/base:1", "digest": OLD, "packages": []}
    assert not registry.warned


def test_a_package_of_an_image_is_not_upgraded_alone() -> None:
    registry = Registry(OLD, NEW)
    assert _resolve(registry, Held({"reference": "ml/base:1", "digest": OLD}, frozenset({"openssl"})))["digest"] == OLD
    assert registry.warned == ["ml/base:1 stays, and openssl in it: only upgrading the base itself takes a newer image"]


@pytest.mark.parametrize(
    "held",
    [
        Held(),
        Held({"reference": "ml/base:2", "digest": OLD}),
        Held({"reference": "ml/base:1"}),
        Held({"reference": "ml/base:1", "digest": f"sha256:{'3' * 64}"}),
        Held([]),
    ],
)
def test_else_it_is_what_the_tag_is_now(held: Held) -> None:
    locked = _resolve(Registry(OLD, NEW), held)
    assert (locked["digest"], locked["reference"]) == (NEW, "ml/base:1")


def test_a_registry_that_does_not_answer_is_not_taken_for_one_without_the_image() -> None:
    with pytest.raises(OutOfReach):
        _resolve(Registry(error=OutOfReach), Held({"reference": "ml/base:1", "digest": OLD}))
