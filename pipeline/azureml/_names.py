"""Which names models and services may have: the rules of the SDK (azureml-core 1.61, `_model_management._util`)."""

from __future__ import annotations

import re

from pipeline.azureml.exceptions import UserErrorException, WebserviceException

_MODEL = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,254}")
_SERVICE = re.compile(r"[a-z](?:[-a-z0-9]*[a-z0-9])?")
_WORKSPACE = re.compile(r"[a-zA-Z0-9][\w-]{1,32}")


def check_model(name: object) -> str:
    """The name; raises WebserviceException for one that no model may have."""
    if isinstance(name, str) and _MODEL.fullmatch(name):
        return name
    raise WebserviceException(
        f"{name!r} is no name for a model",
        remedy="letters, digits, '-', '.' and '_', at most 255, a letter or a digit first",
    )


def check_service(name: object) -> str:
    """The name; raises WebserviceException for one that no service may have."""
    if isinstance(name, str) and _SERVICE.fullmatch(name) and 3 <= len(name) <= 32:
        return name
    raise WebserviceException(
        f"{name!r} is no name for a service",
        remedy="3 to 32 lower-case letters, digits and '-', a letter first, a letter or a digit last",
    )


def check_workspace(name: object) -> str:
    """The name; raises UserErrorException for one that no workspace may have."""
    if isinstance(name, str) and _WORKSPACE.fullmatch(name):
        return name
    raise UserErrorException(
        f"{name!r} is no name for a workspace", remedy="2 to 33 letters, digits, '-' and '_', a letter or a digit first"
    )


def parse_model_id(text: str) -> tuple[str, int | None]:
    """`mymodel:1` → name and version; without a version the newest is meant. Raises WebserviceException."""
    name, colon, version = text.partition(":")
    if colon and not (version.isdecimal() and int(version) > 0):
        remedy = "write NAME:VERSION, as in mymodel:1"
        raise WebserviceException(f"{text!r} names no version of a model", remedy=remedy)
    return check_model(name), int(version) if colon else None
