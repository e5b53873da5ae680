"""What every test starts from: a home of its own, an environment without surprises, and the `network` marker."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from pipeline import kinds
from pipeline.home import Home

ROOT = Path(__file__).parents[1]

# Variables that change what is printed or where things are kept.
_SURPRISES = (
    "CI",
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "TF_BUILD",
    "NO_COLOR",
    "FORCE_COLOR",
    "CLICOLOR_FORCE",
    "COLUMNS",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "CONTAINER_HOST",
)
# Fixtures of a session or a module see them, too.
for _name in _SURPRISES:
    os.environ.pop(_name, None)
# What a shell starts in the background ignores Ctrl-C, and so would all that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
_NO_NETWORK = "neither a Debian mirror nor a Python package index is in reach"


@pytest.fixture(autouse=True)
def _environment(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the user's store or CI, and none leaves anything in them."""
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path_factory.mktemp("home")))
    for name in os.environ:
        if name in _SURPRISES or (name.startswith("PIPELINE_") and name != "PIPELINE_HOME"):
            monkeypatch.delenv(name)
    # Another test may have had a plug-in's kinds beside the project's own.
    kinds.names.cache_clear()


@pytest.fixture
def home() -> Home:
    """The folders of this test alone."""
    return Home.of(os.environ)


@pytest.fixture
def project(tmp_path: Path) -> Callable[[Mapping[str, str | bytes]], Path]:
    """Writes files (path → content) into a project folder of this test's own, and gives the folder."""
    folder = tmp_path / "project"

    def write(files: Mapping[str, str | bytes]) -> Path:
        (folder / ".git").mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return folder

    return write


@functools.cache
def network() -> bool:
    """Whether anything that the tests could ask is in reach, with the proxies and mirrors this machine is set to."""
    return _debian() or _python_index()


def _debian() -> bool:
    from pipeline.dpkg import ArchiveSettings
    from pipeline.errors import PipelineError
    from pipeline.indexes.debian_apt import AptSettings
    from pipeline.indexes.debian_http import Fetcher
    from pipeline.indexes.debian_mirrors import mirrors

    apt = AptSettings.read(Path("/etc"), os.environ)
    mirror = mirrors(ArchiveSettings("debian", "bookworm"), "amd64", apt)["main"]
    try:
        return bool(Fetcher(apt, os.environ).read(f"{mirror}/dists/bookworm/InRelease"))
    except PipelineError:
        return False


def _python_index() -> bool:
    """Asks by pip, which knows the user's index, proxy and certificates; nothing is installed."""
    asked = ["install", "-q", "--dry-run", "--ignore-installed", "--no-deps", "iniconfig"]
    command = [sys.executable, "-m", "pip", "--retries", "0", "--timeout", "10", *asked]
    try:
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("network") and not network():
        pytest.skip(_NO_NETWORK)


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """pytest counts what was skipped; this names it, so that a green run does not hide what it did not try; and says
    how many faults were tried and survived.
    """
    yield
    if figures := _figures(terminalreporter):
        terminalreporter.write_line("faults tried and survived:")
    for what, number in sorted(figures.items()):
        terminalreporter.write_line(f"  {number:>6}  {what}")
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if _NO_NETWORK in str(report.longrepr)]
    if skipped:
        terminalreporter.write_line(f"{len(skipped)} not run, for {_NO_NETWORK}:")
        for report in skipped:
            terminalreporter.write_line(f"  {report.nodeid}")


def _figures(terminalreporter: pytest.TerminalReporter) -> dict[str, int]:
    """What the fault tests counted, in all processes of the test run."""
    sums: dict[str, int] = {}
    for report in terminalreporter.stats.get("passed", []):
        for name, value in getattr(report, "user_properties", ()):
            if name == "fault figure":
                sums[value[0]] = sums.get(value[0], 0) + value[1]
    return sums
