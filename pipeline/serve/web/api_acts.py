"""The JSON API, what can be done: jobs are asked for, approved and cancelled, repositories accepted and looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi import Path as InPath
from pydantic import BaseModel, ConfigDict, Field

from pipeline.serve.acts import Acts, Also
from pipeline.serve.model import Job
from pipeline.serve.views_model import JobRow
from pipeline.serve.web.answering import POSTED, Number, Operation, PartsOf, PersonOf, problems
from pipeline.serve.web.once import Once
from pipeline.serve.web.shapes import shape

router = APIRouter(prefix="/api/v1")

_Manifest = Annotated[str, Field(min_length=1, max_length=1000, examples=["models/manifests/prod.yaml"])]
_Target = Annotated[str, Field(min_length=1, max_length=200, examples=["aks"])]
_Note = Annotated[str, Field(max_length=200, description="Why, in words.", examples=["after the incident of Monday"])]
_Revision = Annotated[str, Field(pattern="^[0-9A-Za-z_.-]{0,128}$", examples=["3f9c1d0e2a44"])]


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", title="Asked")
    manifest: _Manifest
    note: _Note = ""


class AskedRun(Asked):
    """`run` is `pipeline run` of the newest commit; `plan` says what a run would do."""

    model_config = ConfigDict(extra="forbid", title="AskedRun")
    action: Literal["run", "plan"]


class AskedRebuild(Asked):
    """Resolves the lock anew, all of it or these bases and layers."""

    model_config = ConfigDict(extra="forbid", title="AskedRebuild")
    action: Literal["rebuild"]
    upgrade: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(default=[], max_length=100)


class AskedRollback(Asked):
    """Puts an earlier release back and pins it: by the beginning of its revision, or the one before the live one."""

    model_config = ConfigDict(extra="forbid", title="AskedRollback")
    action: Literal["rollback"]
    target: _Target
    revision: _Revision = ""


class AskedPin(Asked):
    """`pin` keeps what is live where it is; `lift` lifts the pin: runs roll out again."""

    model_config = ConfigDict(extra="forbid", title="AskedPin")
    action: Literal["pin", "lift"]
    target: _Target


class Rejected(BaseModel):
    model_config = ConfigDict(extra="forbid")
    note: _Note = ""


class Accepted(BaseModel):
    """The commit that is to be applied though it is held back: the one that the repository shows as seen."""

    model_config = ConfigDict(extra="forbid")
    commit: str = Field(pattern="^[0-9a-f]{40}([0-9a-f]{24})?$")


class Position(BaseModel):
    """Where a repository is: its state, the newest commit seen, and the one that is applied."""

    model_config = ConfigDict(extra="forbid")
    name: str
    state: str
    seen: str
    applied: str
    accepted: str


Doing = Callable[[Callable[[Also], Any]], Any]


def doing(
    request: Request,
    parts: PartsOf,
    person: PersonOf,
    idempotency_key: Annotated[
        str, Header(max_length=200, description="Asked again with the same key, it is done once.")
    ] = "",
) -> Doing:
    """Does an act once for its key, and tells what came of it."""
    once = Once(parts.database, parts.now)

    def do(act: Callable[[Also], Any]) -> Any:
        asked = f"{request.url.path}\n{request.state.body.decode('utf-8', 'replace')}"
        return once.do(f"{person.by}:{person.name}", idempotency_key, asked, act, _told)

    return do


DoingOf = Annotated[Doing, Depends(doing)]


def _told(made: Any) -> Any:
    if isinstance(made, Job):
        row = JobRow.of(made)
        return {name: getattr(row, name) for name in row.__dataclass_fields__}
    return {name: getattr(made, name) for name in Position.model_fields}


def acts(path: str, name: str, model: Any, status: int = 200) -> Callable[[Operation], Operation]:
    return router.post(path, operation_id=name, response_model=model, responses=problems(*POSTED), status_code=status)


@acts("/jobs", "addJob", shape(JobRow), 201)
def add(
    parts: PartsOf,
    person: PersonOf,
    do: DoingOf,
    response: Response,
    asked: Annotated[
        AskedRun | AskedRebuild | AskedRollback | AskedPin, Field(discriminator="action", description="What to do.")
    ],
) -> Any:
    """Asks for something to be done for a manifest. It waits for its turn, and replaces what waits already."""
    act, who = Acts(parts), person.name
    match asked:
        case AskedRun(action="run"):
            told = do(lambda also: act.run(asked.manifest, who, asked.note, also))
        case AskedRun():
            told = do(lambda also: act.plan(asked.manifest, who, asked.note, also))
        case AskedRebuild():
            told = do(lambda also: act.rebuild(asked.manifest, who, tuple(asked.upgrade), asked.note, also))
        case AskedRollback():
            told = do(lambda also: act.rollback(asked.manifest, asked.target, asked.revision, who, asked.note, also))
        case AskedPin():
            pin = act.pin if asked.action == "pin" else act.lift
            told = do(lambda also: pin(asked.manifest, asked.target, who, asked.note, also))
    response.headers["Location"] = f"/api/v1/jobs/{told['id']}"
    return told


@acts("/jobs/{number}/approve", "approveJob", shape(JobRow))
def approve(parts: PartsOf, person: PersonOf, do: DoingOf, number: Number) -> Any:
    """Lets a job begin that waits for approval."""
    return do(lambda also: Acts(parts).approve(number, person.name, also))


@acts("/jobs/{number}/reject", "rejectJob", shape(JobRow))
def reject(parts: PartsOf, person: PersonOf, do: DoingOf, number: Number, asked: Rejected | None = None) -> Any:
    """Drops a job that waits for approval."""
    note = asked.note if asked else ""
    return do(lambda also: Acts(parts).reject(number, person.name, note, also))


@acts("/jobs/{number}/cancel", "cancelJob", shape(JobRow))
def cancel(parts: PartsOf, person: PersonOf, do: DoingOf, number: Number) -> Any:
    """Takes a job out of the queue, or ends it where it runs: it is then cancelled a moment later."""
    return do(lambda also: Acts(parts).cancel(number, person.name, also))


_Name = Annotated[str, InPath(max_length=200, description="Its name in the settings.", examples=["models"])]


@acts("/repositories/{name}/accept", "acceptCommit", Position)
def accept(parts: PartsOf, person: PersonOf, do: DoingOf, name: _Name, asked: Accepted) -> Any:
    """Applies a commit that is held back (diverged, unsigned, held): this one, and none after it."""
    return do(lambda also: Acts(parts).accept(name, asked.commit, person.name, also))


@acts("/repositories/{name}/refresh", "refreshRepository", Position)
def refresh(parts: PartsOf, person: PersonOf, do: DoingOf, name: _Name) -> Any:
    """Looks at a repository now, not when its turn comes."""
    return do(lambda also: Acts(parts).refresh(name, person.name, also))


__all__ = ["router"]
