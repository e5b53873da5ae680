"""The kind `dockerfile`: what of a Dockerfile and its context enters the key, and what its layers are known by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.bases import dockerfile as kind
from pipeline.bases._dockerfile import parents as of
from pipeline.bases._dockerfile import pinned, read
from pipeline.errors import ResolveError, UsageError
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


def parents(text: str, target: str = "", platform: str = "linux/amd64", **args: str) -> list[str]:
    return of(read(text, args, Platform.parse(platform)), target)


def test_parents_are_images_and_not_stages() -> None:
    assert parents(TEXT) == ["debian:12", "alpine"]
    assert parents(TEXT, VERSION="13") == ["debian:13", "alpine"]
    assert parents(TEXT, target="two") == ["debian:12"]
    assert parents("FROM scratch\nCOPY --from=tool:1 /a /\nRUN --mount=type=bind,from=other:2,target=/x y\n") == [
        "tool:1",
        "other:2",
    ]


def test_a_stage_that_the_target_does_not_need_counts_for_nothing() -> None:
    text = "FROM a AS one\nFROM b AS unused\nFROM scratch AS last\nCOPY --from=ONE / /\nCOPY --from=0 / /\n"
    assert parents(text) == ["a"]
    with pytest.raises(ResolveError, match="lost"):
        parents(text, target="lost")


@pytest.mark.parametrize(
    ("start", "image"),
    [
        ("FROM base-$TARGETARCH", "base-arm64"),
        ("ARG A=1\nARG B=x:$A\nFROM ${B}", "x:1"),
        ("ARG A\nFROM ${A:-y:2}", "y:2"),
        ("ARG A=1\nFROM x${A:+:tag}", "x:tag"),
        ("# escape=`\nARG A=1\nFROM `\n# why\n  x:$A", "x:1"),
        ("FROM q\nRUN <<END\nFROM table\nEND", "q"),
    ],
)
def test_what_from_means(start: str, image: str) -> None:
    assert parents(start, platform="linux/arm64") == [image]


def test_an_image_that_cannot_be_told_is_an_error() -> None:
    with pytest.raises(ResolveError, match="line 2: FROM"):
        parents("ARG A\nFROM $A\n")
    with pytest.raises(ResolveError, match="not understood"):
        parents("ARG A=x\nFROM ${A%x}y\n")


def test_pinning_changes_what_is_named_and_no_line_number() -> None:
    text = "FROM \\\n  tool:1 AS t\nFROM tool:1\nFROM --platform=$BUILDPLATFORM x\nCOPY --from=tool:1 --chown=1 /a /\n"
    text += "RUN --mount=type=bind,from=tool:1,target=/x y\nCOPY --from=t /a /\n"
    made = pinned(read(text, {}, Platform()), {"tool:1": "tool@sha256:0", "x": "x@sha256:1"})
    assert made.splitlines() == [
        "FROM tool@sha256:0 AS t",
        "",
        "FROM tool@sha256:0",
        "FROM --platform=$BUILDPLATFORM x@sha256:1",
        "COPY --from=tool@sha256:0 --chown=1 /a /",
        "RUN --mount=type=bind,from=tool@sha256:0,target=/x y",
        "COPY --from=t /a /",
    ]


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


def test_the_lock_that_a_run_writes_into_the_context_does_not_count(project: Project) -> None:
    folder = project({"Dockerfile": "FROM x\nCOPY . /\n", "prod.yaml": "", "uv.lock": "1"})
    before = request(folder)
    (folder / "prod.lock").write_text("1")
    assert request(folder) == before
    (folder / "uv.lock").write_text("2")
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
