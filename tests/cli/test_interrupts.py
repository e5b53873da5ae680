"""Ctrl-C, or SIGTERM: once, and the run ends in order while a step hangs; twice, and it ends at once."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_HANGING = """
import sys, time
from offline_target import SCHEMA, target as offline
def target(*args, **settings):
    made = offline(*args, **settings)
    def rollout(*_args, **_settings):
        print("hanging", flush=True)
        time.sleep(600)
    made.rollout = rollout
    return made
"""
_STUBBORN = """
import sys, time
from pipeline.cli._process import prepare_process
prepare_process()
try:
    print("ready", flush=True)
    time.sleep(600)
except KeyboardInterrupt:
    print("tidying up", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_once_ends_a_run_whose_step_hangs(shop: Any, tmp_path: Path, number: signal.Signals, code: int) -> None:
    plugin = tmp_path / "hanging"
    (plugin / "hanging-1.dist-info").mkdir(parents=True)
    (plugin / "hanging-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: hanging\nVersion: 1\n")
    (plugin / "hanging-1.dist-info/entry_points.txt").write_text("[pipeline.targets]\nhanging = hanging_target\n")
    (plugin / "hanging_target.py").write_text(_HANGING)
    shop.write("pipeline.yaml", Path("pipeline.yaml").read_text().replace("{remembered:", "{hanging:"))
    environ = {**shop.environ, "PYTHONPATH": f"{plugin}:{Path(__file__).with_name('plugin')}"}
    command = [sys.executable, "-m", "pipeline", "run"]
    running = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout
    assert any(line == "hanging\n" for line in running.stdout)
    running.send_signal(number)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, err.strip()) == (code, "")
    assert out.splitlines()[-1].startswith("interrupted after")
    (run,) = shop("runs", "--output", "json").json
    assert (run["outcome"], run["made"]) == ("interrupted", 5)
    steps = {step["step"]: step["outcome"] for step in shop("runs", "show", "--output", "json").json["done"]}
    assert (steps["target here"], steps["tag web"]) == ("interrupted", "made")


def test_twice_ends_it_at_once() -> None:
    running = subprocess.Popen([sys.executable, "-c", _STUBBORN], stdout=subprocess.PIPE, text=True)
    assert running.stdout
    for word in ("ready\n", "tidying up\n"):
        assert running.stdout.readline() == word
        running.send_signal(signal.SIGINT)
    assert running.wait(60) == 130
