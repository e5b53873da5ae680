"""Azure ML's own libraries as judges: they live in .venv-azure (make judges), apart from the rest."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-azure/bin/python"


class Refused(Exception):
    """The library raised."""


class Judge:
    """A process of .venv-azure that answers one question after another."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, ask: str, **question: Any) -> Any:
        """What the library says; Refused with its words."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps({"ask": ask, **question}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the judge's process has ended"
        answer = json.loads(line)
        if "refused" in answer:
            raise Refused(answer["refused"])
        return answer["answer"]


@contextmanager
def judging(home: Path) -> Iterator[Judge]:
    """A judge; skips where the libraries are not installed."""
    if not PYTHON.exists():
        pytest.skip("Azure ML's libraries are not there: make judges")
    program = Path(__file__).with_name("judge_program.py")
    # It must send nothing to anybody, and write its settings where they are thrown away.
    env = {**os.environ, "HOME": str(home), "AZUREML_DISABLE_TELEMETRY": "1", "AZURE_CORE_COLLECT_TELEMETRY": "0"}
    with subprocess.Popen(
        [str(PYTHON), str(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=env,
    ) as process:
        yield Judge(process)
        assert process.stdin
        process.stdin.close()
