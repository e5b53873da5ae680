"""The API's schemas: the server's nouns as pydantic models, so that what is told and what is described are the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model


@cache
def shape(cls: type) -> Any:
    """The model of a noun: its fields, described by its docstring; all of them are always told."""
    hints = get_type_hints(cls)
    named: dict[str, Any] = {each.name: (_shaped(hints[each.name]), ...) for each in fields(cls)}
    config = ConfigDict(from_attributes=True, extra="forbid")
    return create_model(cls.__name__, __config__=config, __doc__=_words(cls), **named)


def listed(cls: type) -> Any:
    return list[shape(cls)]  # type: ignore[misc]


def _shaped(hint: Any) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if is_dataclass(hint) and isinstance(hint, type):
        return shape(hint)
    if origin is tuple and args[-1] is Ellipsis:
        return list[_shaped(args[0])]  # type: ignore[misc]
    if origin in (Union, UnionType):
        return Union[tuple(each if each is NoneType else _shaped(each) for each in args)]  # noqa: UP007
    if origin is not None and origin is not Literal and issubclass(origin, Mapping):
        return dict[args[0], args[1]]  # type: ignore[valid-type]
    return hint


def _words(cls: type) -> str:
    """A docstring as one paragraph for each of its own."""
    text = cls.__doc__ or ""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


class Place(BaseModel):
    """A part of a request that is wrong."""

    model_config = ConfigDict(extra="forbid")
    place: str = Field(examples=["body.target"])
    message: str = Field(examples=["Field required"])


class Problem(BaseModel):
    """What went wrong (problem details, RFC 9457): `detail` says what, and what would be right."""

    model_config = ConfigDict(extra="forbid")
    title: str = Field(examples=["Conflict"])
    status: int = Field(examples=[409])
    detail: str = Field(examples=["job 12 is done: it does not wait for approval (look at it again)"])
    errors: list[Place] = Field(default=[], description="The parts of the request that are wrong.")
    reference: str = Field(default="", description="Of a bug: where its details are in the server's log of errors.")


__all__ = ["Place", "Problem", "listed", "shape"]
