"""A base kind for the fault harness: the project's own files, said to be an image of Debian with a Python."""

import platform
from dataclasses import replace
from typing import Any

from pipeline.facts import Facts, Python
from pipeline.layers.files import LOCKED, SCHEMA, contents, needs, recipes, request, resolve
from pipeline.recipe import Json

PYTHON = Python(platform.python_version(), "/usr/bin/python3", "/usr/local", "/usr/local/lib/site")


def facts(_spec: Any, _locked: Json, parent: Facts) -> Facts:
    return replace(parent, distribution="debian", release="12", libc="2.36", python=PYTHON)


__all__ = ["LOCKED", "SCHEMA", "contents", "facts", "needs", "recipes", "request", "resolve"]
