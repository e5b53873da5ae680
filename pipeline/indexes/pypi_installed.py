"""Stands in for distributions that an environment has already, so that a resolver keeps them as they are."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

_METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
_WHEEL = "Wheel-Version: 1.0\nGenerator: pipeline\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def stand_ins(installed: Mapping[str, str], folder: Path) -> list[str]:
    """Requirements that name an empty wheel for each distribution (name to version), made in `folder`.

    What these need in turn is there already, whoever installed them has seen to that: the wheels need nothing.
    """
    found = []
    for name, version in sorted(installed.items()):
        stem = f"{name.replace('-', '_')}-{version.replace('-', '_')}"
        path = folder / f"{stem}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr(f"{stem}.dist-info/METADATA", _METADATA.format(name=name, version=version))
            wheel.writestr(f"{stem}.dist-info/WHEEL", _WHEEL)
            wheel.writestr(f"{stem}.dist-info/RECORD", "")
        found.append(f"{name} @ {path.as_uri()}")
    return found
