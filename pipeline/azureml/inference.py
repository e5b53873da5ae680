"""`InferenceConfig`: entry script, source folder and environment; read from and written to inferenceconfig.json."""

from __future__ import annotations

import ast
import json
import keyword
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.azureml import defaults
from pipeline.azureml import inference_older as older
from pipeline.azureml.conda_dependencies import CondaDependencies, package_name
from pipeline.azureml.document import Document, load
from pipeline.azureml.elements import checked, mapping, unknown
from pipeline.azureml.environment import Environment, check
from pipeline.azureml.exceptions import UserErrorException, WebserviceException
from pipeline.azureml.inference_older import Older, environment_of
from pipeline.errors import Location

KEYS = ("entryScript", "sourceDirectory", "environment", "description")
SERVERS = (defaults.AZUREML_DEFAULTS, "azureml-inference-server-http")
"""Distributions that bring the inference server."""

Find = Callable[[str, str], Environment]
"""The environment of this name and version (empty: the newest); raises UserErrorException where there is none."""


class InferenceConfig:
    """How models are served: a script with init() and run(), in the environment given.

    `source_directory` is kept as a real path, and the script is relative to it; else to the current folder.
    """

    def __init__(
        self,
        entry_script: str,
        environment: Environment | None = None,
        source_directory: str | None = None,
        description: str | None = None,
        **before: Any,
    ) -> None:
        """WebserviceException, UserErrorException: as `validate_configuration`.

        `before` are the arguments that stood in an environment's place once: runtime, conda_file,
        extra_docker_file_steps, enable_gpu, base_image, base_image_registry, cuda_version.
        """
        if strange := [name for name in before if name not in older.KEYS.values()]:
            raise TypeError(f"InferenceConfig() has no argument {', '.join(strange)}")
        said = Older(**before)
        if said.given:
            if environment is not None:
                fact = f"{', '.join(said.given)} cannot be given along with an environment"
                raise WebserviceException(fact, remedy="say it in the environment")
            environment = environment_of(said, source_directory, server_flaw)
        self.entry_script = entry_script
        self.environment = environment
        self.source_directory = os.path.realpath(source_directory) if source_directory else None
        self.description = description
        self.validate_configuration()

    @property
    def script(self) -> Path:
        """Where the entry script is."""
        return Path(self.source_directory or ".", self.entry_script)

    def validate_configuration(self) -> None:
        """WebserviceException for a script or folder that is not there or cannot be imported by its name, and for an
        environment that cannot serve; UserErrorException for a script that is not Python.
        """
        if not self.entry_script:
            raise WebserviceException("the entry script is missing", remedy="give entry_script='score.py'")
        if self.source_directory and not Path(self.source_directory).is_dir():
            raise WebserviceException(f"the source directory {self.source_directory} is not there")
        check_script(self.script, self.entry_script, inside=self.source_directory)
        if self.environment is not None:
            check(self.environment, Document("", None))
            if flaw := server_flaw(self.environment):
                raise WebserviceException(flaw, remedy=ADD_SERVER)

    def to_json(self) -> dict[str, Any]:
        """As inferenceconfig.json has it; the source directory relative to the current folder, where it is below."""
        found: dict[str, Any] = {"entryScript": self.entry_script}
        if self.source_directory:
            near = os.path.relpath(self.source_directory)
            found["sourceDirectory"] = self.source_directory if near.startswith("..") else near
        if self.description:
            found["description"] = self.description
        if self.environment is not None:
            found["environment"] = self.environment.to_json()
        return found

    def to_file(self, path: str | Path) -> None:
        """Writes inferenceconfig.json."""
        Path(path).write_text(json.dumps(self.to_json(), indent=4) + "\n", encoding="utf-8")

    def __repr__(self) -> str:
        return f"InferenceConfig(entry_script={self.entry_script!r}, source_directory={self.source_directory!r})"


ADD_SERVER = f"add {defaults.AZUREML_DEFAULTS}>={defaults.AZUREML_DEFAULTS_SINCE} to its pip packages"


def check_script(path: Path, shown: str, *, inside: str | None = None) -> None:
    """WebserviceException, or UserErrorException with the line of a syntax error."""
    if not path.exists():
        where = f"below {inside}" if inside else "relative to the current folder"
        raise WebserviceException(f"there is no entry script {shown}", remedy=f"it is looked for {where}")
    if path.suffix != ".py":
        raise WebserviceException(
            f"the entry script {shown} is not Python", remedy="give a file whose name ends in .py"
        )
    name = path.stem
    if not name.isidentifier() or keyword.iskeyword(name):
        what = "a word of Python's own" if keyword.iskeyword(name) else "no name that Python can import"
        raise WebserviceException(f"the entry script's name, '{name}', is {what}", remedy="rename it, as in score.py")
    try:
        ast.parse(path.read_bytes(), shown)
    except SyntaxError as error:
        place = Location(shown, error.lineno or 0, error.offset or 0)
        remedy = (error.text or "").strip()[:100]
        raise UserErrorException(f"the entry script is not Python: {error.msg}", remedy=remedy, place=place) from None
    except ValueError as error:
        raise UserErrorException(f"the entry script {shown} is not Python: {error}") from None
    except OSError as error:
        raise UserErrorException(f"the entry script {shown} cannot be read: {error.strerror}") from None


def server_flaw(environment: Environment) -> str:
    """What keeps the inference server out of an environment's packages, or nothing (or what only the image knows)."""
    conda, python = environment.python.conda_dependencies, environment.python
    if conda is None or python.user_managed_dependencies or environment.inferencing_stack_version:
        return ""
    lines = [line for line in (*conda.pip_packages, *conda.conda_packages) if _name(line) in SERVERS]
    if not lines:
        return f"the environment has no {defaults.AZUREML_DEFAULTS}, which brings the inference server"
    old = next((line for line in lines if _name(line) == SERVERS[0] and _is_older(line)), "")
    since = defaults.AZUREML_DEFAULTS_SINCE
    return f"the environment asks for {old}, and the inference server came with {since}" if old else ""


def _name(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", package_name(requirement.split("::")[-1])).lower()


def _is_older(requirement: str) -> bool:
    """Whether only releases before 1.0.45 fit; ranges that reach it are fine."""
    found = re.search(r"(?<![!<>])(===?|=|~=|<=?)\s*([0-9][0-9.]*)", requirement)
    if not found:
        return False
    wanted, since = (
        tuple(int(part) for part in text.rstrip(".").split(".") if part)
        for text in (found[2], defaults.AZUREML_DEFAULTS_SINCE)
    )
    if found[1] == "~=":
        # ~=1.0.2 reaches all of 1.0; ~=1.0 all of 1.
        return (*wanted[:-1],) < since[: len(wanted) - 1]
    return wanted <= since if found[1] == "<" else wanted < since


def read_inference(path: str | Path, find: Find | None = None, folder: Path | None = None) -> InferenceConfig:
    """The configuration in a file, JSON or YAML. UserErrorException with the place and key of what is wrong, and as
    `InferenceConfig` otherwise.

    `find` gives an environment that the file only names; paths are relative to `folder`, by default the current one, as
    the SDK has it.
    """
    return from_document(load(Path(path)), find, folder)


def from_document(document: Document, find: Find | None = None, folder: Path | None = None) -> InferenceConfig:
    """As `read_inference`, of data."""
    value = mapping(document.value, document, ())
    for key in value:
        if key not in KEYS and key not in older.KEYS:
            raise unknown(key, KEYS, document, ())
    texts = {
        key: checked("text", value[key], document, (key,)) for key in KEYS if key != "environment" and value.get(key)
    }
    if "entryScript" not in texts:
        raise document.wrong((), "entryScript is missing", 'add the script with init() and run(): "score.py"')
    environment = _environment(value.get("environment"), document, find)
    said = older.read(value, document)
    if environment is not None and (flaw := server_flaw(environment)):
        raise document.wrong(_packages(environment), flaw, ADD_SERVER)
    script, source = texts["entryScript"], texts.get("sourceDirectory")
    if folder is not None:
        source = str(folder / source) if source else None
        script = script if source else str(folder / script)
        said = said if source else older.below(said, folder)
    try:
        more = {name: getattr(said, name) for name in said.given}
        return InferenceConfig(script, environment, source, texts.get("description"), **more)
    except WebserviceException as error:
        at = _blamed(error.message, said)
        raise document.wrong(at, error.message, error.remedy) from None


def _blamed(message: str, said: Older) -> tuple[str, ...]:
    """The key that an error is about."""
    words = {"source directory": "sourceDirectory", "the runtime": "runtime", "CUDA": "cudaVersion"}
    if "along with an environment" in message:
        return (next(key for key, name in older.KEYS.items() if name in said.given),)
    return (next((key for word, key in words.items() if word in message), "entryScript"),)


def _packages(environment: Environment) -> tuple[str | int, ...]:
    """Where the pip packages of an inline environment stand."""
    conda = environment.python.conda_dependencies
    path: tuple[str | int, ...] = ("environment", "python", "condaDependencies", "dependencies")
    items = conda.as_dict().get("dependencies") or [] if isinstance(conda, CondaDependencies) else []
    number = next((number for number, item in enumerate(items) if isinstance(item, dict)), None)
    return path if number is None else (*path, number, "pip")


def _environment(value: Any, document: Document, find: Find | None) -> Environment | None:
    """An environment written out, or one that is only named, by the text or by name and version alone."""
    if value is None:
        return None
    at = ("environment",)
    if isinstance(value, str):
        value = {"name": value}
    found = mapping(value, document, at)
    if not {*found} <= {"name", "version"}:
        return Environment.from_json(found, document, at)
    name = checked("text", found.get("name") or "", document, (*at, "name"))
    if find is None or not name:
        message = f"the environment {name} is only named" if name else "the environment is empty"
        raise document.wrong(at, message, "write it out here: docker, python and the rest")
    return find(name, str(found.get("version") or ""))
