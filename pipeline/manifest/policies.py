"""The JSON Schema of what is tried again, and of how long things may take."""

from __future__ import annotations

from pipeline.manifest.model import RETRY_ON
from pipeline.manifest.shapes import DURATION, Schema, mapping


def retry() -> Schema:
    general = _retry_settings()
    own = {name: {key: value for key, value in one.items() if key != "default"} for name, one in general.items()}
    one = mapping("What is otherwise for these steps.", own)
    steps = _of_kinds("What is otherwise for one kind of step; lock means asking indexes.", one)
    return mapping("How a step that failed is tried again.", {**general, "steps": steps})


def _retry_settings() -> dict[str, Schema]:
    count = {"type": "integer", "minimum": 1, "maximum": 100, "default": 3}
    share = {"type": "number", "minimum": 0, "maximum": 1, "default": 0.5}
    return {
        "attempts": {**count, "description": "Tries, the first included."},
        "wait": {**DURATION, "default": 0.5, "description": "The first pause: seconds, or 500ms, 2s."},
        "max_wait": {**DURATION, "default": 20, "description": "The longest pause: seconds, or 500ms, 2s."},
        "jitter": {**share, "description": "The share of a pause that is added to it at random, at most."},
        "deadline": {**DURATION, "description": "Begin no other try later than this after the first began."},
        "on": {
            "type": "array",
            "items": {"enum": [*RETRY_ON]},
            "minItems": 1,
            "uniqueItems": True,
            "default": ["passing"],
            "description": "After which failures: passing ones (a registry that does not answer, …), a command that "
            "failed, a check that failed, a rollout that did not become healthy.",
        },
    }


def timeouts() -> Schema:
    """A connection that may take no time at all would never come about."""
    some = {**DURATION, "exclusiveMinimum": 0, "pattern": r"^(?!0+(\.0+)?(ms|s|m|h)?$)" + DURATION["pattern"][1:]}
    whole = "The longest that a whole step may take, all its tries together; 0: no limit."
    one_kind = {**DURATION, "description": "The longest that such a step may take; 0: no limit."}
    return mapping(
        "How long things may take before they are given up.",
        {
            "connect": {**some, "default": 10, "description": "To open a connection: seconds, or 500ms, 2s."},
            "read": {**some, "default": 30, "description": "Without a byte of an answer: seconds, or 500ms, 2s."},
            "step": {**DURATION, "default": "6h", "description": whole},
            "steps": _of_kinds("What is otherwise for one kind of step; lock means asking indexes.", one_kind),
        },
    )


def _of_kinds(description: str, one: Schema) -> Schema:
    """A setting for each kind of step."""
    kinds = ("lock", "base", "layer", "image", "push", "check", "tag", "target")
    return {
        "type": "object",
        "description": description,
        "propertyNames": {"pattern": f"^({'|'.join(kinds)})$", "x-hint": ", ".join(kinds), "x-noun": "kind of step"},
        "additionalProperties": one,
    }
