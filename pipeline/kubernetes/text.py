"""Objects as YAML (1.2): one document each, for `kubectl apply` and for GitOps."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.kubernetes.api import Object
from pipeline.kubernetes.objects import objects
from pipeline.targets.model import Release
from pipeline.targets.remote import Account

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9/_.@-]*(:[A-Za-z0-9/_.@-]+)*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
"""What YAML 1.1, too, takes for something else than text (yaml.org/type/bool.html)."""


def rendered(release: Release, namespace: str, account: Account | None) -> str:
    """All objects of a release but its secrets: these are named, with their keys, and have to come another way."""
    documents = []
    for one in objects(release, account):
        one["metadata"] = {"namespace": namespace, **one["metadata"]} if namespace else one["metadata"]
        if one["kind"] == "Secret":
            documents.append(_mentioned(one))
        else:
            documents.append("\n".join(_lines(one, "")))
    return "---\n".join(f"{document}\n" for document in documents)


def _mentioned(secret: Object) -> str:
    keys = ", ".join(secret["data"])
    name = secret["metadata"]["name"]
    return f"# Secret {name} (type {secret['type']}) has to be there, with {keys}: secrets are not printed"


def _lines(value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _entry(f"{indent}{_scalar(key)}:", item, indent + "  ")
    elif isinstance(value, Sequence):
        for item in value:
            if _is_nested(item):
                first, *rest = _lines(item, indent + "  ")
                yield f"{indent}- {first.strip()}"
                yield from rest
            else:
                yield f"{indent}- {_scalar(item)}"


def _entry(head: str, item: Any, indent: str) -> Iterator[str]:
    if _is_nested(item):
        yield head
        yield from _lines(item, indent)
    else:
        yield f"{head} {_scalar(item)}"


def _is_nested(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple) and bool(value)


def _scalar(value: Any) -> str:
    """Text without quotes where no reader can take it for anything else; JSON is YAML."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)
