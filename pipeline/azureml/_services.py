"""The services of a workspace: each a folder with its manifest, its lock, and the files that they name.

NAME/pipeline.yaml          what is deployed; `pipeline run` on it does the same
NAME/inferenceconfig.json   and deploymentconfig.json: what it was made from
NAME/parts/HASH/            the code and the models of a deployment, as they were then, by what is in them
NAME/service.json           what is known of it
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, field
from pathlib import Path

from pipeline.azureml import _versions
from pipeline.azureml.exceptions import WebserviceException
from pipeline.errors import PipelineError, StoreError
from pipeline.noun import noun
from pipeline.store.scratch import Scratch, writing

MANIFEST = "pipeline.yaml"
_FACTS, _PARTS, _LOCK = "service.json", "parts", "lock"


@noun
class Failure:
    """Why the last deployment failed; `log` is the end of the service's output."""

    message: str
    remedy: str = ""
    log: Sequence[str] = ()

    @staticmethod
    def of(error: PipelineError) -> Failure:
        return Failure(error.message, error.remedy, tuple(error.log))

    def error(self) -> WebserviceException:
        made = WebserviceException(self.message, remedy=self.remedy)
        made.log, made.exit_code = tuple(self.log), 5
        return made


@noun
class Record:
    """What is known of a service. `compute_type` is the SDK's: Local, ACI or AKS; `configured` the inferenceconfig.json
    that it was deployed from, where there was one; `process` is at its deployment now;
    `came_up` says whether it ever served. Times are in seconds since 1970.
    """

    name: str
    compute_type: str
    models: Sequence[str] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    configured: str = ""
    created: float = 0.0
    updated: float = 0.0
    process: str = ""
    failure: Failure | None = None
    came_up: bool = False

    @property
    def is_deploying(self) -> bool:
        """Whether the process that deploys it is alive; one that was killed deploys nothing."""
        from pipeline.engine import owner

        try:
            return bool(self.process) and not owner.is_gone(self.process)
        except OSError:
            return False


class Services:
    """Finds and keeps the services below `folder`."""

    def __init__(self, folder: Path, scratch: Scratch) -> None:
        self._folder = folder
        self._scratch = scratch

    def place(self, name: str) -> Path:
        return self._folder / name

    def find(self, name: str) -> Record | None:
        """What is known of a service; None where there is none of this name."""
        facts = _versions.read_json(self.place(name) / _FACTS)
        if facts is None:
            return None
        try:
            failure = facts.pop("failure", None)
            return Record(**facts, failure=Failure(**failure) if failure else None)
        except TypeError as error:
            place = self.place(name) / _FACTS
            raise StoreError(f"{place} is damaged: {error}", remedy="delete the service's folder") from error

    def names(self) -> list[str]:
        if not self._folder.is_dir():
            return []
        return sorted(name for name in os.listdir(self._folder) if (self.place(name) / _FACTS).is_file())

    def keep(self, record: Record) -> None:
        _versions.write_json(self.place(record.name) / _FACTS, asdict(record), self._scratch)

    @contextlib.contextmanager
    def guard(self, name: str, *, wait: bool = False) -> Iterator[None]:
        """One deployment of a service at a time. Raises WebserviceException while another process is at it, or waits
        for that.
        """
        place = self.place(name)
        with writing(place):
            place.mkdir(parents=True, exist_ok=True)
            lock = (place / _LOCK).open("w")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except OSError:
                remedy = "wait until it is done"
                raise WebserviceException(f"{name} is being deployed by another process", remedy=remedy) from None
            yield

    def publish_part(self, name: str, staged: Path, content: str) -> Path:
        """Makes a folder with code and models a part of a service; one with the same `content` stays where it is, so
        that the same deployment makes the same image.
        """
        part = self.place(name) / _PARTS / content
        with writing(part):
            part.parent.mkdir(parents=True, exist_ok=True)
            if part.exists():
                shutil.rmtree(staged)
            else:
                staged.rename(part)
        return part

    def tidy(self, name: str, keep: Path) -> None:
        """Removes the parts of deployments before."""
        for part in (self.place(name) / _PARTS).iterdir():
            if part != keep:
                shutil.rmtree(part, ignore_errors=True)

    def write(self, name: str, file: str, text: str) -> Path:
        """Puts a text in place of whatever is there, at once."""
        place, staging = self.place(name) / file, self._scratch.path("text")
        with writing(place):
            staging.write_text(text, encoding="utf-8")
            staging.replace(place)
        return place

    def forget(self, name: str) -> None:
        """Removes a service's folder. What names it goes first, so that no half of it is ever found."""
        with writing(self.place(name)):
            (self.place(name) / _FACTS).unlink(missing_ok=True)
        shutil.rmtree(self.place(name), ignore_errors=True)


def own_process() -> str:
    """This process, as `Record.process` has it."""
    from pipeline.engine import owner

    try:
        return owner.own()
    except OSError:
        return ""


def now() -> float:
    return time.time()
