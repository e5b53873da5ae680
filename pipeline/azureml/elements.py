"""What Azure ML's configuration objects share: attributes in Python, camelCase keys in JSON, and their types.

As in the SDK (azureml-core 1.61, `_serialization_utils`), all fields are written, in one order, null where unset.
Unlike there, a key that is not known is an error, for it is usually a misspelt one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

from pipeline.azureml.document import Document
from pipeline.manifest.model import Path_
from pipeline.manifest.secrets import names_a_secret
from pipeline.manifest.words import shown, suggestion
from pipeline.noun import noun

E = TypeVar("E", bound="Element")


@noun
class Field:
    """One setting: its attribute, its key in JSON, and its type: a name of `TYPES`, or the class of an element.

    `many` says that it is a list of such elements.
    """

    attribute: str
    key: str
    type: Any = "text"
    many: bool = False


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_variables(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(part, str | int | float) for part in value.values())


TYPES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "text": (_is_text, "a text"),
    "flag": (lambda value: isinstance(value, bool), "true or false"),
    "number": (lambda value: isinstance(value, int | float) and not isinstance(value, bool), "a number"),
    "count": (lambda value: isinstance(value, int) and not isinstance(value, bool), "a whole number"),
    "texts": (_is_texts, "a list of texts"),
    "variables": (_is_variables, "a mapping of names to texts"),
    "mapping": (lambda value: isinstance(value, dict), "a mapping"),
}
"""Name → whether a value is one, and what it is called."""


class Element:
    """A part of an environment. Attributes may be set freely, as the SDK's scripts do."""

    FIELDS: ClassVar[tuple[Field, ...]] = ()
    EXCLUSIVE: ClassVar[tuple[str, ...]] = ()
    """Attributes whose setters reset each other: a file is read past them, for it says what it says."""

    @classmethod
    def blank(cls: type[E]) -> E:
        """One without the values that a script gets: what a file leaves out."""
        return cls()

    def __setattr__(self, name: str, value: Any) -> None:
        known = {each.attribute for each in self.FIELDS}
        if not (name.startswith("_") or name in known or hasattr(type(self), name)):
            hint = suggestion(name, sorted(known), label="there are")
            raise AttributeError(f"{type(self).__name__} has no attribute {name}: {hint}")
        super().__setattr__(name, value)

    def to_json(self) -> dict[str, Any]:
        """All fields, in the order that the SDK writes them."""
        return {each.key: _dumped(getattr(self, each.attribute)) for each in self.FIELDS}

    @classmethod
    def from_json(cls: type[E], value: Any, document: Document, path: Path_ = ()) -> E:
        """The element that stands at `path` of a file. UserErrorException with the place of what is wrong."""
        return cls.blank()._read(value, document, path)

    def _read(self: E, value: Any, document: Document, path: Path_) -> E:
        known = {each.key: each for each in self.FIELDS}
        for key, part in mapping(value, document, path).items():
            each = known.get(key)
            if each is None:
                raise unknown(key, tuple(known), document, path)
            attribute = f"_{each.attribute}" if each.attribute in self.EXCLUSIVE else each.attribute
            setattr(self, attribute, _loaded(each, part, document, (*path, key)))
        return self

    def __eq__(self, other: object) -> bool:
        return self.to_json() == other.to_json() if isinstance(other, type(self)) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.to_json()!r})"


def _dumped(value: Any) -> Any:
    if isinstance(value, Element):
        return value.to_json()
    if isinstance(value, list):
        return [_dumped(item) for item in value]
    return dict(value) if isinstance(value, dict) else value


def _loaded(each: Field, value: Any, document: Document, path: Path_) -> Any:
    if value is None:
        return None
    if isinstance(each.type, str):
        return checked(each.type, value, document, path)
    if not each.many:
        return each.type.from_json(value, document, path)
    if not isinstance(value, list):
        raise document.wrong(path, f"{named(path)} is not a list", "write [...]")
    return [each.type.from_json(item, document, (*path, number)) for number, item in enumerate(value)]


def checked(type_: str, value: Any, document: Document, path: Path_) -> Any:
    """A value of one of `TYPES`. UserErrorException for one of another."""
    fits, words = TYPES[type_]
    if not fits(value):
        raise document.wrong(path, f"{named(path)} is not {words}: {_short(value, path)}", f"give {words}")
    return value


def mapping(value: Any, document: Document, path: Path_) -> dict[str, Any]:
    """A mapping. UserErrorException for anything else."""
    if not isinstance(value, dict):
        what = named(path) or "the file"
        raise document.wrong(path, f"{what} is not a mapping: {_short(value, path)}", "write {...}")
    return value


def unknown(key: str, known: tuple[str, ...], document: Document, path: Path_) -> Exception:
    """The error for a key that nothing reads."""
    return document.wrong(
        (*path, key), f"unknown key '{named((*path, key))}'", suggestion(key, sorted(known), label="there are")
    )


def named(path: Path_) -> str:
    """`docker.arguments[0]`."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def _short(value: Any, path: Path_) -> str:
    return "***" if any(isinstance(key, str) and _is_secret(key) for key in path) else shown(value)


def _is_secret(key: str) -> bool:
    return names_a_secret(key) or key in ("authToken", "primaryKey", "secondaryKey")
