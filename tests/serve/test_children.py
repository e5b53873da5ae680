"""Commands in processes of their own: what they say is kept, they end when told to, and never outlive the server."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.serve import child
from pipeline.serve.children import Children

STARTER = """\
import sys, os
from pathlib import Path
from pipeline.serve.children import Children
folder, manifest = map(Path, sys.argv[1:])
words = ["run", str(manifest), "--output", "json"]
Children(folder / "children").run(words, os.environ, folder / "1.jsonl", lambda: False)
"""


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a registry that takes calls and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def hanging(tmp_path: Path, silent: str) -> Path:
    """A manifest whose run waits for that registry."""
    path = tmp_path / "hanging.yaml"
    path.write_text(f"version: 1\nname: h\nbases: {{far: {{image: {silent}/none:v1}}}}\nimages: {{h: {{base: far}}}}\n")
    return path


def events(log: Path) -> list[str]:
    return [json.loads(line)["event"] for line in log.read_text().splitlines()] if log.exists() else []


def is_over(process: int) -> bool:
    """Whether it has ended, be it that nobody has asked how."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_what_a_command_says_is_kept_and_its_end_noted(tmp_path: Path) -> None:
    children, log = Children(tmp_path / "children"), tmp_path / "1.jsonl"
    code = children.run(["run", "none.yaml", "--output", "json"], os.environ, log, lambda: False, tmp_path)
    assert code == 2
    last = json.loads(log.read_text().splitlines()[-1])
    assert last == {"event": "command-ended", "exit_code": 2}
    assert "there is no such file" in log.with_suffix(".err").read_text()
    assert not list((tmp_path / "children").iterdir())


def test_a_short_command_is_asked(tmp_path: Path) -> None:
    code, out, err = Children(tmp_path / "children").ask(["version", "--output", "json"], os.environ)
    assert (code, err) == (0, "") and "version" in json.loads(out)


def test_a_repository_cannot_lend_the_command_its_modules(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit(99)")
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "__init__.py").write_text("raise SystemExit(99)")
    assert Children(tmp_path / "children").ask(["version"], os.environ, tmp_path)[0] == 0


def test_a_command_ends_when_it_is_told_to(tmp_path: Path, hanging: Path) -> None:
    log = tmp_path / "1.jsonl"
    words = ["run", str(hanging), "--output", "json"]
    code = Children(tmp_path / "children").run(words, os.environ, log, lambda: "step-said" in events(log))
    assert code == 128 + signal.SIGTERM
    assert "command-ended" not in events(log)


def test_a_command_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    deaf = tmp_path / "deaf"
    said = 'import signal, time; signal.signal(15, signal.SIG_IGN); print("here", flush=True); time.sleep(600)'
    deaf.write_text(f"#!{sys.executable}\n{said}\n")
    deaf.chmod(0o755)
    log = tmp_path / "1.jsonl"
    children = Children(tmp_path / "children", patience=0.2, python=(str(deaf),))
    assert children.run([], os.environ, log, lambda: log.exists() and bool(log.read_text())) == -signal.SIGKILL


def test_a_command_dies_with_the_server_and_the_next_one_waits_for_that(tmp_path: Path, hanging: Path) -> None:
    log = tmp_path / "1.jsonl"
    server = subprocess.Popen([sys.executable, "-c", STARTER, str(tmp_path), str(hanging)])
    while "step-said" not in events(log):
        assert server.poll() is None
    (lock,) = (tmp_path / "children").iterdir()
    child = int(lock.read_text())
    server.kill()
    server.wait()
    assert Children(tmp_path / "children").bury() == 1
    assert is_over(child)
    assert "command-ended" not in events(log)
    assert Children(tmp_path / "children").bury() == 0


def test_what_was_stopped_does_not_say_that_it_ended(tmp_path: Path) -> None:
    """A signal may come when the command line has done its work, and its process has not ended."""
    package = tmp_path / "pipeline"
    package.mkdir()
    raised = "import os, signal\nsignal.signal(signal.SIGTERM, lambda *_: exec('raise SystemExit(143)'))\n"
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(f"{raised}os.kill(os.getpid(), signal.SIGTERM)\n")
    source = Path(child.__file__)
    runner = f"import os, runpy, sys\nsys.path.insert(0, {str(tmp_path)!r})\n"
    runner += "sys.argv = ['x', str(os.open('lock', os.O_RDWR | os.O_CREAT)), str(os.getppid())]\n"
    runner += f"runpy.run_path({str(source)!r}, run_name='__main__')\n"
    command = [sys.executable, "-P", "-c", runner]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (ended.returncode, ended.stdout) == (143, "")
