"""Errors under the names that the SDK gives them, so that a script's `except` clauses go on to work."""

from __future__ import annotations

from typing import TypeVar

from pipeline.errors import PipelineError

E = TypeVar("E", bound="AzureMLException")


class AzureMLException(PipelineError):
    """Whatever went wrong behind this API. `message` is the fact alone, str() adds place and remedy."""


class WebserviceException(AzureMLException):
    """A model or a service that is not there, is described wrongly, or does not come up."""


class ModelNotFoundException(WebserviceException):
    """No such model in the workspace. (Also a WebserviceException, which older versions of the SDK raised.)"""


class UserErrorException(AzureMLException):
    """A wrong argument or a wrong file."""

    exit_code = 2


class WorkspaceException(AzureMLException):
    """A workspace that is not there, or there already."""


class ComputeTargetException(AzureMLException):
    """A compute target that no manifest and no configuration describes."""


def told_as(kind: type[E], error: PipelineError) -> E:
    """The same error as one of these: its words, remedy, place, log and exit code stay."""
    if isinstance(error, kind):
        return error
    told = kind(error.message, remedy=error.remedy, place=error.place, transient=error.transient)
    told.log, told.tries, told.exit_code = error.log, error.tries, error.exit_code
    return told


__all__ = [
    "AzureMLException",
    "ComputeTargetException",
    "ModelNotFoundException",
    "UserErrorException",
    "WebserviceException",
    "WorkspaceException",
    "told_as",
]
