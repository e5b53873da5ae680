"""The kind `run`: what enters the key, what does not, and the command line that comes out."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from pipeline.errors import UsageError
from pipeline.facts import Facts
from pipeline.layers import run as kind
from pipeline.manifest.model import Secret
from pipeline.recipe import Execute


def recipe(**spec: Any) -> Execute:
    (made,) = kind.recipes(spec, kind.request(spec, None), Facts())  # type: ignore[arg-type]
    assert isinstance(made, Execute)
    return made


def output(**spec: Any) -> tuple[int, list[str]]:
    ended = subprocess.run(recipe(**spec).argv, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout.splitlines()


def test_one_script_runs_up_to_its_first_failure() -> None:
    assert output(commands="echo a\nfalse\necho b") == (1, ["a"])


def test_commands_share_a_shell_and_are_announced() -> None:
    told = output(commands=["x='it is'", 'echo "$x"; exit 3', "echo never"])
    assert told == (3, ["+ x='it is'", '+ echo "$x"; exit 3', "it is"])


def test_bash_minds_every_part_of_a_pipe() -> None:
    assert output(commands="false | true", shell="/bin/bash")[0] == 1
    assert output(commands="false | true")[0] == 0


def test_limits_become_numbers() -> None:
    made = recipe(commands="x", timeout="2m", memory="1GiB", cpus=1.5, network="none", cache=["/b", "/a"])
    assert (made.timeout, made.memory, made.cpus, made.network) == (120, 2**30, 1.5, "none")
    assert made.caches == ("/a", "/b")
    assert recipe(commands="x").timeout == 3600


def test_a_secret_is_known_by_name_alone() -> None:
    spec = {"commands": "x", "secrets": {"TOKEN": Secret("hunter2")}}
    assert "hunter2" not in repr(kind.request(spec, None))  # type: ignore[arg-type]
    made = recipe(**spec)
    assert made.inputs["secrets"] == ["TOKEN"]
    assert "hunter2" not in repr(made)


def test_a_secret_in_the_environment_is_refused() -> None:
    with pytest.raises(UsageError, match="the variable URL holds a secret"):
        recipe(commands="x", env={"URL": Secret("https://a:b@c")})
