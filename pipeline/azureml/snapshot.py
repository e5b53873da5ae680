"""The files of one deployment, as they are now: a copy of the code, and the models by hard links."""

from __future__ import annotations

import copy
import os
import shutil
import socket
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.azureml._blobs import digest_of_file
from pipeline.azureml.importing import ModelFiles
from pipeline.digest import cache_key
from pipeline.store.globs import keeper
from pipeline.store.scratch import writing

if TYPE_CHECKING:
    from pipeline.azureml.inference import InferenceConfig
    from pipeline.azureml.model import Model
    from pipeline.azureml.workspace import Workspace

SOURCE, MODELS = "source", "models"
IGNORE_FILE = ".amlignore"
"""Rules as in a .gitignore: what the SDK leaves out of a source directory."""

_NEVER = ("**/.git", "**/.pipeline", "**/.venv", "**/__pycache__", "**/*.pyc", "**/.DS_Store")


def taken(workspace: Workspace, service: str, inference: InferenceConfig, models: Sequence[Model]) -> Path:
    """Copies everything that a deployment is made of; the new folder below the service's."""
    staged = workspace.contents.scratch.path("part")
    source = staged / SOURCE
    with writing(staged):
        if inference.source_directory:
            copied(Path(inference.source_directory), source / _name(inference))
        else:
            source.mkdir(parents=True)
            shutil.copyfile(inference.script, source / inference.script.name)
    for model in models:
        model.workspace.contents.models.place_into(model._stored, _place(staged, model))
    content = cache_key([_described(source), sorted([model.id, *sorted(model._stored.content)] for model in models)])
    return workspace.contents.services.publish_part(service, staged, content[:12])


def _described(folder: Path) -> list[list[str]]:
    """Path, kind and content of all that is in a folder."""
    found = []
    for path in sorted(folder.rglob("*")):
        where, mode = path.relative_to(folder).as_posix(), path.lstat().st_mode
        if stat.S_ISREG(mode):
            found.append([where, "x" if mode & 0o100 else "", digest_of_file(path)])
        else:
            found.append([where, "link", os.readlink(path)] if path.is_symlink() else [where, "folder"])  # noqa: PTH115
    return found


def _place(part: Path, model: Model) -> Path:
    return part / MODELS / model.name / str(model.version)


def _name(inference: InferenceConfig) -> str:
    """The source directory's own name, which it has in the image, too."""
    return Path(inference.source_directory or "").name or "source"


def files_of(part: Path, models: Sequence[Model]) -> list[ModelFiles]:
    """The models of a deployment."""
    return [ModelFiles(model.name, model.version, _place(part, model) / model._stored.top) for model in models]


def inside(inference: InferenceConfig, part: Path) -> InferenceConfig:
    """The same configuration of the copy."""
    made = copy.copy(inference)
    if inference.source_directory:
        made.source_directory = str(part / SOURCE / _name(inference))
    else:
        made.entry_script = str(part / SOURCE / inference.script.name)
    return made


def copied(source: Path, place: Path) -> None:
    """Copies a folder without what no image needs, and what its .amlignore names."""
    rules = list(_NEVER)
    own = source / IGNORE_FILE
    if own.is_file():
        rules += [_anywhere(line) for line in own.read_text(encoding="utf-8-sig").splitlines()]
    kept, _ = keeper(rules)

    def ignored(folder: str, names: list[str]) -> list[str]:
        below = os.path.relpath(folder, source)
        return [name for name in names if not kept(os.path.normpath(f"{below}/{name}"))]

    shutil.copytree(source, place, symlinks=True, ignore=ignored)


def _anywhere(rule: str) -> str:
    """A rule of .gitignore as one of .dockerignore: without a slash inside, it counts at any depth (gitignore(5))."""
    back, plain = rule.startswith("!"), rule.strip().removeprefix("!")
    if not plain or plain.startswith("#"):
        return ""
    deep = plain if "/" in plain.rstrip("/") else f"**/{plain}"
    return f"{'!' * back}{deep.strip('/')}"


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
