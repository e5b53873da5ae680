"""Checks data against the manifest's JSON Schema; the only module that knows jsonschema's errors."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pipeline.manifest.explain import Broken, explain
from pipeline.manifest.findings import Finding
from pipeline.manifest.model import Path_
from pipeline.manifest.walk import has_type

MOST = 100
"""More broken rules, or findings, than this are not looked for."""

TextOf = Callable[[Path_], str | None]


def check(data: Any, schema: Mapping[str, Any], text_of: TextOf) -> Iterator[Finding]:
    """All that breaks the schema. `text_of` gives a plain scalar as it was written."""
    validator = _validator_class()(schema)
    for error in itertools.islice(validator.iter_errors(data), MOST):
        yield from explain(_broken(error, text_of))


def check_answer_schema(schema: Any) -> str:
    """What is wrong with a user's own JSON Schema, such as `expect` of a scoring check; nothing when it is sound."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        place = "/".join(map(str, error.absolute_path))
        return f"is no JSON Schema: {place + ': ' if place else ''}{error.message[:200]}"
    return ""


def answer_flaw(answer: Any, schema: Mapping[str, Any]) -> tuple[str, str]:
    """Where and how an answer is not what a user's own JSON Schema says; two empty texts when it is."""
    from jsonschema import Draft202012Validator

    error = next(Draft202012Validator(schema).iter_errors(answer), None)
    return ("".join(f"[{part!r}]" for part in error.absolute_path), error.message) if error else ("", "")


def _validator_class() -> Any:
    from jsonschema import Draft202012Validator, validators

    types = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: has_type(value, ("integer",)))
    return validators.extend(Draft202012Validator, {"pattern": _pattern}, type_checker=types)  # type: ignore[no-untyped-call]


def _pattern(_validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[Any]:
    """`$` means the very end, as in ECMA-262, which JSON Schema refers to; Python's allows a newline after it."""
    from jsonschema import ValidationError

    if isinstance(value, str) and not re.search(re.sub(r"(?<!\\)\$$", r"\\Z", pattern), value):
        yield ValidationError(f"does not match {pattern}")


def _broken(error: Any, text_of: TextOf) -> Broken:
    path = tuple(error.absolute_path)
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    if list(error.absolute_schema_path)[-2:-1] == ["propertyNames"]:
        return Broken(path, "propertyNames", error.validator_value, schema, error.instance)
    branches: dict[int, list[Broken]] = {}
    for inner in error.context or ():
        branches.setdefault(inner.schema_path[0], []).append(_broken(inner, text_of))
    return Broken(
        path,
        error.validator,
        error.validator_value,
        schema,
        error.instance,
        text_of(path),
        tuple(tuple(branch) for branch in branches.values()),
    )
