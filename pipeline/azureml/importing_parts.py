"""What an import gathers on its way to a manifest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.manifest.model import Secret


@dataclass
class Parts:
    """The entries of the manifest to be, the notes, the files beside it, and the secrets that were read."""

    name: str
    base: Any = None
    registries: dict[str, Any] = field(default_factory=dict)
    layers: dict[str, Any] = field(default_factory=dict)
    targets: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    secret_env: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, Secret] = field(default_factory=dict)

    def add_layer(self, name: str, entry: Mapping[str, Any]) -> None:
        """On top of the layers that are there; a number makes the name one of its own."""
        name = wanted = entry_name(name)
        number = 2
        while name in self.layers:
            name, number = f"{wanted}-{number}", number + 1
        self.layers[name] = dict(entry)


def entry_name(text: str) -> str:
    """A name that a manifest's entries may have, as near to `text` as can be."""
    name = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")
    return name[:63].strip("-._") or "service"


def literal(text: str) -> str:
    """Text that the manifest takes as it is."""
    return text.replace("${", "$${")
