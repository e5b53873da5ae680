"""Conda packages that are locked stay where they fit; an upgrade says what keeps a package back."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from condamaker import Channel

from pipeline.indexes.conda import Conda
from pipeline.layers._environment import Environment


class Asked:
    """A channel to ask, and what was said meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.channel = Channel(folder / "channel")
        self.said: list[str] = []
        user = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        self._conda = Conda(folder / "cache", user, lambda _: None, warn=self.said.append, etc=folder / "etc")

    def __call__(self, *specs: str, subdir: str = "linux-64", **options: Any) -> list[dict[str, Any]]:
        asked = Environment(channels=(self.channel.folder.as_uri(),), dependencies=specs)
        return self._conda.solve(asked, subdir=subdir, virtual=[], files=None, **options)  # type: ignore[arg-type]


@pytest.fixture
def ask(tmp_path: Path) -> Asked:
    made = Asked(tmp_path)
    made.channel.package("alpha", "1.0", depends=["beta <3"])
    made.channel.package("beta", "1.0")
    return made


def _versions(found: list[dict[str, Any]]) -> dict[str, str]:
    return {each["name"]: each["version"] for each in found}


def _grow(ask: Asked) -> None:
    ask.channel.package("alpha", "2.0", depends=["beta"])
    ask.channel.package("beta", "2.0")
    ask.channel.package("beta", "3.0")


def test_one_package_more_moves_no_other(ask: Asked) -> None:
    held = ask("alpha")
    _grow(ask)
    ask.channel.package("gamma", depends=["beta >=1"])
    assert _versions(ask("gamma", "alpha")) == {"alpha": "2.0", "beta": "3.0", "gamma": "1.0"}
    found = ask("gamma", "alpha", held=held)
    assert [each for each in found if each["name"] != "gamma"] == held


def test_only_what_has_to_move_moves(ask: Asked) -> None:
    held = ask("alpha")
    _grow(ask)
    ask.channel.package("gamma", depends=["beta >=2"])
    assert _versions(ask("alpha", "gamma", held=held)) == {"alpha": "1.0", "beta": "2.0", "gamma": "1.0"}


def test_a_new_build_of_the_same_version_does_not_slip_in(ask: Asked) -> None:
    held = ask("beta")
    ask.channel.package("beta", "1.0", build="z1")
    assert ask("beta", held=held) == held
    # The file is gone: the version stays.
    ask.channel.package("beta", "2.0")
    assert _versions(ask("beta", held=[{**held[0], "sha256": "0" * 64, "file": "x"}])) == {"beta": "1.0"}


def test_what_has_left_the_channel_is_replaced(ask: Asked) -> None:
    held = ask("beta")
    _grow(ask)
    index = ask.channel.folder / "linux-64/repodata.json"
    known = json.loads(index.read_text())
    del known["packages.conda"]["beta-1.0-0.conda"]
    index.write_text(json.dumps(known))
    assert _versions(ask("beta", held=held)) == {"beta": "3.0"}


def test_another_platform_gets_the_same_versions(ask: Asked) -> None:
    held = ask("beta")
    for version in ("1.0", "2.0"):
        ask.channel.package("beta", version, subdir="linux-aarch64")
    found = ask("beta", subdir="linux-aarch64", held=held)
    assert [(each["version"], each["subdir"]) for each in found] == [("1.0", "linux-aarch64")]


def test_what_a_channel_corrects_in_its_index_moves_nothing(ask: Asked) -> None:
    held = ask("alpha")
    index = ask.channel.folder / "linux-64/repodata.json"
    index.write_text(index.read_text().replace("beta <3", "beta <2"))
    assert ask("alpha", held=held) == held
    assert ask("alpha") != held


def test_an_upgrade_says_what_keeps_it_back(ask: Asked) -> None:
    held = ask("alpha")
    _grow(ask)
    kept = [each for each in held if each["name"] == "alpha"]
    assert _versions(ask("alpha", held=kept, upgrade=["beta"])) == {"alpha": "1.0", "beta": "2.0"}
    assert ask.said.pop() == (
        "beta stays at 2.0, though there is 3.0: alpha 1.0 needs beta <3 (upgrade both: --upgrade beta alpha)"
    )
    ask("alpha", "beta=1", upgrade=["beta"])
    assert ask.said.pop() == "beta stays at 1.0, though there is 3.0: beta=1 is asked for"
    assert _versions(ask("alpha", upgrade=["alpha", "beta"])) == {"alpha": "2.0", "beta": "3.0"}
    assert not ask.said
