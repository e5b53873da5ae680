"""The `python` section of an environment: which interpreter, and what is installed for it."""

from __future__ import annotations

from typing import Any

from pipeline.azureml.conda_dependencies import CondaDependencies
from pipeline.azureml.document import Document
from pipeline.azureml.elements import Element, Field, mapping
from pipeline.manifest.model import Path_


class PythonSection(Element):
    FIELDS = (
        Field("user_managed_dependencies", "userManagedDependencies", "flag"),
        Field("interpreter_path", "interpreterPath"),
        Field("conda_dependencies_file", "condaDependenciesFile"),
        Field("base_conda_environment", "baseCondaEnvironment"),
    )

    def __init__(self, *, _skip_defaults: bool = False) -> None:
        self.user_managed_dependencies = False
        self.interpreter_path: str | None = "python"
        self.conda_dependencies_file: str | None = None
        self.base_conda_environment: str | None = None
        self._conda_dependencies = None if _skip_defaults else CondaDependencies()

    @classmethod
    def blank(cls) -> PythonSection:
        return cls(_skip_defaults=True)

    @property
    def conda_dependencies(self) -> CondaDependencies | None:
        return self._conda_dependencies

    @conda_dependencies.setter
    def conda_dependencies(self, value: CondaDependencies | None) -> None:
        if value is not None and not isinstance(value, CondaDependencies):
            raise TypeError(f"conda_dependencies is a {type(value).__name__}, not CondaDependencies")
        self._conda_dependencies = value

    def to_json(self) -> dict[str, Any]:
        """As the SDK: without the key condaDependencies where there are none."""
        conda = self._conda_dependencies
        return super().to_json() | ({} if conda is None else {"condaDependencies": conda.as_dict()})

    @classmethod
    def from_json(cls, value: Any, document: Document, path: Path_ = ()) -> PythonSection:
        rest = dict(mapping(value, document, path))
        conda = rest.pop("condaDependencies", None)
        made = super().from_json(rest, document, path)
        if conda is not None:
            made.conda_dependencies = CondaDependencies.from_data(conda, document, (*path, "condaDependencies"))
        return made
