"""The JSON API, what there is to see: manifests, jobs, runs, images, repositories, and what is live."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi import Path as InPath
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import PlainTextResponse

from pipeline.serve.model import Live, Tracked
from pipeline.serve.views_model import (
    ImageRow,
    ImageView,
    JobsPage,
    JobView,
    LogPage,
    ManifestsPage,
    ManifestView,
    RepositoryView,
    RunView,
    Standing,
)
from pipeline.serve.web.answering import (
    Before,
    Manifest,
    Most,
    Number,
    Offset,
    Operation,
    PartsOf,
    PersonOf,
    Step,
    problems,
    there,
)
from pipeline.serve.web.parts import Revision
from pipeline.serve.web.shapes import listed, shape

router = APIRouter(prefix="/api/v1")


class Me(BaseModel):
    """Who asks: a name, what they may do, and what their forms and changes have to carry (X-CSRF-Token)."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(examples=["ada"])
    role: str = Field(examples=["act"])
    by: str = Field(description="How that is known: token, session, proxy, or open where nobody has to sign in.")
    csrf: str = Field(description="For browsers; who sends a bearer token needs none.")


class Seen(BaseModel):
    """A target as it was seen last; times are Unix times in seconds."""

    model_config = ConfigDict(extra="forbid")
    manifest: str = Field(examples=["models/manifests/prod.yaml"])
    target: str
    seen: float
    state: str = Field(examples=["running"])
    revision: str
    image: str = Field(description="Its digest.")
    address: str
    since: str
    detail: str
    drift: list[str] = Field(description="What others changed of it.")
    pinned: str = Field(description="The revision that it is pinned to; empty for none.")

    @staticmethod
    def of(one: Live) -> Seen:
        values = {name: getattr(one, name) for name in one.__dataclass_fields__ if name not in ("manifest", "drift")}
        return Seen(manifest=one.manifest.id, drift=list(one.drift), **values)


class Act(BaseModel):
    """An act of a person: when (Unix time), who, and what."""

    model_config = ConfigDict(extra="forbid")
    at: float
    who: str
    what: str = Field(examples=["run models/manifests/prod.yaml (job 12)"])


def looks(path: str, name: str, model: Any, *statuses: int) -> Callable[[Operation], Operation]:
    """An operation that only looks."""
    return router.get(path, operation_id=name, response_model=model, responses=problems(*statuses))


@looks("/me", "whoAmI", Me)
def who_am_i(person: PersonOf, request: Request) -> Me:
    """Who asks, and what they may do."""
    csrf = request.app.state.sessions.csrf(person) if person.by != "token" else ""
    return Me(name=person.name, role=person.role, by=person.by, csrf=csrf)


class Duty(BaseModel):
    """What the server does again and again: whether it did well last, when that was (Unix time), what went wrong."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)
    name: str = Field(examples=["watch models"])
    ok: bool
    at: float
    error: str


@looks("/health", "getHealth", list[Duty])
def health(parts: PartsOf) -> Any:
    """How each of the server's duties is, and what went wrong last."""
    return list(parts.health())


@looks("/manifests", "listManifests", shape(ManifestsPage))
def manifests(
    parts: PartsOf,
    repository: Annotated[str, Query(max_length=200, description="Only of this repository (its name).")] = "",
    find: Annotated[str, Query(max_length=200, description="Only whose id, name or address has this text.")] = "",
    state: Annotated[Standing | None, Query(description="Only of this standing.")] = None,
    skip: Annotated[int, Query(ge=0, lt=1 << 31, description="How many to leave out at the beginning.")] = 0,
    most: Most = 200,
) -> Any:
    """The manifests: trouble first, then by their ids."""
    return parts.views.manifests(repository, find, state or "", skip, most)


@looks("/manifests/{id:path}", "getManifest", shape(ManifestView), 404)
def manifest(
    parts: PartsOf,
    id: Annotated[str, InPath(description="Repository and path.", examples=["models/manifests/prod.yaml"])],
) -> Any:
    """One manifest: what is live of it, its jobs, its repository and its images."""
    return there(parts.views.manifest(id), f"manifest '{id}'")


@looks("/jobs", "listJobs", shape(JobsPage))
def jobs(parts: PartsOf, before: Before = None, most: Most = 50, manifest: Manifest = "") -> Any:
    """Jobs, the newest first."""
    return parts.views.jobs(before, most, manifest)


@looks("/waiting", "listWaiting", listed(JobView))
def waiting(parts: PartsOf) -> Any:
    """What waits for approval, with what it would do and what would move in the lock; the oldest first."""
    return list(parts.views.waiting())


@looks("/jobs/{number}", "getJob", shape(JobView), 404)
def job(parts: PartsOf, number: Number) -> Any:
    """One job, with its run: the graph's steps, their times, and why."""
    return there(parts.views.job(number), f"job {number}")


@looks("/jobs/{number}/log", "getJobLog", shape(LogPage), 404)
def log(parts: PartsOf, number: Number, step: Step = "", offset: Offset = 0, most: Most = 500) -> Any:
    """Lines of a job's log, from a place on."""
    there(parts.queue.job(number), f"job {number}")
    return parts.views.log(number, step, offset, most)


@router.get(
    "/jobs/{number}/text",
    operation_id="getJobText",
    response_class=PlainTextResponse,
    responses={200: {"description": "The lines.", "content": {"text/plain": {}}}, **problems(404)},
)
def text(parts: PartsOf, number: Number, step: Step = "", most: Most = 500) -> PlainTextResponse:
    """The end of a job's log as plain text."""
    there(parts.queue.job(number), f"job {number}")
    lines = parts.views.log(number, step, -1, most).lines
    return PlainTextResponse("".join(f"{line.text}\n" for line in lines))


@looks("/runs", "listRuns", listed(RunView))
def runs(parts: PartsOf, most: Most = 50, manifest: Manifest = "") -> Any:
    """Runs of this machine's journal, those by hand, too, without their steps; the newest first."""
    return list(parts.views.runs(most, manifest))


@looks("/runs/{number}", "getRun", shape(RunView), 404)
def run(parts: PartsOf, number: Number) -> Any:
    """A run of the journal with its steps."""
    return there(parts.views.run(number), f"run {number}")


@looks("/runs/{number}/log", "getRunLog", shape(LogPage), 404)
def run_log(parts: PartsOf, number: Number, step: Step = "", most: Most = 500) -> Any:
    """The end of what a run said."""
    there(parts.views.run(number), f"run {number}")
    return parts.views.run_log(number, step, most)


@looks("/images", "listImages", listed(ImageRow))
def images(parts: PartsOf) -> Any:
    """The images of this machine's store."""
    return list(parts.views.images())


@looks("/images/{reference:path}", "getImage", shape(ImageView), 404)
def image(
    parts: PartsOf,
    reference: Annotated[str, InPath(description="MANIFEST/IMAGE, or a digest.", examples=["diabetes/scoring"])],
    platform: Annotated[str, Query(max_length=100, examples=["linux/amd64"])] = "",
) -> Any:
    """An image's layers, with their sizes and with whom they are shared."""
    return there(parts.views.image(reference, platform), f"image '{reference}'")


@looks("/repositories", "listRepositories", listed(RepositoryView))
def repositories(parts: PartsOf) -> Any:
    """The watched repositories, and how they are."""
    return list(parts.views.repositories())


@looks("/live", "listLive", list[Seen])
def live(parts: PartsOf, manifest: Manifest = "") -> list[Seen]:
    """What is live, of one manifest or of all."""
    return [Seen.of(one) for one in parts.book.live(Tracked.of(manifest) if manifest else None)]


@looks("/revisions", "listRevisions", listed(Revision), 404)
def revisions(
    parts: PartsOf,
    manifest: Annotated[str, Query(max_length=1000, examples=["models/manifests/prod.yaml"])],
    target: Annotated[str, Query(max_length=200, examples=["aks"])],
) -> Any:
    """The releases that a target can be put back to, the newest first."""
    tracked = Tracked.of(manifest)
    there(parts.book.entry(tracked), f"manifest '{manifest}'")
    # Each name that is asked for costs a command.
    known = {one.target for one in parts.book.live(tracked)}
    there(target if target in known else None, f"target '{target}' of {manifest}")
    return list(parts.revisions(tracked, target))


@looks("/audit", "listActs", list[Act])
def audit(parts: PartsOf, most: Most = 100) -> list[Act]:
    """What people did by hand, the newest first."""
    return [Act(at=at, who=who, what=what) for at, who, what in parts.book.audited(most)]


__all__ = ["router"]
