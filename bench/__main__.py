"""`make bench`: measures what the documentation claims, as medians of several runs, and prints a table.

Everything happens in a scratch folder: a copy of the quickstart, a home of its own, uv's cache as the user has it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import scale, serving, shipping

PROJECT = Path(__file__).resolve().parent.parent
PIPELINE = [str(Path(sys.executable).with_name("pipeline"))]


@dataclass(frozen=True)
class Measure:
    """A whole process: wall seconds, and the largest memory of any process in it, in bytes."""

    seconds: float
    peak: int


@dataclass(frozen=True)
class Row:
    what: str
    goal: str
    figure: str
    runs: int


def measure(arguments: list[str], home: Path, **variables: str) -> Measure:
    """Runs `pipeline ARGUMENTS` and waits for it; ends the benchmark when it fails."""
    environ = {**os.environ, "PIPELINE_HOME": str(home), "NO_COLOR": "1", **variables}
    with tempfile.TemporaryFile("w+") as output:
        began = time.perf_counter()
        process = subprocess.Popen(PIPELINE + arguments, env=environ, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            sys.exit(f"pipeline {' '.join(arguments)} failed:\n{output.read()}")
    return Measure(seconds, usage.ru_maxrss * 1024)


@contextmanager
def project(port: int) -> Iterator[tuple[Path, Path]]:
    """A copy of the quickstart (manifest path), and a home whose caches are warm."""
    with tempfile.TemporaryDirectory(prefix="pipeline-bench-") as scratch:
        folder = Path(scratch, "project")
        folder.mkdir()
        for name in ("manifests", "models"):
            shutil.copytree(PROJECT / name, folder / name)
        (folder / ".git").mkdir()
        manifest, home = folder / "manifests" / "quickstart.yaml", Path(scratch, "home")
        text = manifest.read_text().replace("port: 8890", f"port: {port}")
        manifest.write_text(text)
        measure(["build", str(manifest)], home)
        try:
            yield manifest, home
        finally:
            subprocess.run(
                [*PIPELINE, "stop", str(manifest)],
                env={**os.environ, "PIPELINE_HOME": str(home)},
                capture_output=True,
                check=False,
            )


def median(take: Callable[[], Measure], runs: int) -> float:
    return statistics.median(take().seconds for _ in range(runs))


@contextmanager
def cold(home: Path) -> Iterator[Path]:
    """A home with the caches of `home` and nothing else.

    A new folder each time: file systems are slow for a while where many files were just deleted.
    """
    with tempfile.TemporaryDirectory(prefix="cold-", dir=home.parent, ignore_cleanup_errors=True) as folder:
        shutil.copytree(home / "cache", Path(folder, "cache"))
        os.sync()
        yield Path(folder)


def cold_build(manifest: Path, home: Path) -> Measure:
    """Empty store; the .deb cache and uv's cache are warm."""
    with cold(home) as empty:
        return measure(["build", "--frozen", str(manifest)], empty)


def nothing_cached(manifest: Path, home: Path) -> Measure:
    """Empty store, nothing of any package on this machine: everything is downloaded."""
    with tempfile.TemporaryDirectory(prefix="cold-", dir=home.parent, ignore_cleanup_errors=True) as folder:
        os.sync()
        return measure(["build", "--frozen", str(manifest)], Path(folder), UV_CACHE_DIR=str(Path(folder, "uv")))


def never_packed(manifest: Path, home: Path) -> Measure:
    """Empty store; packages are downloaded, but none was ever packed."""
    with cold(home) as empty:
        shutil.rmtree(empty / "cache" / "frames")
        return measure(["build", "--frozen", str(manifest)], empty)


def one_more(manifest: Path, home: Path, packages: Iterator[str]) -> Measure:
    """One more pip package: locked, its group of packages and their bytecode packed, a new image."""
    text, lock = manifest.read_text(), manifest.with_suffix(".lock")
    locked = lock.read_bytes()
    asked = '["azureml-inference-server-http~=1.5"'
    assert asked in text
    manifest.write_text(text.replace(asked, f'{asked}, "{next(packages)}"'))
    try:
        return measure(["build", str(manifest)], home)
    finally:
        manifest.write_text(text)
        lock.write_bytes(locked)


def cold_run(manifest: Path, home: Path) -> Measure:
    """The same, and on to the checked, deployed, scored service."""
    with cold(home) as empty:
        taken = measure(["run", "--frozen", str(manifest)], empty)
        measure(["stop", str(manifest)], empty)
        return taken


def changed_line(manifest: Path, home: Path) -> Measure:
    """A line added to the entry script: one small layer and a new image."""
    script = next(manifest.parent.rglob("score.py"))
    script.write_text(script.read_text() + f"# {time.monotonic_ns()}\n")
    return measure(["build", str(manifest)], home)


BIG_MODEL = """\
version: 1
name: big
bases:
  none: {debian: {suite: bookworm, packages: [ca-certificates]}}
layers:
  weights: {model: {name: big, path: weights.bin}}
images:
  big: {base: none, layers: [weights]}
"""


def big_model(home: Path, gigabytes: int) -> Measure:
    """The peak memory of a build with one large model file."""
    with tempfile.TemporaryDirectory(prefix="pipeline-bench-") as scratch:
        manifest = Path(scratch, "big.yaml")
        manifest.write_text(BIG_MODEL)
        block = os.urandom(1 << 20)
        with Path(scratch, "weights.bin").open("wb") as file:
            for number in range(gigabytes << 10):
                file.write(number.to_bytes(8, "big") + block[8:])
        return measure(["build", str(manifest)], home)


def rows(runs: int, gigabytes: int) -> Iterator[Row]:
    with project(port=18890) as (manifest, home):
        seconds = median(lambda: cold_build(manifest, home), runs)
        yield Row("cold build of the quickstart, packages cached, packed once before", "6 s", f"{seconds:.2f} s", runs)
        seconds = median(lambda: never_packed(manifest, home), runs)
        yield Row("the same, packages downloaded and never packed before", "6 s", f"{seconds:.2f} s", runs)
        seconds = median(lambda: nothing_cached(manifest, home), runs)
        yield Row("the same, nothing cached: everything is downloaded", "8 s", f"{seconds:.2f} s", runs)
        more = (f"more-itertools==10.{minor}.0" for minor in range(8, 0, -1))
        seconds = median(lambda: one_more(manifest, home, more), min(runs, 8))
        yield Row("one more pip package, downloaded, new image", "1 s", f"{seconds:.2f} s", min(runs, 8))
        seconds = median(lambda: cold_run(manifest, home), runs)
        yield Row("the same, checked, deployed and scored", "-", f"{seconds:.2f} s", runs)
        measure(["run", str(manifest)], home)
        seconds = median(lambda: measure(["run", str(manifest)], home), 3 * runs)
        yield Row("run with nothing to do", "0.2 s", f"{seconds:.3f} s", 3 * runs)
        seconds = median(lambda: changed_line(manifest, home), 3 * runs)
        yield Row("changed line in the entry script, new image", "0.3 s", f"{seconds:.3f} s", 3 * runs)
        peak = big_model(home, gigabytes).peak
        yield Row(f"peak memory, build with a {gigabytes} GB model file", "300 MB", f"{peak / 1e6:.0f} MB", 1)
    for part in (shipping, scale, serving):
        yield from (Row(*row) for row in part.rows(lambda arguments, home: measure(arguments, home).seconds, runs))


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--gigabytes", type=int, default=4, help="size of the large model file")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = []
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n", file=sys.stderr)
    if not options.json:
        print("| what | goal | median | runs |\n| --- | --- | --- | --- |", flush=True)
    for row in rows(options.runs, options.gigabytes):
        found.append(row.__dict__)
        if not options.json:
            print(f"| {row.what} | {row.goal} | {row.figure} | {row.runs} |", flush=True)
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
