"""The kind `dockerfile`: what of a Dockerfile and its context enters the key, and what its layers are known by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.bases import dockerfile as kind
from pipeline.errors import UsageError
from pipeline.facts import Facts, Platform
from pipeline.manifest.model import Secret
from pipeline.manifest.paths import inside
from pipeline.recipe import Borrow
from pipeline.store.files import ProjectFiles

Project = Callable[[Mapping[str, str | bytes]], Path]
TEXT = """\
# syntax=docker/dockerfile:1
ARG VERSION=12
ARG BASE="debian"
FROM --platform=linux/amd64 ${BASE}:$VERSION \\
  AS one
FROM one AS two
FROM scratch
FROM ${OTHER:-alpine}
COPY --from=one /a /b
"""


def request(folder: Path, **spec: Any) -> Any:
    files = ProjectFiles(folder, lambda path: inside(folder, folder, path), None, lambda: 0)
    return kind.request({"path": "Dockerfile", **spec}, files)


def test_parents_are_images_and_not_stages() -> None:
    assert list(kind.parents(TEXT, {})) == ["debian:12", "alpine"]
    assert list(kind.parents(TEXT, {"VERSION": "13"})) == ["debian:13", "alpine"]


@pytest.mark.parametrize(
    ("line", "copied"),
    [
        ("COPY a b", True),
        ("add a \\\n b", True),
        ("COPY --chown=1 a b", True),
        ("RUN --mount=type=bind,source=a cp a b", True),
        ("COPY --from=x a b", False),
        ("RUN echo COPY a b", False),
        ("# COPY a b", False),
    ],
)
def test_the_context_counts_when_something_is_copied_from_it(line: str, copied: bool) -> None:
    assert kind.copies(f"FROM x\n{line}\n") is copied


def test_the_context_is_what_dockerignore_leaves(project: Project) -> None:
    folder = project({"Dockerfile": "FROM x\nCOPY . /\n", "a": "1", "b.log": "1", ".dockerignore": "*.log\n"})
    before = request(folder)
    (folder / "b.log").write_text("2")
    assert request(folder) == before
    (folder / "a").write_text("2")
    assert request(folder)["context"] != before["context"]


def test_a_secret_is_no_build_argument(project: Project) -> None:
    folder = project({"Dockerfile": "FROM x\n"})
    with pytest.raises(UsageError, match="type=secret"):
        request(folder, args={"A": Secret("hunter22")})
    assert "hunter22" not in repr(request(folder, secrets={"T": Secret("hunter22")}))


def test_the_base_is_borrowed_with_its_facts() -> None:
    facts = {"distribution": "debian", "release": "12", "libc": "2.36", "packages": {"libc6": "2.36-9"}}
    layer = {"blob": {}, "diff_id": "sha256:" + "a" * 64}
    locked = {"layers": [layer], "config": {"Env": ["A=b"]}, "facts": {**facts, "python": ["3.11.2", "/p", "/", "/s"]}}
    (made,) = kind.recipes({"path": "x/Dockerfile"}, locked, Facts())
    assert isinstance(made, Borrow)
    assert (made.layers, made.config) == ((layer,), {"Env": ["A=b"]})
    found = kind.facts({}, locked, Facts(Platform("linux", "arm64")))
    assert found.python and found.python.minor == "3.11"
    assert (found.platform.architecture, found.libc) == ("arm64", "2.36")
