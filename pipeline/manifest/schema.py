"""The manifest's JSON Schema (Draft 2020-12): the sections, composed with the SCHEMA of every kind.

Beside the standard keywords it uses `format: project-path` (a path of the project, which load() checks), `writeOnly`
(a secret), `x-secret-ok` (may hold one), `x-may-be-missing` (a path that need not exist), `x-hint` (what would be
right), `x-noun` (what a mapping's keys name), and for entries `x-kinds`, `x-known` and `x-beside` (keys that are kinds,
and those beside one). `python -m pipeline.manifest.schema` prints it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pipeline import kinds
from pipeline.kinds import Section
from pipeline.manifest import policies, requires, schedule, sections
from pipeline.manifest.shapes import Schema

SECTIONS: tuple[Section, ...] = ("bases", "layers", "targets")
NOUNS: Mapping[Section, str] = {"bases": "base", "layers": "layer", "targets": "target"}


def schema() -> Schema:
    """The whole schema, for editors: it admits `${...}` wherever a manifest does."""
    whole = compose({section: every(section) for section in SECTIONS})
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Manifest of pipeline",
        "description": "Base images, dependency layers, images and deploy targets of model-serving images.",
    }
    return {**head, **cast(Schema, admit_references(whole))}


def every(section: Section) -> dict[str, Schema]:
    """Each kind of a section with its SCHEMA."""
    found = {name: of_kind(section, name) for name in kinds.names(section)}
    return {name: settings for name, settings in found.items() if settings is not None}


def of_kind(section: Section, name: str) -> Schema | None:
    """The SCHEMA of a kind, its local references replaced by what they refer to; None when there is no such kind."""
    try:
        module = kinds.find(section, name)
    except KeyError:
        return None
    settings = getattr(module, "SCHEMA", None)
    if settings is None:
        return None
    inlined = _inline(settings, settings, 0) if "$defs" in settings else dict(settings)
    return {key: value for key, value in cast(Schema, inlined).items() if key not in ("$schema", "$defs")}


def compose(settings: Mapping[Section, Mapping[str, Schema]]) -> Schema:
    """The manifest's schema with these kinds."""

    def kinds_of(section: Section, description: str) -> Schema:
        noun = NOUNS[section]
        beside = {"requires": requires.schema()} if section == "bases" else {}
        return sections.entries(noun, _kinds(noun, settings[section], beside), description)

    return {
        "type": "object",
        "required": ["version", "name", "images"],
        "additionalProperties": False,
        "patternProperties": {"^x-": {"description": "Anything: a place for YAML anchors."}},
        "properties": {
            "version": {
                "type": "integer",
                "const": 1,
                "description": "Version of the manifest's format: 1.",
                "x-hint": "write version: 1",
            },
            "name": {
                **sections.name("What the images belong to; part of the names of services."),
                "examples": ["diabetes"],
            },
            "registries": sections.entries("registry", sections.registry(), "OCI registries, by name."),
            "bases": kinds_of("bases", "What images start from, by name."),
            "layers": kinds_of("layers", "What is put on top of bases, by name."),
            "images": {
                **sections.entries("image", sections.image(), "The images to build, by name."),
                "minProperties": 1,
            },
            "targets": kinds_of("targets", "Where images are served, by name."),
            "retry": policies.retry(),
            "timeouts": policies.timeouts(),
            "build": sections.build(),
            "cache": sections.cache(),
            "schedule": schedule.schema(),
        },
    }


def _kinds(noun: str, settings: Mapping[str, Schema], beside: Mapping[str, Schema]) -> Schema:
    """An entry: a mapping whose one key names its kind. (An editor completes this; it does not complete `oneOf`.)

    `beside` are keys that may stand beside that one.
    """
    if beside:
        return _kinds_beside(noun, settings, beside)
    return {
        "type": "object",
        "description": f"A {noun}: exactly one kind.",
        "properties": dict(settings),
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
        "x-kinds": noun,
    }


def _kinds_beside(noun: str, settings: Mapping[str, Schema], beside: Mapping[str, Schema]) -> Schema:
    known = {"x-kinds": noun, "x-known": [*settings], "x-beside": [*beside]}

    def keys(count: int) -> Schema:
        return {"minProperties": count, "maxProperties": count, **known}

    (key,) = beside
    return {
        "type": "object",
        "description": f"A {noun}: exactly one kind, and what it {key}.",
        "properties": {**settings, **beside},
        "additionalProperties": False,
        "if": {"required": [key]},
        "then": keys(2),
        "else": keys(1),
        **known,
    }


def _inline(value: Any, root: Mapping[str, Any], depth: int) -> Any:
    if depth > 30:
        raise ValueError("a kind's SCHEMA refers to itself")
    if isinstance(value, Mapping):
        reference = value.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/$defs/"):
            value = {**root["$defs"][reference.removeprefix("#/$defs/")], **value}
        return {k: _inline(v, root, depth + 1) for k, v in value.items() if k not in ("$ref", "$defs")}
    return [_inline(item, root, depth + 1) for item in value] if isinstance(value, list | tuple) else value


_REFERENCE = r"\$\{[^{}]+\}"


def admit_references(value: Any) -> Any:
    """The schema as it applies before references are replaced: text with `${...}` fits wherever one value does."""
    if isinstance(value, list):
        return [admit_references(item) for item in value]
    if not isinstance(value, dict):
        return value
    # Under these keywords stand data, or mappings whose keys are not keywords.
    verbatim = ("const", "default", "examples", "enum", "required", "type", "propertyNames")
    named = ("properties", "patternProperties", "$defs")
    result = {k: v if k in verbatim else admit_references(v) for k, v in value.items() if k not in named}
    for key in named:
        if key in value:
            result[key] = {name: admit_references(item) for name, item in value[key].items()}
    return _loosen(result)


def _loosen(value: Schema) -> Schema:
    types = [value["type"]] if isinstance(value.get("type"), str) else list(value.get("type", []))
    if "pattern" in value:
        return {**value, "pattern": f"{value['pattern']}|{_REFERENCE}"}
    if "enum" in value and "string" in (types or ["string"]):
        rest = {k: v for k, v in value.items() if k not in ("enum", "type")}
        return {**rest, "anyOf": [{"enum": value["enum"]}, {"type": "string", "pattern": _REFERENCE}]}
    if {"integer", "number", "boolean"} & set(types) and "string" not in types:
        return {**value, "type": [*types, "string"], "pattern": f"^{_REFERENCE}$"}
    return value


def main() -> None:
    """Prints the schema, as it is kept in `schemas/manifest.schema.json`."""
    print(text(), end="")


def text() -> str:
    """The schema as a file."""
    import json

    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    main()
