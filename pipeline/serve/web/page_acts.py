"""The dashboard's buttons: forms that do what the API does, and lead to the page where it is to be seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from pipeline.errors import UsageError
from pipeline.serve.acts import Acts, Missing
from pipeline.serve.model import Job
from pipeline.serve.web.answering import parts_of, person_of
from pipeline.serve.web.page_words import path

router = APIRouter(include_in_schema=False)

Form = Mapping[str, str]
_NOTE = 200


@router.post("/acts/{verb}")
def act(request: Request, verb: str) -> Response:
    """One act. The guard has looked at the form's token and at who it is; what the act refuses is told as a page."""
    perform = _VERBS.get(verb)
    if perform is None:
        raise Missing(f"there is nothing called '{verb}' to do")
    where = perform(Acts(parts_of(request)), _form(request.state.body), person_of(request).name)
    return RedirectResponse(where, 303)


def _form(body: bytes) -> Form:
    """The first value of each field; forms of our pages have each once."""
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=50)
    return {name: values[0].strip() for name, values in fields.items()}


def _named(form: Form, name: str) -> str:
    if value := form.get(name, ""):
        return value
    raise UsageError(f"the form has no {name}", remedy="load its page again")


def _number(form: Form) -> int:
    text = _named(form, "job")
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise UsageError("the form's job is no number", remedy="load its page again")
    return int(text)


def _job(job: Job) -> str:
    return f"/jobs/{job.id}"


def _run(acts: Acts, form: Form, who: str) -> str:
    return _job(acts.run(_named(form, "manifest"), who, form.get("note", "")[:_NOTE]))


def _plan(acts: Acts, form: Form, who: str) -> str:
    return _job(acts.plan(_named(form, "manifest"), who, form.get("note", "")[:_NOTE]))


def _rebuild(acts: Acts, form: Form, who: str) -> str:
    return _job(acts.rebuild(_named(form, "manifest"), who, note=form.get("note", "")[:_NOTE]))


def _rollback(acts: Acts, form: Form, who: str) -> str:
    names = _named(form, "manifest"), _named(form, "target"), form.get("revision", "")
    return _job(acts.rollback(*names, who, form.get("note", "")[:_NOTE]))


def _pin(acts: Acts, form: Form, who: str) -> str:
    return _job(acts.pin(_named(form, "manifest"), _named(form, "target"), who, form.get("note", "")[:_NOTE]))


def _lift(acts: Acts, form: Form, who: str) -> str:
    return _job(acts.lift(_named(form, "manifest"), _named(form, "target"), who, form.get("note", "")[:_NOTE]))


def _approve(acts: Acts, form: Form, who: str) -> str:
    return _job(acts.approve(_number(form), who))


def _reject(acts: Acts, form: Form, who: str) -> str:
    return _job(acts.reject(_number(form), who, form.get("note", "")[:_NOTE]))


def _cancel(acts: Acts, form: Form, who: str) -> str:
    return _job(acts.cancel(_number(form), who))


def _accept(acts: Acts, form: Form, who: str) -> str:
    acts.accept(_named(form, "repository"), _named(form, "commit"), who)
    return f"/repositories#{path(form['repository'])}"


def _refresh(acts: Acts, form: Form, who: str) -> str:
    acts.refresh(_named(form, "repository"), who)
    return f"/repositories#{path(form['repository'])}"


_VERBS: Mapping[str, Callable[[Acts, Form, str], str]] = {
    "run": _run,
    "plan": _plan,
    "rebuild": _rebuild,
    "rollback": _rollback,
    "pin": _pin,
    "lift": _lift,
    "approve": _approve,
    "reject": _reject,
    "cancel": _cancel,
    "accept": _accept,
    "refresh": _refresh,
}


__all__ = ["router"]
