"""The way in and the way out: arguments, errors, exit codes, secrets, and streams that are not what they should be."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pytest

from pipeline.cli._app import NAMES, app
from pipeline.cli._door import guarded, run
from pipeline.cli._find import find_manifest
from pipeline.cli._shell import Shell
from pipeline.errors import Location, OutOfReach, UsageError
from pipeline.events import Event, StepEnded, StepStarted
from pipeline.run import open_bench, perform, prepare

PIPELINE = [sys.executable, "-m", "pipeline"]


def shell(**environ: str) -> Shell:
    return Shell(environ, io.StringIO(), io.StringIO(), cwd=Path())


def fails(error: BaseException) -> Any:
    def call() -> None:
        raise error

    return call


def test_an_error_is_one_block_with_place_fact_and_remedy() -> None:
    at = shell()
    error = OutOfReach("mirror.test does not answer", remedy="check the proxy", place=Location("a.yaml", 3, 5))
    assert guarded(at, fails(error)) == 4
    assert at.err.getvalue() == "error: a.yaml:3:5: mirror.test does not answer\n  check the proxy\n"
    assert at.out.getvalue() == ""


def test_an_error_that_was_shown_already_is_not_repeated() -> None:
    at = shell()
    error = OutOfReach("no answer")
    at.shown.add(str(error))
    assert guarded(at, fails(error)) == 4
    assert at.err.getvalue() == ""


def test_a_bug_leaves_its_traceback_in_a_file_and_not_on_the_screen(tmp_path: Path) -> None:
    at = shell(PIPELINE_HOME=str(tmp_path))
    at.masks.add(["hunter22"])
    assert guarded(at, fails(KeyError("hunter22"))) == 70
    (log,) = (tmp_path / "state/logs").iterdir()
    assert at.err.getvalue() == f"bug: KeyError: '***'; please report; details are in {log}\n"
    assert "Traceback" in log.read_text()
    assert "hunter22" not in log.read_text()


def test_a_bug_whose_log_cannot_be_written_shows_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    at = shell(PIPELINE_HOME=str(tmp_path / "file"))
    assert guarded(at, fails(ValueError("odd"))) == 70
    assert at.err.getvalue().startswith("Traceback")
    assert at.err.getvalue().endswith("bug: ValueError: odd; please report with the lines above\n")


def test_ctrl_c_is_no_error() -> None:
    at = shell()
    assert guarded(at, fails(KeyboardInterrupt())) == 130
    assert at.err.getvalue() == "interrupted\n"


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["rnu"], "error: 'rnu' is no command of pipeline: did you mean 'run'?\n  see 'pipeline --help'\n"),
        (["image", "lst"], "error: 'lst' is no command of pipeline image: did you mean 'ls'?"),
        (["run", "--sett", "a=b"], "error: no such option '--sett'. Did you mean '--set'?"),
        (["run", "--set", "a"], "error: invalid value for '--set': 'a' is not name=value\n  see 'pipeline run --help'"),
        (["logs", "-n", "-1"], "error: invalid value for '-n'"),
    ],
)
def test_wrong_words_on_the_command_line(capsys: Any, args: Sequence[str], text: str) -> None:
    assert run(args, environ=dict(os.environ), out=sys.stdout, err=sys.stderr) == 2
    seen = capsys.readouterr()
    assert seen.out == ""
    assert seen.err.startswith(text)


def test_errors_of_the_command_line_itself_come_as_json_too(shop: Any) -> None:
    ended = shop("run", "--nope", "--output", "json")
    assert (ended.code, ended.json["error"], ended.json["exit_code"]) == (2, "UsageError", 2)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_teaches_by_example(capsys: Any, name: str) -> None:
    assert run([name, "--help"], environ=dict(os.environ), out=sys.stdout, err=sys.stderr) == 0
    assert "\nExamples:\n  pipeline " in capsys.readouterr().out


def test_every_option_and_argument_has_help() -> None:
    def commands(group: click.Group, context: click.Context) -> list[click.Command]:
        found = [group.get_command(context, name) for name in group.list_commands(context)]
        return [c for one in found if one for c in (commands(one, context) if isinstance(one, click.Group) else [one])]

    for command in commands(app, click.Context(app)):
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, (command.name, parameter.name)
            else:
                assert command.arguments, (command.name, parameter.name)


def test_short_help_is_never_cut(capsys: Any) -> None:
    for args in ([], ["image"]):
        run([*args, "--help"], environ=dict(os.environ), out=sys.stdout, err=sys.stderr)
        listed = capsys.readouterr().out.partition("Commands:")[2].partition("Examples:")[0]
        assert listed
        assert "..." not in listed


def test_the_only_manifest_is_found(tmp_path: Path) -> None:
    (tmp_path / "manifests").mkdir()
    with pytest.raises(UsageError, match=r"neither pipeline\.yaml nor manifests/\*\.yaml"):
        find_manifest(tmp_path)
    (tmp_path / "manifests/prod.yaml").write_text("")
    assert find_manifest(tmp_path) == Path("manifests/prod.yaml")
    (tmp_path / "pipeline.yaml").write_text("")
    with pytest.raises(UsageError, match=r"2 manifests here: pipeline\.yaml, manifests/prod\.yaml"):
        find_manifest(tmp_path)


def test_secrets_are_in_no_output(shop: Any) -> None:
    text = Path("pipeline.yaml").read_text()
    registry = "registries:\n  prod: {address: r.test, username: u, password: '${env:REGISTRY_PASSWORD}'}\nbases:"
    shop.write("pipeline.yaml", text.replace("bases:", registry).replace("[v1]", "['hunter22-v1']"))
    for args in (["run"], ["plan"], ["run", "--output", "json"], ["plan", "--output", "json"], ["graph"]):
        ended = shop(*args, environ={"REGISTRY_PASSWORD": "hunter22"})
        assert ended.code == 0, ended.err
        assert "hunter22" not in ended.out + ended.err


def test_home_is_where_everything_is_kept(shop: Any) -> None:
    assert shop("--home", "elsewhere", "build").code == 0
    assert shop("build", "--home", "there").code == 0
    assert (shop.folder / "elsewhere/store").is_dir()
    assert (shop.folder / "there/store").is_dir()
    assert not (shop.folder / "home").exists()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environ", "live"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "CI": "false"}, True),
        ({"TERM": "xterm", "CI": "true"}, False),
        ({"TERM": "dumb"}, False),
        ({}, False),
    ],
)
def test_progress_moves_on_a_terminal_that_can_and_not_in_ci(environ: Any, live: bool) -> None:
    assert Shell(environ, Terminal(), io.StringIO()).live is live
    assert Shell(environ, io.StringIO(), io.StringIO()).live is False


def test_a_home_that_is_no_place(shop: Any) -> None:
    for command in (["plan"], ["image", "ls"]):
        ended = shop(*command, "--home", "~nobody-of-this-name/x")
        assert ended.code == 2
        assert ended.err.startswith("error: nothing can be kept in '~nobody-of-this-name/x': ")


def process(args: Sequence[str], **settings: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*PIPELINE, *args], capture_output="stdout" not in settings, check=False, **settings)


def test_an_output_without_unicode_gets_ascii(shop: Any) -> None:
    shop("build")
    manifest = Path("pipeline.yaml")
    manifest.write_text(manifest.read_text().replace("    tags: [v1]", "    tags: [v1]\n    workdir: /srv"))
    shop("build")
    manifest.write_text(manifest.read_text().replace("/srv\n", "/opt\n"))
    environ = {**shop.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(Path(__file__).with_name("plugin"))}
    ended = process(["plan"], env=environ)
    assert ended.returncode == 0
    assert b" -> " in ended.stdout
    assert ended.stdout.isascii()


def test_an_output_that_is_full_is_an_error_and_not_a_bug() -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run([*PIPELINE, "version"], stdout=full, stderr=subprocess.PIPE, check=False)
    assert ended.stderr == b"error: standard output cannot be written: No space left on device\n"
    assert ended.returncode == 3


def test_a_reader_that_has_gone_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run([*PIPELINE, "schema"], stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (141, b"")


def test_closed_streams_do_no_harm() -> None:
    command = ["sh", "-c", '"$@" <&- >&- 2>&-', "sh", *PIPELINE, "version"]
    assert subprocess.run(command, check=False).returncode == 0


def test_a_working_folder_that_is_gone_is_no_bug(tmp_path: Path) -> None:
    script = 'cd "$1" && rmdir "$1" && shift && exec "$@"'
    command = ["sh", "-c", script, "sh", str(tmp_path), *PIPELINE, "plan"]
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run(command, capture_output=True, env=environ, check=False)
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr.startswith(b"error: no manifest is named")


_SLOW_BASE = """
from pipeline.layers.files import *
from pipeline.layers.files import request as files_request
import time
def request(spec, files):
    print("resolving", flush=True)
    time.sleep(600)
"""


def test_ctrl_c_ends_a_command_that_waits(shop: Any, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    (plugin / "slow-1.dist-info").mkdir(parents=True)
    (plugin / "slow-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: slow\nVersion: 1\n")
    (plugin / "slow-1.dist-info/entry_points.txt").write_text("[pipeline.bases]\nslow = slow_base\n")
    (plugin / "slow_base.py").write_text(_SLOW_BASE)
    shop.write("pipeline.yaml", Path("pipeline.yaml").read_text().replace("{plain:", "{slow:").split("targets:")[0])
    environ = {**shop.environ, "PYTHONPATH": str(plugin)}
    running = subprocess.Popen(
        [*PIPELINE, "run"], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout
    assert running.stdout.readline() == "resolving\n"
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=300)
    assert running.returncode == 130
    assert err.strip() == "interrupted"


_INTERRUPTED_IMPORT = """
import sys
import pipeline.cli

class Interrupting:
    def find_spec(self, name, *_):
        if name == "pipeline.cli._door":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
sys.exit(pipeline.cli.main())
"""


def test_ctrl_c_while_modules_are_imported_leaves_no_traceback() -> None:
    ended = subprocess.run([sys.executable, "-c", _INTERRUPTED_IMPORT], capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (130, b"")


def test_a_program_that_ctrl_c_ended_is_no_failed_step(shop: Any) -> None:
    shop.write("pipeline.yaml", Path("pipeline.yaml").read_text().replace("port: 8890", "port: 8890, broken: true"))
    bench = open_bench(Path("pipeline.yaml"), shop.environ, {})
    seen = []

    def report(event: Event) -> None:
        seen.append(event)
        if isinstance(event, StepStarted) and event.kind == "target":
            bench.halt.set()

    perform(bench, prepare(bench), report)
    assert "target here" not in {event.step for event in seen if isinstance(event, StepEnded)}
    assert seen[-1].report.failed == 0


def test_on_a_terminal_a_run_moves_and_ends_with_the_same_last_line(shop: Any) -> None:
    environ = {**shop.environ, "TERM": "xterm", "PYTHONPATH": str(Path(__file__).with_name("plugin"))}
    master, slave = pty.openpty()
    running = subprocess.Popen([*PIPELINE, "build"], env=environ, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    seen = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    os.close(master)
    assert running.wait() == 0
    assert b"layer  code      1 file" in seen
    assert seen.count(b"\x1b[?25l") == seen.count(b"\x1b[?25h") == 1
    assert seen.rstrip().endswith(b"3 made, 253 B new")
