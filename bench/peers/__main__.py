"""`make bench-peers`: what this project and `docker buildx bake` need for the same work, as tables and a picture.

Docker is unpacked into a cache folder once (`~/.cache/pipeline-bench`), and runs from there with storage of its own.
Everything else happens in one scratch folder, which is gone at the end; a killed run is cleared away by the next one.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import platform
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.peers.engine import Unavailable, fetch, remove
from bench.peers.inputs import PROJECT
from bench.peers.report import picture, tables, write
from bench.peers.rows import BaseImage, Contest, Row
from bench.peers.sides import Failed, Pipeline, Side, sides
from bench.peers.traffic import Traffic
from bench.shipping import registry
from pipeline.indexes.pypi_settings import pip_settings

DOCS = PROJECT / "docs"


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder of this benchmark alone: one at a time, and nothing of it stays."""
    place = Path(tempfile.gettempdir(), "pipeline-bench-peers")
    with place.with_suffix(".guard").open("w") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("another run of this benchmark goes on; wait for its end")
        remove(place)
        place.mkdir()
        try:
            yield place
        finally:
            remove(place)


def programs(cache: Path) -> Path | None:
    try:
        return fetch(cache, os.environ)
    except Unavailable as error:
        print(f"no rows of docker buildx bake: {error}", file=sys.stderr)
        return None


def measured(folder: Path, found: list[Side], index: str, runs: int, short: int) -> tuple[list[Row], bool]:
    with registry() as there:
        base = BaseImage(folder / "base", Pipeline(folder / "maker", index), there.address)
        contest = Contest(folder, there, found, base, Traffic(int(there.address.rpartition(":")[2])), runs, short)
        rows = []
        try:
            for row in contest.rows():
                rows.append(row)
                print("; ".join([row.what, *(f"{name}: {row.seconds(name):.2f} s" for name in row.takes)]), flush=True)
        except Failed as error:
            sys.exit(f"{error}\nnothing was written")
        finally:
            for side in found:
                side.stop()
        return rows, contest.traffic.counts


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-peers", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="how often work is done that takes seconds")
    parser.add_argument("--short", type=int, default=7, help="how often what takes less")
    parser.add_argument("--quick", action="store_true", help="everything once")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/")
    options = parser.parse_args()
    runs, short = (1, 1) if options.quick else (options.runs, options.short)
    if not shutil.which("docker-registry"):
        sys.exit("docker-registry is not installed (Debian's package of that name)")
    # Ended by a signal, it cleans up as well.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(143))
    signal.signal(signal.SIGINT, lambda _signal, _frame: sys.exit(130))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "pipeline-bench")
    index = pip_settings(os.environ, Path("/etc"), Path(sys.prefix)).get("index-url", "")
    with scratch() as folder:
        there = programs(cache)
        # The registry's folder as well.
        tempfile.tempdir = str(folder)
        found = sides(folder, there, index)
        rows, counted = measured(folder, found, index, runs, short)
    names = [side.name for side in found]
    said = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n\n"
    text = said + tables(rows, names, counted)
    print(f"\n{text}")
    if options.write:
        write(DOCS / "benchmarks-peers.md", DOCS / "benchmarks-peers.svg", text, picture(rows, names))


if __name__ == "__main__":
    main()
