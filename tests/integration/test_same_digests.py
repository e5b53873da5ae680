"""From one lock, two machines make the same digests: other folders, stores, caches, users' masks, zones and dates."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MANIFEST = """\
version: 1
name: same
bases:
  slim: {debian: {suite: bookworm, packages: [python3]}}
layers:
  more: {debs: {packages: [media-types]}}
  science: {pip: {packages: [joblib]}}
  code: {files: [{from: src/, to: /srv/app/}]}
  weights: {model: {name: m, path: model.bin}}
images:
  web: {base: slim, layers: [more, science, code, weights], command: [/bin/true], platforms: [linux/amd64]}
"""


def pipeline(folder: Path, *args: str, umask: int, **environ: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", *args, "--output", "json"],
        cwd=folder,
        env={**os.environ, "PIPELINE_HOME": str(folder.parent / "home"), **environ},
        umask=umask,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()] if args[0] == "build" else None


def digests(events: list[dict[str, Any]]) -> dict[str, str]:
    return {name: digest for event in events if "report" in event for name, digest in event["report"]["images"].items()}


@pytest.mark.network
def test_two_machines_make_the_same_image_of_one_lock(tmp_path: Path) -> None:
    first, second = tmp_path / "one" / "project", tmp_path / "elsewhere" / "a longer name"
    for name, text in {".git/HEAD": "", "pipeline.yaml": MANIFEST, "src/score.py": "x = 1\n", "model.bin": "w"}.items():
        (first / name).parent.mkdir(parents=True, exist_ok=True)
        (first / name).write_text(text)
    pipeline(first, "lock", umask=0o022)
    shutil.copytree(first, second, copy_function=shutil.copyfile)
    for path in second.rglob("*"):
        os.utime(path, (10**9, 10**9))
    (second / "src" / "score.py").chmod(0o600)
    made = digests(pipeline(first, "build", "--frozen", umask=0o022, TZ="UTC", LC_ALL="C.UTF-8"))
    again = digests(
        pipeline(
            second,
            "build",
            "--frozen",
            umask=0o077,
            TZ="Pacific/Chatham",
            LC_ALL="C",
            PYTHONHASHSEED="7",
            UV_CACHE_DIR=str(tmp_path / "uv"),
            HOME=str(tmp_path / "elsewhere"),
        )
    )
    assert made == again
    assert set(made) == {"web"}
