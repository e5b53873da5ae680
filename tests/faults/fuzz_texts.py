# ruff: noqa: E501
"""What the fuzz tests make: values from a JSON Schema, values changed a little, and text broken as editors and merges
break it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import Any

import yaml

Chance = random.Random
SECRET = "correct horse battery"
_WORDS = ["slim", "science", "weights", "code", "web", "job", "prod", "here", "x", "", "a" * 300, "é", "..", "/", "src"]
_SCALARS: list[Any] = [
    None, True, False, 0, 1, -1, 7, 2**31, 2**63, 2**64, -(2**70), 10**400, 0.5, -0.0, 1e308, 1e-320, float("inf"),
    float("-inf"), float("nan"), "", " ", "0", "1", "yes", "no", "on", "null", "~", "3.10", "1e3", "0x1f", "0o17", "1_000",
    "12:30:45", "2024-01-01", "2024-02-30", "=", "<<", "*", "&", "!", "%", "@", "`", "-", "?", "|", ">", "[]", "{}", "../..",
    "/etc/passwd", "src/../../x", "a/b/c", "src", "src/", "~/x", "//", "./", "\\", "C:\\x", "http://h/", "https://u:p@h/x",
    "registry:5000/x@sha256:00", "${env:REGISTRY}", "${env:NOT_THERE}", "${env:NOT_THERE:-x}", "${file:secret.txt}",
    "${file:../x}", "${env:", "${}", "$${x}", "${${env:WORD}}", "${env:PASSWORD}", "${env:KEY_PASSWORD}", "${env:ODD}", "10MB", "-1s", "1e9h",
    "9" * 400, "9" * 30 + "GB", "a" * 5000, "\u202e", "\ud7ff", "\U0001f600", "a\nb", "a\tb", "\u2028", "[", "(" * 50, "a" * 64,
    "sha256:" + "a" * 64, "numpy>=1,<2", "numpy @ file:///x", "-e .", "--hash=x", "; rm -rf /", "$(id)", "%s%n", "linux/amd64",
    "linux/arm/v7", "1000:1000", "-1", "99999999999", "*.so", "[a-", "**/**/**/**", "\x7f", "x-y", "\u00a0", "ﬁ", "İ",
]  # fmt: skip
SNIPPETS = [
    "\t", "\x00", "\ufeff", "\r", "\r\n", "\n\n", "\u2028", "\x85", "- ", ": ", ":", " #", "'", '"', "{", "}", "[", "]", "&a ",
    "*a", "<<: *a\n", "&a [*a]", "&a {k: *a}", "!!python/object/apply:os.system ['id']", "!!python/name:os.system ", "!x ",
    "!!binary aGk=", "!!set {a, b}", "!!timestamp 2024-01-01", "!!float .inf", ".inf", "-.INF", ".nan", "2024-01-01T00:00:00Z",
    "3.10", "0777", "1_0", "0b11", "190:20:30", "---\n", "...\n", "%YAML 1.3\n---\n", "%TAG ! tag:x,2000:\n---\n", "? ", "|\n ",
    ">-\n ", "|9\n", "\\x", '"\\ud800"', '"\\U00110000"', '"\\0"', "<<<<<<< HEAD\n", "=======\n", ">>>>>>> b\n", "a: &b [x]\n",
    "[" * 60, "{a: " * 60, "- " * 60, "${env:PASSWORD}", "${env:KEY_PASSWORD}", "${env:ODD}", "${file:secret.txt}", "x-y: &a {b: c}\n", "name: again\n",
    "9" * 5000, "k" * 2000 + ": 1\n", "é", "\U0001f600", "\ud7ff", "~", "null", ",", "@", "`", "%", "!!str ", "!<tag:yaml.org,2002:int> ",
]  # fmt: skip


def fitting(schema: Mapping[str, Any], chance: Chance, depth: int = 0) -> Any:
    """A value that mostly fits a JSON Schema (Draft 2020-12, the keywords that the manifest's uses), and sometimes not."""
    if chance.random() < 0.01 or depth > 12:
        return anything(chance)
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema and chance.random() < 0.9:
            rest = {key: value for key, value in schema.items() if key != keyword}
            return fitting({**rest, **chance.choice(schema[keyword])}, chance, depth + 1)
    for keyword in ("enum", "examples"):
        if keyword in schema and chance.random() < 0.8:
            return chance.choice(schema[keyword])
    if "const" in schema:
        return schema["const"]
    types = schema.get("type", ["object"] if "properties" in schema else ["string"])
    make = _MAKERS.get(types if isinstance(types, str) else chance.choice(list(types)), _text)
    return make(schema, chance, depth)


def _object(schema: Mapping[str, Any], chance: Chance, depth: int) -> Any:
    known, required = schema.get("properties", {}), list(schema.get("required", ()))
    most = schema.get("maxProperties", 4)
    names = [*required, *chance.sample(list(known), min(len(known), chance.randint(0, 3)))]
    more = schema.get("additionalProperties", True)
    if isinstance(more, Mapping) or (more and chance.random() < 0.2):
        names += [chance.choice(_WORDS) for _ in range(chance.randint(0, 2))]
    found = {}
    for name in dict.fromkeys(names[: max(most, len(required))]):
        below = known.get(name, more if isinstance(more, Mapping) else {})
        found[name] = fitting(below, chance, depth + 1)
    return found


def _array(schema: Mapping[str, Any], chance: Chance, depth: int) -> Any:
    items = schema.get("items", {})
    return [
        fitting(items if isinstance(items, Mapping) else {}, chance, depth + 1) for _ in range(chance.randint(0, 3))
    ]


def _text(_schema: Mapping[str, Any], chance: Chance, _depth: int) -> Any:
    return chance.choice(_WORDS) if chance.random() < 0.7 else chance.choice(_SCALARS)


def _number(schema: Mapping[str, Any], chance: Chance, _depth: int) -> Any:
    return schema.get("minimum", 1) + chance.choice([0, 0, 1, 10, -1, 10**6, 0.5, 10**30])


_MAKERS: Mapping[str, Callable[[Mapping[str, Any], Chance, int], Any]] = {
    "object": _object,
    "array": _array,
    "string": _text,
    "integer": _number,
    "number": _number,
    "boolean": lambda _schema, chance, _depth: chance.random() < 0.5,
    "null": lambda _schema, _chance, _depth: None,
}


def anything(chance: Chance, depth: int = 0) -> Any:
    """Any value at all."""
    kind = chance.random()
    if depth < 3 and kind < 0.15:
        return [anything(chance, depth + 1) for _ in range(chance.randint(0, 4))]
    if depth < 3 and kind < 0.3:
        keys = [chance.choice(_WORDS) for _ in range(chance.randint(0, 4))]
        return {key: anything(chance, depth + 1) for key in keys}
    return chance.choice(_SCALARS)


def changed(value: Any, chance: Chance, depth: int = 0) -> Any:
    """A value with one place in it changed: replaced, removed, put twice, renamed, or wrapped."""
    deeper = chance.random() < (0.98 if depth < 2 else 0.85)
    if isinstance(value, dict) and value and deeper:
        key = chance.choice(list(value))
        act = chance.random()
        if act < 0.05:
            return {name: part for name, part in value.items() if name != key}
        if act < 0.1:
            return {**value, str(chance.choice(_WORDS)): value[key]}
        return {**value, key: changed(value[key], chance, depth + 1)}
    if isinstance(value, list) and value and deeper:
        at = chance.randrange(len(value))
        act = chance.random()
        if act < 0.15:
            return value[:at] + value[at + 1 :]
        if act < 0.3:
            return [*value, value[at]]
        return [*value[:at], changed(value[at], chance, depth + 1), *value[at + 1 :]]
    if isinstance(value, str) and chance.random() < 0.4:
        at = chance.randint(0, len(value))
        return (
            value[:at]
            + chance.choice([*"x0 -/.:=~^$@[]{}()<>,;*?!%&#'\"\\\n", "é", ".."])
            + value[at + chance.randint(0, 1) :]
        )
    wrapped: list[Any] = [
        [value],
        {"a": value},
        str(value),
        *(chance.choice(_SCALARS) for _ in range(4)),
        anything(chance),
    ]
    return chance.choice(wrapped)


def written(value: Any, chance: Chance) -> str:
    """The value as YAML, in one of the styles that people and programs write."""
    if chance.random() < 0.3:
        return json.dumps(value, ensure_ascii=chance.random() < 0.5, indent=chance.choice([None, 2]))
    flow = chance.choice([True, False, None])
    return yaml.dump(value, Dumper=yaml.CSafeDumper, default_flow_style=flow, allow_unicode=True, sort_keys=False)


def mangled(text: str, chance: Chance) -> str:
    """Text with a few pieces put in, taken out, doubled or moved."""
    for _ in range(chance.choice([1, 1, 1, 2, 3, 8])):
        at, size = chance.randint(0, len(text)), chance.choice([1, 1, 2, 5, 20, 100])
        act = chance.randrange(8)
        if act < 3:
            text = text[:at] + chance.choice(SNIPPETS) + text[at:]
        elif act == 3:
            text = text[:at] + text[at + size :]
        elif act == 4:
            text = text[:at] + text[at : at + size] * chance.choice([2, 50]) + text[at:]
        elif act == 5:
            lines = text.split("\n")
            one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
            lines[one], lines[other] = lines[other], lines[one]
            text = "\n".join(lines)
        elif act == 6:
            lines = text.split("\n")
            lines[chance.randrange(len(lines))] += chance.choice(SNIPPETS)
            text = "\n".join(lines)
        else:
            text = (
                text[:at]
                if chance.random() < 0.2
                else text[:at] + chr(chance.choice([0x7F, 0x80, 0x2028, 0xE9])) + text[at:]
            )
    return text


def encoded(text: str, chance: Chance) -> bytes:
    """The bytes of a text, now and then not those that were meant."""
    act = chance.randrange(40)
    if act == 0:
        return text.encode("utf-16", "replace")
    if act == 1:
        return text.encode("utf-8-sig", "replace")
    if act == 2:
        return text.replace("\n", "\r\n").encode("utf-8", "replace")
    if act == 3:
        return text.encode("latin-1", "replace")
    data = bytearray(text.encode("utf-8", "surrogatepass"))
    if act < 7 and data:
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
    if act == 7:
        return bytes(data[: chance.randint(0, len(data))])
    return bytes(data)
