"""`CondaDependencies`: the conda and pip packages of an environment, edited as the SDK's scripts do it."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.azureml import defaults
from pipeline.azureml.document import Document, load
from pipeline.azureml.elements import checked, mapping, named, unknown
from pipeline.azureml.exceptions import UserErrorException
from pipeline.azureml.yaml_text import dump
from pipeline.manifest.model import Path_

KEYS = ("name", "channels", "dependencies", "prefix", "variables")
_VERSION = re.compile(r"(\d+)\.(\d+)(\.(\d+))?([ab](\d+))?$")


class CondaDependencies:
    """An environment.yml as an object; `as_dict()` is its data, equal to what the SDK keeps."""

    def __init__(self, conda_dependencies_file_path: str | None = None) -> None:
        """The file's content; without one, a Python and azureml-defaults. UserErrorException for a wrong file."""
        if conda_dependencies_file_path is not None:
            document = load(Path(conda_dependencies_file_path), is_yaml=True)
            self._data = read(document.value, document)
            return
        self._data = {
            "name": defaults.ENVIRONMENT_NAME,
            "dependencies": [f"python={defaults.BARE_PYTHON_VERSION}", {"pip": [defaults.AZUREML_DEFAULTS]}],
            "channels": list(defaults.CHANNELS),
        }

    @classmethod
    def from_data(cls, value: Any, document: Document | None = None, path: Path_ = ()) -> CondaDependencies:
        """Of data that stands at `path` of a document. UserErrorException with the place of what is wrong."""
        made = cls()
        made._data = copy.deepcopy(read(value, document or Document("", value), path))
        return made

    @staticmethod
    def create(
        pip_indexurl: str | None = None,
        pip_packages: Iterable[str] | None = None,
        conda_packages: Iterable[str] | None = None,
        python_version: str = defaults.PYTHON_VERSION,
        pin_sdk_version: bool = True,  # noqa: ARG004 - release 1.61.0.post4 pins nothing either
    ) -> CondaDependencies:
        """New dependencies: azureml-defaults unless `pip_packages` says otherwise."""
        made = CondaDependencies()
        index = (pip_indexurl or f"{defaults.PACKAGE_INDEX}/index.html").rstrip("/")
        made.set_pip_option(f"--find-links {pip_indexurl or index}")
        made.set_pip_option(f"--extra-index-url {defaults.PACKAGE_INDEX}")
        made.set_python_version(python_version)
        if pip_packages is not None:
            for package in made.pip_packages:
                made.remove_pip_package(package)
        for package in pip_packages if pip_packages is not None else [defaults.AZUREML_DEFAULTS]:
            made.add_pip_package(package)
        wanted = list(conda_packages or ())
        for package in wanted:
            made.remove_conda_package(package)
        for package in wanted:
            made.add_conda_package(package)
        return made

    @property
    def conda_channels(self) -> Iterator[str]:
        return iter(list(self._data.get("channels") or ()))

    @property
    def conda_packages(self) -> Iterator[str]:
        return iter([item for item in self._packages if isinstance(item, str)])

    @property
    def pip_packages(self) -> Iterator[str]:
        return iter([line for line in self._pip if not line.startswith("-")])

    @property
    def pip_options(self) -> Iterator[str]:
        return iter([line for line in self._pip if line.startswith("-")])

    @property
    def _packages(self) -> list[Any]:
        found: list[Any] = self._data.setdefault("dependencies", [])
        return found

    @property
    def _pip(self) -> list[str]:
        """The list for pip as it is kept; an empty one where there is none."""
        return next((item["pip"] for item in self._packages if isinstance(item, dict)), [])

    def _pip_made(self) -> list[str]:
        if not any(isinstance(item, dict) for item in self._packages):
            self._packages.append({"pip": []})
        return self._pip

    def get_python_version(self) -> str | None:
        """As in python=3.8.13; nothing where no Python, or no one version, is asked for."""
        found = _VERSION.search(self._packages[index]) if (index := self._python()) is not None else None
        return found.group() if found else None

    def set_python_version(self, version: str) -> None:
        index = self._python()
        if index is None:
            self._packages.append(f"python={version}")
        elif self.get_python_version() != version:
            self._packages[index] = f"python={version}"

    def _python(self) -> int | None:
        names = (isinstance(item, str) and package_name(item) == "python" for item in self._packages)
        return next((number for number, is_python in enumerate(names) if is_python), None)

    def add_channel(self, channel: str) -> None:
        channels = self._data.setdefault("channels", [])
        if channel not in channels:
            channels.append(channel)

    def remove_channel(self, channel: str) -> None:
        if channel in (self._data.get("channels") or ()):
            self._data["channels"].remove(channel)

    def add_conda_package(self, conda_package: str) -> None:
        if conda_package in self._packages:
            return
        version = _VERSION.search(conda_package)
        if package_name(conda_package) == "python" and version:
            self.set_python_version(version.group())
        else:
            self._packages.append(conda_package)

    def remove_conda_package(self, conda_package: str) -> None:
        """UserErrorException for Python itself."""
        if conda_package in self._packages:
            if package_name(conda_package) == "python":
                raise UserErrorException("python must not be removed from conda dependencies")
            self._packages.remove(conda_package)

    def add_pip_package(self, pip_package: str) -> None:
        """Adds it at the end; what was there of the same name goes. UserErrorException for an option."""
        self.remove_pip_package(pip_package)
        self._pip_made().append(pip_package)

    def remove_pip_package(self, pip_package: str) -> None:
        if pip_package.startswith("-"):
            raise UserErrorException(f"'{pip_package}' is no package name", remedy="options go to set_pip_option")
        names = [number for number, line in enumerate(self._pip) if package_name(line) == package_name(pip_package)]
        if names:
            del self._pip[names[-1]]

    def set_pip_option(self, pip_option: str) -> None:
        """Adds the option, or replaces the one of its name. UserErrorException for what is no option."""
        _option(pip_option)
        lines = self._pip_made()
        same = [number for number, line in enumerate(lines) if line.split()[:1] == pip_option.split()[:1]]
        for number in same:
            lines[number] = pip_option
        if not same:
            lines.append(pip_option)

    def set_pip_index_url(self, index_url: str) -> None:
        """As in the SDK, an option: `--index-url URL`."""
        self.set_pip_option(index_url)

    def remove_pip_option(self, pip_option: str) -> None:
        _option(pip_option)
        same = [line for line in self._pip if line.split()[:1] == pip_option.split()[:1]]
        if same:
            self._pip.remove(same[-1])

    def set_pip_requirements(self, pip_requirements: Sequence[str]) -> None:
        """Takes these lines in place of all that was there for pip."""
        self._pip_made()[:] = pip_requirements

    def serialize_to_string(self) -> str:
        """The environment.yml."""
        return dump(self._data)

    def as_dict(self) -> dict[str, Any]:
        return copy.deepcopy(self._data)

    def save(self, path: str) -> str:
        """Writes the environment.yml. UserErrorException for a folder, and for an environment without Python."""
        target = Path(path)
        if target.is_dir() or not target.parent.is_dir():
            raise UserErrorException(f"{path} is no place for a file", remedy="name a file in a folder that is there")
        if self._python() is None:
            raise UserErrorException("the environment has no Python", remedy="set_python_version('3.11')")
        target.write_text(self.serialize_to_string(), encoding="utf-8")
        return path

    def save_to_file(self, base_directory: str, conda_file_path: str = "auto_conda_dependencies.yml") -> str:
        """As `save`, below a folder; the path below it."""
        self.save(str(Path(base_directory) / conda_file_path))
        return conda_file_path


def package_name(requirement: str) -> str:
    """`numpy` of `numpy[extra]==1.0`, of `numpy=1.0`, and of a wheel's file name."""
    if requirement.endswith(".whl"):
        return requirement.split("/")[-1].split("-")[0]
    return re.split(r"[\[=|<>~!; ]", requirement)[0].strip()


def _option(text: str) -> None:
    if not text.startswith("-"):
        raise UserErrorException(f"'{text}' is no option of pip", remedy="packages go to add_pip_package")


def read(value: Any, document: Document, path: Path_ = ()) -> dict[str, Any]:
    """The data of an environment.yml, checked. UserErrorException with the place of what is wrong."""
    found = mapping(value, document, path)
    for key, part in found.items():
        if key not in KEYS:
            raise unknown(key, KEYS, document, path)
        if part is not None and key in ("name", "prefix"):
            checked("text", part, document, (*path, key))
        if part is not None and key == "channels":
            checked("texts", part, document, (*path, key))
        if part is not None and key == "variables":
            checked("variables", part, document, (*path, key))
    items = found.get("dependencies") or []
    if not isinstance(items, list):
        raise document.wrong((*path, "dependencies"), f"{named((*path, 'dependencies'))} is not a list", "write [...]")
    for number, item in enumerate(items):
        _check_dependency(item, document, (*path, "dependencies", number))
    return found


def _check_dependency(item: Any, document: Document, path: Path_) -> None:
    if isinstance(item, str):
        return
    if not isinstance(item, dict) or [*item] != ["pip"]:
        remedy = "write name=version, or {pip: [...]}"
        raise document.wrong(path, f"{named(path)} is no package", remedy)
    checked("texts", item["pip"], document, (*path, "pip"))
