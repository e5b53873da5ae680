"""Says in plain words what a value that breaks a JSON Schema has wrong, and what would be right."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pipeline.manifest.findings import Finding
from pipeline.manifest.model import Path_
from pipeline.manifest.walk import has_type, types_of
from pipeline.manifest.words import article, did_you_mean, listed, shown, suggestion, type_name, type_names
from pipeline.noun import noun


@noun
class Broken:
    """One rule that a value breaks: JSON Schema's keyword, its value, the schema it stands in, and the value there.

    `text` is how a plain scalar was written; `branches` are the broken rules of each alternative of an `anyOf`.
    """

    path: Path_
    keyword: str
    rule: Any
    schema: Mapping[str, Any]
    value: Any
    text: str | None = None
    branches: tuple[tuple[Broken, ...], ...] = ()


def explain(broken: Broken) -> Iterator[Finding]:
    """The findings of one broken rule: several for several unknown keys."""
    if broken.keyword in ("anyOf", "oneOf"):
        yield from _alternatives(broken)
    elif handler := _HANDLERS.get(broken.keyword):
        yield from handler(broken)
    else:
        yield Finding(broken.path, f"{shown(broken.value)} is not right for {_name(broken)}", _hint(broken.schema))


def _hint(schema: Mapping[str, Any]) -> str:
    """What would be right: the schema's hint, else its description as part of a sentence."""
    text = str(schema.get("x-hint") or schema.get("description", "")).removesuffix(".")
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def _name(broken: Broken) -> str:
    """What to call the value: its key, or what the list that holds it is called."""
    names = [key for key in broken.path if isinstance(key, str)]
    if not names:
        return "the manifest"
    return f"an item of '{names[-1]}'" if isinstance(broken.path[-1], int) else f"'{names[-1]}'"


def _unknown_keys(broken: Broken) -> Iterator[Finding]:
    known = [*broken.schema.get("properties", {})]
    noun = broken.schema.get("x-kinds")
    kinds = broken.schema.get("x-known", known)
    for key in [key for key in broken.value if key not in known and not key.startswith("x-")][:20]:
        path = (*broken.path, key)
        if noun:
            remedy = did_you_mean(key, known) or _one_kind(noun, kinds)
            yield Finding(path, f"unknown kind of {noun} {shown(key)}", remedy, at_key=True)
        else:
            yield Finding(path, f"unknown key {shown(key)}", suggestion(key, known), at_key=True)


def _one_kind(noun: str, known: Sequence[str]) -> str:
    return f"{article(noun)} has exactly one kind: {listed(sorted(known))}"


def _missing_key(broken: Broken) -> Iterator[Finding]:
    for key in broken.rule:
        if key not in broken.value:
            about = broken.schema.get("properties", {}).get(key, {})
            remedy = f"add {key}: {_example(about)}" if _example(about) else f"add '{key}'"
            if "const" in about:
                remedy = f"add {key}: {about['const']}"
            yield Finding(broken.path, f"missing key '{key}'", remedy, at_key=True)


def _example(schema: Mapping[str, Any]) -> str:
    """A value that would do, as it is written in YAML."""
    values = [*schema.get("examples", ()), *schema.get("enum", ())]
    if values:
        return _yaml(values[0])
    types = types_of(schema)
    if "array" in types and isinstance(items := schema.get("items"), Mapping):
        inner = _example(items)
        return f"[{inner}, ...]" if inner else "[...]"
    return "{...}" if "object" in types else "..." if "string" in types else ""


def _yaml(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_yaml(item) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml(item)}" for key, item in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _wrong_type(broken: Broken) -> Iterator[Finding]:
    yield _typed(broken, types_of(broken.schema))


def _typed(broken: Broken, types: Sequence[str]) -> Finding:
    value = broken.value
    if value is None:
        example = _example(broken.schema)
        remedy = f"give it {type_names(types)}" + (f", as in {example}" if example not in ("", "...", "{...}") else "")
        return Finding(broken.path, f"{_name(broken)} has no value", remedy, at_key=True)
    if "string" in types and isinstance(value, bool | int | float):
        text = broken.text or shown(value)
        kind = "a boolean" if isinstance(value, bool) else "a number"
        also = f"the number {shown(value)}" if text != shown(value) and kind == "a number" else kind
        return Finding(broken.path, f"{text} is read as {also}, where text is wanted", f'quote it: "{text}"')
    message = f"{_name(broken)} should be {type_names(types)}, and is {_described(value)}"
    if tuple(types) == ("boolean",) and isinstance(value, str):
        return Finding(broken.path, message, "write true or false")
    hint, example = broken.schema.get("x-hint", ""), _example(broken.schema)
    if "array" in types and isinstance(value, str) and not hint:
        return Finding(
            broken.path, message, f"write [{shown(value)[1:-1]}]" if shown(value) != "***" else "write [...]"
        )
    return Finding(broken.path, message, hint or (f"as in {example}" if example not in ("", "...", "{...}") else ""))


def _described(value: Any) -> str:
    """A value of the wrong type: what it is, and what it says where that fits in."""
    short = isinstance(value, str) and len(value) <= 30
    return f"the text {shown(value)}" if short else type_name(value)


def _alternatives(broken: Broken) -> Iterator[Finding]:
    """What is wrong with the alternative that was meant: the one whose type fits."""
    meant = [branch for branch in broken.branches if not any(_is_type_error(b, broken.path) for b in branch)]
    if meant and meant[0]:
        yield from (finding for inner in min(meant, key=len) for finding in explain(inner))
        return
    types = tuple(dict.fromkeys(t for schema in broken.rule for t in types_of(schema)))
    if types and not has_type(broken.value, types):
        yield _typed(Broken(broken.path, "type", types, broken.schema, broken.value, broken.text), types)
    else:
        yield Finding(
            broken.path, f"{_name(broken)} fits none of its forms, or several", broken.schema.get("x-hint", "")
        )


def _is_type_error(broken: Broken, path: Path_) -> bool:
    return broken.keyword == "type" and broken.path == path


def _choice(broken: Broken) -> Iterator[Finding]:
    choices = [str(choice) for choice in broken.rule]
    near = did_you_mean(str(broken.value), choices) if isinstance(broken.value, str) else ""
    yield Finding(broken.path, f"{_name(broken)} cannot be {shown(broken.value)}", near or f"one of {listed(choices)}")


def _constant(broken: Broken) -> Iterator[Finding]:
    yield Finding(broken.path, f"{_name(broken)} cannot be {shown(broken.value)}", f"the only value is {broken.rule}")


def _range(broken: Broken) -> Iterator[Finding]:
    words = {"exclusiveMinimum": "more than", "exclusiveMaximum": "less than"}
    if broken.keyword in words:
        remedy = f"{words[broken.keyword]} {broken.rule}"
        yield Finding(broken.path, f"{_name(broken)} is out of range: {shown(broken.value)}", remedy)
        return
    low, high = broken.schema.get("minimum"), broken.schema.get("maximum")
    remedy = f"{low} to {high}" if low is not None and high is not None else ""
    remedy = remedy or (f"at least {low}" if low is not None else f"at most {high}")
    yield Finding(broken.path, f"{_name(broken)} is out of range: {shown(broken.value)}", remedy)


def _form(broken: Broken) -> Iterator[Finding]:
    hint = _hint(broken.schema) or f"it has to match {broken.rule}"
    yield Finding(broken.path, f"{_name(broken)} cannot be {shown(broken.value)}", hint)


def _length(broken: Broken) -> Iterator[Finding]:
    count = len(broken.value)
    if broken.keyword == "minProperties" and (noun := broken.schema.get("x-kinds")):
        yield Finding(broken.path, f"{_name(broken)} has no kind", _one_kind(noun, _kinds(broken)), at_key=True)
    elif broken.keyword == "maxProperties" and (noun := broken.schema.get("x-kinds")):
        known = _kinds(broken)
        given = [key for key in broken.value if key not in broken.schema.get("x-beside", ())]
        if set(given) <= set(known):  # Otherwise the unknown key is the error.
            message = f"{_name(broken)} has {len(given)} kinds: {listed(given)}"
            yield Finding((*broken.path, given[1]), message, _one_kind(noun, known), at_key=True)
    elif count == 0:
        yield Finding(broken.path, f"{_name(broken)} is empty", f"give it a value{_as_in(broken.schema)}", at_key=True)
    elif isinstance(broken.value, str):
        words = "at least" if broken.keyword.startswith("min") else "at most"
        yield Finding(broken.path, f"{_name(broken)} has {count} characters", f"{words} {broken.rule}")
    else:
        words = "at least" if broken.keyword.startswith("min") else "at most"
        yield Finding(broken.path, f"{_name(broken)} has {count} items", f"{words} {broken.rule}", at_key=True)


def _kinds(broken: Broken) -> list[str]:
    """The kinds that an entry can have."""
    return [*broken.schema.get("x-known", broken.schema.get("properties", {}))]


def _as_in(schema: Mapping[str, Any]) -> str:
    example = _example(schema)
    return f", as in {example}" if example not in ("", "...", "{...}") else ""


def _duplicates(broken: Broken) -> Iterator[Finding]:
    for index, item in enumerate(broken.value):
        if item in broken.value[:index]:
            yield Finding((*broken.path, index), f"{shown(item)} is listed twice", "remove one of them")
            return


def _key_form(broken: Broken) -> Iterator[Finding]:
    """A key that breaks the rule for keys; `value` is the key, `path` its mapping's."""
    key, noun = broken.value, broken.schema.get("x-noun", "key")
    hint = broken.schema.get("x-hint") or f"it has to match {broken.schema.get('pattern', '')}"
    if len(key) > broken.schema.get("maxLength", len(key)):
        hint = f"at most {broken.schema['maxLength']} characters"
    yield Finding((*broken.path, key), f"{shown(key)} cannot be the name of {article(noun)}", hint, at_key=True)


def _dependent(broken: Broken) -> Iterator[Finding]:
    for key, needed in broken.rule.items():
        for missing in [name for name in needed if key in broken.value and name not in broken.value]:
            yield Finding((*broken.path, key), f"'{key}' needs '{missing}' beside it", f"add '{missing}'", at_key=True)


_HANDLERS: Mapping[str, Callable[[Broken], Iterator[Finding]]] = {
    "additionalProperties": _unknown_keys,
    "unevaluatedProperties": _unknown_keys,
    "required": _missing_key,
    "type": _wrong_type,
    "enum": _choice,
    "const": _constant,
    "minimum": _range,
    "maximum": _range,
    "exclusiveMinimum": _range,
    "exclusiveMaximum": _range,
    "pattern": _form,
    "minProperties": _length,
    "maxProperties": _length,
    "minItems": _length,
    "maxItems": _length,
    "minLength": _length,
    "maxLength": _length,
    "uniqueItems": _duplicates,
    "propertyNames": _key_form,
    "dependentRequired": _dependent,
}
