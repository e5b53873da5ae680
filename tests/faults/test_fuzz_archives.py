"""Malformed archives: each is read, or refused in words; never beyond its memory, its files or its folder.

They are read in processes with limits of their own (archive_child.py): 1 GiB of memory, 64 MiB for a file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CHILD = HERE / "archive_child.py"
SORTS = {"layer": 300, "layout": 200, "saved": 200, "deb": 200, "wheel": 150}
LONG = 5


def read(sort: str, first: int, number: int, folder: Path) -> Counter[str]:
    """How many archives ended how; those that broke the reader fail the test, by their seeds."""
    folder.mkdir()
    paths = [str(HERE), str(HERE.parent), str(HERE.parent / "integration"), *sys.path]
    command = [sys.executable, str(CHILD), sort, str(first), str(number), str(folder)]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    rows = [json.loads(line) for line in ended.stdout.splitlines()]
    broken = [f"{sort} {row['seed']}: {row['said']}" for row in rows if row["end"] == "broken"]
    assert not broken, "\n".join([f"{len(broken)} of {number}", *broken[:3]])
    assert ended.returncode == 0 and len(rows) == number, f"{sort} {first + len(rows)}: {ended.stderr[-3000:]}"
    return Counter(row["end"] for row in rows)


@pytest.mark.parametrize("half", range(2))
@pytest.mark.parametrize("sort", SORTS)
def test_malformed_archive_is_read_or_refused_in_words(
    sort: str, half: int, tmp_path: Path, figure: Callable[[str, int], None]
) -> None:
    number = SORTS[sort] // 2
    ends = read(sort, half * number, number, tmp_path / "fuzz")
    # Archives of which none, or each, is refused would tell little.
    assert ends["read"] and ends["refused"] > number // 4, ends
    figure("malformed archives", number)


def test_bombs_are_read_in_bounded_memory(tmp_path: Path, figure: Callable[[str, int], None]) -> None:
    ends = read("bomb", 0, 3, tmp_path / "fuzz")
    assert ends["refused"], ends
    figure("malformed archives", 3)


@pytest.mark.long
@pytest.mark.parametrize("sort", SORTS)
def test_many_malformed_archives(sort: str, tmp_path: Path, figure: Callable[[str, int], None]) -> None:
    """Others each time, unless FUZZ_SEED says which; the seeds stand in what a failure says."""
    first = int(os.environ.get("FUZZ_SEED") or int.from_bytes(os.urandom(4))) * 1000
    print(f"FUZZ_SEED={first // 1000}")
    read(sort, first, SORTS[sort] * LONG, tmp_path / "fuzz")
    figure("malformed archives", SORTS[sort] * LONG)
