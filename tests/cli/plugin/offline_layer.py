"""A layer kind from outside, for tests: packages whose versions stand in shelf.json, newest last; no network."""

import json
from typing import Any

from pipeline.errors import ResolveError
from pipeline.facts import Facts
from pipeline.kinds import Files, Held
from pipeline.recipe import Assemble

LOCKED = True

SCHEMA = {
    "type": "object",
    "required": ["packages"],
    "additionalProperties": False,
    "properties": {"packages": {"type": "array", "items": {"type": "string"}}, "abi": {"type": "string"}},
}


def request(spec: Any, _files: Files) -> Any:
    return {"packages": sorted(spec["packages"])}


def needs(spec: Any, _parent: Facts) -> dict[str, str]:
    return {"abi": spec.get("abi", "2.36")}


def resolve(_spec: Any, request: Any, _parent: Facts, indexes: Any, held: Held) -> Any:
    shelf, kept = json.loads(indexes.files.text("shelf.json")), held.versions("packages")
    packages = []
    for text in request["packages"]:
        name, _, pin = text.partition("==")
        if name not in shelf:
            raise ResolveError(f"{name} is not on the shelf")
        if pin and name in held.upgrade:
            indexes.warn(f"{name} stays at {pin}: {text} is asked for")
        packages.append({"name": name, "version": pin or kept.get(name, shelf[name][-1])})
    return {"packages": packages}


def facts(_spec: Any, _locked: Any, parent: Facts) -> Facts:
    return parent


def recipes(_spec: Any, locked: Any, _parent: Facts) -> list[Assemble]:
    paths = ["opt", *sorted(f"opt/{one['name']}-{one['version']}" for one in locked["packages"])]
    members = [{"path": path, "dir": True, "uid": 0, "gid": 0} for path in paths]
    return [Assemble("tree", {"members": members}, summary=f"{len(members) - 1} packages")]
