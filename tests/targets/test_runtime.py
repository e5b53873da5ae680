"""What a local service is told, whatever runs it."""

from __future__ import annotations

from dataclasses import replace

from pipeline.digest import digest_of
from pipeline.targets._runtime import environment, last_lines
from pipeline.targets.model import Release

RELEASE = Release("tests-here", digest_of(b"image"), (), {}, port=8890, container_port=5001)


def test_a_service_learns_the_port_that_it_has_to_listen_on() -> None:
    assert environment(RELEASE)["PORT"] == "5001"
    assert environment(replace(RELEASE, settings={"env": {"PORT": "1", "A": "b"}})) == {
        "PYTHONUNBUFFERED": "1", "A": "b", "PORT": "5001",
    }  # fmt: skip


def test_the_last_lines_are_whole_ones() -> None:
    said = ["one", "two", "three"]
    assert last_lines(said, 2) == ["two", "three"]
    assert last_lines(said, 0) == []
    assert last_lines(said, None) == said
