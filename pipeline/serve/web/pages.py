"""The dashboard's pages: manifests, jobs, runs, what waits, images and repositories.

Scripts add what is live: without them every page can be read, and every button works.
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response

from pipeline.serve import drawing
from pipeline.serve.acts import Missing
from pipeline.serve.drawing_layers import blocks
from pipeline.serve.model import OPEN, Tracked
from pipeline.serve.views import readable
from pipeline.serve.views_log import PAGE
from pipeline.serve.views_model import STANDINGS, JobView, RunView
from pipeline.serve.web.answering import Before, Number, Offset, parts_of, there
from pipeline.serve.web.events import stamp
from pipeline.serve.web.page_words import clock
from pipeline.serve.web.rendering import STATIC, render


def _note(request: Request) -> None:
    """How things are before a page is made of them: what changes until it listens is then not missed."""
    request.state.stamp = stamp(parts_of(request).views.pulse())


router = APIRouter(include_in_schema=False)
_live = APIRouter(dependencies=[Depends(_note)])
_PAGE = 60
"""Manifests of one page of the overview."""
_OPEN = 60
"""Jobs under way and waiting that one page has at most."""
_TAIL = 400
"""Lines of a log that a page holds from the start."""
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
Text = Annotated[str, Query(max_length=500)]
Skip = Annotated[int, Query(ge=0, lt=1 << 40)]


# -- manifests --------------------------------------------------------------------------------------------------------


@_live.get("/")
def overview(request: Request, q: Text = "", repository: Text = "", state: Text = "", skip: Skip = 0) -> Response:
    views = parts_of(request).views
    state = state if state in STANDINGS else ""
    page = views.manifests(repository, q.strip(), state, skip, _PAGE)
    asked: dict[str, Any] = {"q": q.strip(), "repository": repository, "state": state}
    return render(
        request,
        "overview.html",
        page=page,
        every=sum(page.counts.values()),
        standings=[(one, page.counts[one]) for one in STANDINGS if page.counts.get(one)],
        repositories=views.repositories(),
        to=lambda **other: "/?" + urlencode({name: value for name, value in {**asked, **other}.items() if value}),
        size=_PAGE,
        **asked,
    )


@_live.get("/manifests/{id_:path}")
def manifest(request: Request, id_: str) -> Response:
    found = there(parts_of(request).views.manifest(id_), f"manifest '{id_}'")
    return render(request, "manifest.html", one=found, row=found.row)


@_live.get("/rollback")
def rollback(request: Request, manifest: Text, target: Text) -> Response:
    """What a target can be put back to. It asks the target, which may take a moment."""
    parts = parts_of(request)
    row = there(parts.views.manifest(manifest), f"manifest '{manifest}'").row
    live = next((one for one in row.targets if one.target == target), None)
    if live is None:
        raise Missing(f"{manifest} has no target '{target}'", remedy="it may have been renamed; look at the manifest")
    revisions = parts.revisions(Tracked.of(manifest), target)
    makers = parts.views.makers(manifest)
    return render(request, "rollback.html", row=row, live=live, revisions=revisions, makers=makers)


# -- jobs and runs ----------------------------------------------------------------------------------------------------


@_live.get("/jobs")
def jobs(request: Request, manifest: Text = "", before: Before = None) -> Response:
    views = parts_of(request).views
    opened = [row for row in views.open_jobs() if manifest in ("", row.manifest)] if before is None else []
    return render(
        request,
        "jobs.html",
        page=views.jobs(before, 50, manifest),
        opened=opened[:_OPEN],
        further=max(0, len(opened) - _OPEN),
        manifest=manifest,
    )


@_live.get("/jobs/{id_}")
def job(request: Request, id_: Number, step: Text = "") -> Response:
    parts = parts_of(request)
    found: JobView = there(parts.views.job(id_), f"job {id_}")
    log = parts.views.log(id_, step, -1, _TAIL)
    return render(
        request,
        "job.html",
        job=found,
        row=found.row,
        log=log,
        step=step,
        is_open=found.row.state in OPEN,
        beside=_beside(found),
        **_pictures(found.run, parts.now()),
    )


def _beside(job: JobView) -> str:
    """What a running job is at, for those who hear it."""
    steps = job.run.steps if job.run else ()
    counts = drawing.counted(steps)
    done = counts.get("made", 0) + counts.get("hit", 0)
    busy = ", ".join(step.id for step in steps if step.state == "running")
    return f"{done} of {sum(counts.values())} steps done" + (f"; now {busy}" if busy else "") if counts else ""


def _pictures(run: RunView | None, now: float) -> dict[str, Any]:
    steps = run.steps if run else ()
    begun, whole = drawing.stretch(steps, run.started, run.ended or now) if run else (0.0, 0.0)
    return {
        "run": run,
        "picture": drawing.graph(steps) if run else None,
        "bars": drawing.bars(steps, run.started, run.ended or now) if run else (),
        "begun": begun,
        "whole": whole,
        "rest": [step for step in steps if step.kind and not step.started],
        "counts": drawing.counted(steps),
    }


@router.get("/jobs/{id_}/lines")
def lines(request: Request, id_: Number, offset: Offset = 0, step: Text = "") -> Response:
    """Lines of a job's log for the page's script: [time, step, about, text]."""
    views = parts_of(request).views
    page = views.log(id_, step, offset, PAGE if offset >= 0 else _TAIL)
    rows = [[line.at, line.step, line.about, line.text] for line in page.lines]
    return JSONResponse({"lines": rows, "next": page.next, "more": page.more})


@router.get("/jobs/{id_}/log")
def log(request: Request, id_: Number, step: Text = "") -> Response:
    """All of a job's log as text, in the times of UTC."""
    views = parts_of(request).views
    there(views.job(id_), f"job {id_}")
    return PlainTextResponse(
        _texts(views, id_, step), headers={"Content-Disposition": f"inline; filename=job-{id_}.log"}
    )


def _texts(views: Any, id_: int, step: str) -> str:
    texts, offset = [], 0
    while True:
        page = views.log(id_, step, offset)
        texts += [f"{clock(line.at):8}  {line.step:24}  {line.text}\n" for line in page.lines]
        offset = page.next
        if not page.more or len(texts) > 100_000:
            return "".join(texts)


@_live.get("/runs")
def runs(request: Request, manifest: Text = "") -> Response:
    found, unread = readable(lambda: parts_of(request).views.runs(100, manifest))
    return render(request, "runs.html", runs=found, unread=unread, manifest=manifest)


@_live.get("/runs/{id_}")
def run(request: Request, id_: Number) -> Response:
    parts = parts_of(request)
    found: RunView = there(parts.views.run(id_), f"run {id_}")
    log = parts.views.run_log(id_, "", _TAIL)
    return render(request, "run.html", log=log, **_pictures(found, parts.now()))


@_live.get("/waiting")
def waiting(request: Request) -> Response:
    return render(request, "waiting.html", jobs=parts_of(request).views.waiting())


# -- images and repositories ------------------------------------------------------------------------------------------


@_live.get("/images")
def images(request: Request) -> Response:
    found, unread = readable(parts_of(request).views.images)
    return render(request, "images.html", images=found, unread=unread)


@_live.get("/images/{reference:path}")
def image(request: Request, reference: str, platform: Text = "") -> Response:
    found = there(parts_of(request).views.image(reference, platform), f"image '{reference}' in the store")
    return render(request, "image.html", image=found, blocks=blocks(found.layers))


@_live.get("/repositories")
def repositories(request: Request) -> Response:
    return render(request, "repositories.html", repositories=parts_of(request).views.repositories())


# -- static files -----------------------------------------------------------------------------------------------------


@router.get("/static/{stamp}/{name}")
def static(name: str) -> Response:
    """A file of the folder, by its plain name. The stamp changes with the files, so that they may be kept for long."""
    file = STATIC / name
    if file.parent != STATIC or file.suffix not in _TYPES or not file.is_file():
        raise Missing(f"there is no file '{name}'")
    kept = "public, max-age=31536000, immutable"
    return FileResponse(file, media_type=_TYPES[file.suffix], headers={"Cache-Control": kept})


@router.get("/sign-in")
def sign_in(request: Request, next: Text = "/", wrong: Text = "") -> Response:
    access = parts_of(request).settings.access
    return render(
        request, "sign_in.html", next=next, wrong=wrong, tokens=bool(access.tokens), oidc=access.oidc is not None
    )


@router.get("/favicon.ico")
def favicon() -> Response:
    return FileResponse(STATIC / "icon.svg", media_type="image/svg+xml")


router.include_router(_live)

__all__ = ["router"]
