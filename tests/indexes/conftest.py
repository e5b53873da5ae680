"""Python packages made on the spot, and the project they are asked from."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest


class Folder:
    """The project's files, as kinds see them, without a manifest."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, relative: str) -> Path:
        return self.root / relative

    def text(self, relative: str) -> str:
        return self.path(relative).read_text()


@pytest.fixture
def files(tmp_path: Path) -> Folder:
    (tmp_path / "project").mkdir()
    return Folder(tmp_path / "project")


@pytest.fixture
def user(tmp_path: Path) -> dict[str, str]:
    """The environment of a user who has set up nothing."""
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "user"), "UV_CACHE_DIR": str(tmp_path / "uv")}


@pytest.fixture
def wheel(files: Folder) -> Callable[..., str]:
    """Makes a wheel in the project's folder `wheels` and gives its sha256."""

    def make(file: str, content: Mapping[str, str] | None = None, requires: str = "") -> str:
        name, version, *_ = file.split("-")
        info = f"{name}-{version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        metadata += f"Requires-Dist: {requires}\n" if requires else ""
        tag = file.removesuffix(".whl").split("-", 2)[2]
        written = dict(content or {f"{name}.py": "x = 1\n"})
        written |= {f"{info}/METADATA": metadata, f"{info}/WHEEL": f"Wheel-Version: 1.0\nTag: {tag}\n"}
        written[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*written, f"{info}/RECORD"])
        path = files.root / "wheels" / file
        path.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            for member, text in written.items():
                archive.writestr(zipfile.ZipInfo(member), text)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    return make
