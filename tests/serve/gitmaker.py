"""Real Git repositories for tests: made, committed to, and forced by the git command."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from pipeline.serve.git.clone import Clone
from pipeline.serve.settings import Repository

ENVIRON = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}


def git(folder: Path, *words: str, env: Mapping[str, str] | None = None, input: str = "") -> str:
    who = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.com", "GIT_COMMITTER_NAME": "Ada"}
    fixed = {
        "GIT_COMMITTER_EMAIL": "ada@example.com",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "HOME": str(folder),
    }
    environ = {**ENVIRON, **who, **fixed, **(env or {})}
    ended = subprocess.run(
        ["git", "-C", str(folder), *words], env=environ, input=input, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, f"git {' '.join(words)}: {ended.stderr}"
    return ended.stdout.strip()


class Origin:
    """A repository that somebody works in."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        git(folder, "init", "--quiet", "--initial-branch=main")

    def commit(self, files: Mapping[str, str | bytes | None], message: str = "Change", *more: str, **env: str) -> str:
        """A commit with these files; None removes one."""
        for name, content in files.items():
            path = self.folder / name
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        git(self.folder, "add", "--all")
        git(self.folder, "commit", "--quiet", "--allow-empty", "-m", message, *more, env=env)
        return self.head

    @property
    def head(self) -> str:
        return git(self.folder, "rev-parse", "HEAD")

    def git(self, *words: str, env: Mapping[str, str] | None = None, input: str = "") -> str:
        return git(self.folder, *words, env=env, input=input)


def cloned(url: Path | str, state: Path, environ: Mapping[str, str] | None = None, **settings: object) -> Clone:
    """A server's clone of a repository."""
    repository = Repository(name="models", url=str(url), **settings)  # type: ignore[arg-type]
    return Clone(repository, state, environ if environ is not None else ENVIRON)
