"""What environments have to do with a workspace: they are registered there, in versions, and found again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pipeline.azureml.exceptions import UserErrorException
from pipeline.azureml.secret_text import is_secret_variable

if TYPE_CHECKING:
    from pipeline.azureml.environment import Environment
    from pipeline.azureml.workspace import Workspace


def without_secrets(document: Mapping[str, Any]) -> dict[str, Any]:
    """An environment's document in which variables that are secret are references to themselves."""
    variables = document.get("environmentVariables") or {}
    safe = {
        name: f"${{env:{name}}}" if is_secret_variable(name, str(value)) else value for name, value in variables.items()
    }
    return {**document, **({"environmentVariables": safe} if variables else {})}


E = TypeVar("E", bound="Registered")


class Registered:
    """Adds to an environment that it can be registered. Of passwords only a reference is kept."""

    def register(self: E, workspace: Workspace) -> E:
        """Keeps it in the workspace, and says which version it is; one that is equal to the newest is that one.

        UserErrorException for an environment without a name, and for a version that is another environment already.
        """
        environment = cast("Environment", self)
        if not environment.name:
            raise UserErrorException(
                "an environment needs a name to be registered", remedy="as in Environment('myenv')"
            )
        document = {**without_secrets(environment.to_json()), "version": None}
        stored = workspace.contents.environments.register(environment.name, document, environment.version or "")
        made = type(self)._from_stored(stored.document, stored.version)
        environment.version = stored.version
        return made

    @classmethod
    def get(cls: type[E], workspace: Workspace, name: str, version: str | None = None, label: str | None = None) -> E:
        """A version of it, by default the newest. UserErrorException where there is none."""
        if label not in (None, "latest"):
            raise UserErrorException(f"environments here have no label {label!r}", remedy="give a version, or 'latest'")
        stored = workspace.contents.environments.get(name, "" if version in (None, "latest") else str(version))
        return cls._from_stored(stored.document, stored.version)

    @classmethod
    def list(cls: type[E], workspace: Workspace) -> dict[str, E]:
        """The newest version of each."""
        return {name: cls.get(workspace, name) for name in workspace.contents.environments.names()}

    @classmethod
    def _from_stored(cls: type[E], document: Any, version: str) -> E:
        made = cast("Environment", cls).from_json({**document, "version": version})
        return cast("E", made)
