"""`pipeline runs`, and a run after one that was killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

PLUGIN = Path(__file__).with_name("plugin")
ENDING = """
import io, os, sys
from pipeline.cli._door import run
word, number = sys.argv[1], int(sys.argv[2])
class Out(io.StringIO):
    def write(self, text):
        if text.startswith(word):
            os.kill(os.getpid(), number)
        return len(text)
sys.exit(run(sys.argv[3:], environ=dict(os.environ), out=Out(), err=sys.stderr))
"""


def ended(shop: Any, word: str, number: signal.Signals, *args: str) -> int:
    """The exit code of a run that got a signal as it said a line that begins with `word`."""
    environ = {**shop.environ, "PYTHONPATH": str(PLUGIN)}
    command = [sys.executable, "-c", ENDING, word, str(int(number)), *args]
    return subprocess.run(command, env=environ, cwd=shop.folder, check=False, capture_output=True).returncode


def test_a_killed_run_is_continued_and_what_was_made_is_not_made_again(shop: Any) -> None:
    assert ended(shop, "image", signal.SIGKILL, "build") == -9
    again = shop("build")
    assert again.out.splitlines()[0].startswith("continues run 1, killed ")
    assert again.out.splitlines()[0].endswith(" of 3 steps were done")
    assert "3 hits" in again.out.splitlines()[-1]
    shown = shop("runs", "show", "1").out
    assert shown.startswith("run 1  killed")
    assert "continues" not in shop("build").out
    assert shop("runs", "show", "2", "--output", "json").json["continues"] == 1


def test_ctrl_c_is_an_interruption(shop: Any) -> None:
    assert ended(shop, "layer", signal.SIGINT, "build") == 130
    assert shop("runs", "--output", "json").json[0]["outcome"] == "interrupted"
    assert "continues" not in shop("build").out


def test_runs_are_listed_the_newest_first(shop: Any) -> None:
    assert shop("runs").out == "no runs: 'pipeline run' makes one\n"
    shop("build")
    shop("build", "--image", "web")
    rows = shop("runs").out.splitlines()
    assert rows[0].split() == ["ID", "STARTED", "MANIFEST", "COMMAND", "OUTCOME", "MADE", "HITS", "TIME"]
    assert [row.split()[0] for row in rows[1:]] == ["2", "1"]
    assert "nothing to do" in rows[1] and "done" in rows[2]
    assert len(shop("runs", "-n", "1").out.splitlines()) == 2
    assert len(shop("runs", "--manifest", "pipeline.yaml").out.splitlines()) == 3
    assert shop("runs", "--manifest", "other").out == "no runs of other\n"
    newest, oldest = shop("runs", "--output", "json").json
    assert (newest["command"], newest["hits"], oldest["made"]) == ("build --image web", 3, 3)


def test_a_run_is_shown_with_its_steps_and_its_error(shop: Any) -> None:
    shop.write("pipeline.yaml", Path("pipeline.yaml").read_text().replace("port: 8890", "port: 8890, broken: true"))
    assert shop("run").code == 5
    shown = shop("runs", "show").out
    assert "run 1  failed" in shown
    assert shown.count("did not become healthy") == 1
    steps = {step["step"]: step for step in shop("runs", "show", "--output", "json").json["done"]}
    assert (steps["target here"]["outcome"], steps["image web"]["outcome"]) == ("failed", "made")
    assert steps["image web"]["output"]["image"]["digest"].startswith("sha256:")
    assert steps["layer code"]["inputs"]["packer"]
    assert "did not become healthy" in shop("runs", "logs", "1", "target", "here").out
    said = shop("runs", "logs", "1", "here", "--output", "json").json
    assert said[0]["step"] == "target here" and said[0]["at"].endswith("Z")


def test_what_is_not_there_is_said_with_what_is(shop: Any) -> None:
    assert "there was no run yet" in shop("runs", "show").err
    shop("build")
    assert shop("runs", "show", "9").code == 2
    nothing = shop("runs", "logs", "1", "layer", "other")
    assert nothing.code == 2 and "pipeline runs show 1" in nothing.err


def test_values_that_were_set_are_not_kept(shop: Any) -> None:
    text = Path("pipeline.yaml").read_text().replace("name: shop", "name: ${NAME}")
    shop.write("pipeline.yaml", text)
    assert shop("build", "--set", "NAME=hush").code == 0
    command = shop("runs", "--output", "json").json[0]["command"]
    assert command == "build --set NAME=…"


def test_what_fails_stops_only_what_needs_it_unless_told_otherwise(shop: Any) -> None:
    """Two targets, the first broken: that the second is rolled out all the same is the rule."""
    text = Path("pipeline.yaml").read_text().replace("port: 8890", "port: 8890, broken: true")
    shop.write("pipeline.yaml", text + "  there: {remembered: {image: web, port: 8891}}\n")
    events = shop("run", "--output", "json").events
    outcomes = {event["step"]: event["outcome"] for event in events if event["event"] == "step-ended"}
    assert (outcomes["target here"], outcomes["target there"]) == ("failed", "made")


def test_json_says_what_is_continued(shop: Any) -> None:
    assert ended(shop, "image", signal.SIGKILL, "build") == -9
    event = shop("build", "--output", "json").events[0]
    known = {name: event[name] for name in ("event", "run", "steps")}
    assert known == {"event": "run-continued", "run": 1, "steps": 3}
