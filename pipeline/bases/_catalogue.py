"""The public base images of Azure ML that are known by name, from `_catalogue.json`: what each is said to hold.

A published table of these images was wrong for years: what is said here is a hint, and `pipeline bases --inspect` reads
the image. To add one, add its line to the file: `reference` without a tag stands for all tags, `accelerator` is what it
needs (`none`, `cuda`, `vadm`, `myriad`), `holds` names what `requires` knows, with versions as far as they are sure.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import field
from importlib import resources
from typing import Any

from pipeline.noun import noun
from pipeline.reference import hostless, parse

NONE = "none"
"""The accelerator of an image that needs none."""


@noun
class Known:
    """An image of the catalogue. `holds` has versions as texts, True for any; `default_of` the SDKs that took it."""

    reference: str
    accelerator: str
    built_on: str = ""
    note: str = ""
    holds: Mapping[str, str | bool] = field(default_factory=dict)
    default_of: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "reference": self.reference,
            "accelerator": self.accelerator,
            "built_on": self.built_on,
            "note": self.note,
            "holds": dict(self.holds),
            "default_of": list(self.default_of),
        }


@functools.cache
def every() -> tuple[Known, ...]:
    """All of them, in the file's order."""
    data = _data()
    defaults: dict[str, list[str]] = {}
    for one in data["defaults"]:
        defaults.setdefault(_name(one["reference"]), []).append(one["of"])
    return tuple(Known(**{**one, "default_of": tuple(defaults.get(one["reference"], ()))}) for one in data["images"])


def default(accelerator: str = NONE) -> str:
    """The base that Azure ML takes when none is named: that of its newest SDK. KeyError for another accelerator."""
    found = {one["accelerator"]: one["reference"] for one in reversed(_data()["defaults"])}
    return str(found[accelerator])


def find(reference: str) -> Known | None:
    """What the catalogue says of an image, by its name with its tag, else by its name; of a mirror's by its path there.
    None where it is not in it. Raises UsageError for what is no reference.
    """
    known = {hostless(one.reference): one for one in every()}
    wanted = parse(reference)
    path = wanted.repository
    while path:
        if found := known.get(f"{path}:{wanted.tag or 'latest'}") or known.get(path):
            return found
        # A mirror may keep all that it mirrors below a path of its own.
        path = path.partition("/")[2]
    return None


def _name(reference: str) -> str:
    """The image's name without tag and digest."""
    return parse(reference).name


@functools.cache
def _data() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("_catalogue.json").read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)
    return data
