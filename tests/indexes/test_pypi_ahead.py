"""Wheels are fetched in groups, each once, and a failure is the business of those who need it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from pipeline.errors import OutOfReach
from pipeline.indexes.pypi_ahead import Ahead, Wheel

A, B, C = (("a.whl", "0"), ("b.whl", "1"), ("c.whl", "2"))


def test_each_wheel_is_fetched_once_however_many_ask() -> None:
    asked: list[list[Wheel]] = []
    ahead = Ahead()

    def fetch(group: Sequence[Wheel]) -> Mapping[str, Path]:
        asked.append(list(group))
        return {file: Path(file) for file, _ in group}

    assert ahead.folders("3.11", [A], [[A, B], [C]], fetch) == {"a.whl": Path("a.whl")}
    assert ahead.folders("3.11", [C, B], [[A, B, C]], fetch) == {"b.whl": Path("b.whl"), "c.whl": Path("c.whl")}
    assert sorted(asked) == [[A, B], [C]]
    ahead.folders("3.12", [A], (), fetch)
    assert sorted(asked) == [[A], [A, B], [C]]


def test_who_needs_one_group_does_not_wait_for_another() -> None:
    gate = threading.Event()

    def fetch(group: Sequence[Wheel]) -> Mapping[str, Path]:
        if B in group:
            gate.wait()
        return {file: Path(file) for file, _ in group}

    ahead = Ahead()
    assert ahead.folders("", [A], [[B], [A]], fetch)
    gate.set()
    assert ahead.folders("", [B], (), fetch)


def test_after_a_failure_the_next_who_asks_tries_again() -> None:
    tries: list[Wheel] = []

    def fetch(group: Sequence[Wheel]) -> Mapping[str, Path]:
        tries.extend(group)
        if group[0] == B and tries.count(B) == 1:
            raise OutOfReach("the index does not answer")
        return {file: Path(file) for file, _ in group}

    ahead = Ahead()
    assert ahead.folders("", [A], [[A], [B]], fetch)
    with pytest.raises(OutOfReach):
        ahead.folders("", [B], (), fetch)
    assert ahead.folders("", [B], (), fetch) == {"b.whl": Path("b.whl")}
