"""The environments of a workspace: NAME/VERSION, each a JSON document as the SDK writes it, without its secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.azureml import _versions
from pipeline.azureml.exceptions import UserErrorException
from pipeline.noun import noun
from pipeline.store.scratch import Scratch, writing

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,254}")
_DOCUMENT, _LABEL = "environment.json", "label.json"


@noun
class StoredEnvironment:
    """A version of an environment; `version` is what the user called it, else its number."""

    name: str
    version: str
    document: Mapping[str, Any]


class Environments:
    """Registers and finds the environments below `folder`."""

    def __init__(self, folder: Path, scratch: Scratch) -> None:
        self._folder = folder
        self._scratch = scratch

    def register(self, name: str, document: Mapping[str, Any], version: str = "") -> StoredEnvironment:
        """Keeps an environment; what is equal to the newest version is that version.

        Raises UserErrorException for a name that cannot be, and where `version` is another environment already.
        """
        if not _NAME.fullmatch(name):
            remedy = "letters, digits, '-', '_' and '.', at most 255, a letter or a digit first"
            raise UserErrorException(f"{name!r} is no name for an environment", remedy=remedy)
        found = self.find(name, version)
        if found and found.document == document:
            return found
        if found and version:
            remedy = "versions do not change: leave the version out to get a new one"
            raise UserErrorException(f"environment {name}:{version} is another one already", remedy=remedy)
        staged = self._scratch.path("environment")
        with writing(staged):
            staged.mkdir()
        _versions.write_json(staged / _DOCUMENT, document, self._scratch)
        _versions.write_json(staged / _LABEL, {"version": version}, self._scratch)
        number = _versions.publish(staged, self._folder / name)
        return StoredEnvironment(name, version or str(number), document)

    def find(self, name: str, version: str = "") -> StoredEnvironment | None:
        """A version, by default the newest; None where there is none."""
        for number in reversed(_versions.numbers(self._folder / name)):
            place = self._folder / name / str(number)
            document, label = _versions.read_json(place / _DOCUMENT), _versions.read_json(place / _LABEL) or {}
            called = str(label.get("version") or number)
            if document is not None and (not version or version == called):
                return StoredEnvironment(name, called, document)
        return None

    def get(self, name: str, version: str = "") -> StoredEnvironment:
        """A version, by default the newest. Raises UserErrorException, which names those that there are."""
        if found := self.find(name, version):
            return found
        what = f"{name}:{version}" if version else name
        remedy = f"registered are: {', '.join(self.names()[:10]) or 'none'}"
        if name.lower().startswith("azureml"):
            remedy = "environments of Azure ML itself cannot be had here: see 'pipeline bases' for their images"
        raise UserErrorException(f"the workspace has no environment {what}", remedy=remedy)

    def names(self) -> list[str]:
        """Every name that has a version."""
        return sorted(name for name in os.listdir(self._folder) if self.find(name)) if self._folder.is_dir() else []
