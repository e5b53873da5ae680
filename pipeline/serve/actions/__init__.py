"""What a job does, by its action: one file for each, with `perform(work) -> Outcome`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import cast, get_args

from pipeline.serve.model import Action
from pipeline.serve.ports import Perform


def actions() -> Mapping[str, Perform]:
    """Every action's `perform`."""
    found = {name: importlib.import_module(f"pipeline.serve.actions.{name}") for name in get_args(Action)}
    return {name: cast(Perform, module.perform) for name, module in found.items()}


__all__ = ["actions"]
