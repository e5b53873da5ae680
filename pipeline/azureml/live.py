"""Talks to a deployed service: finds its target by its manifest, waits for it, asks it, ends it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.azureml.exceptions import WebserviceException, told_as
from pipeline.errors import PipelineError
from pipeline.manifest.secrets import reveal
from pipeline.noun import noun

if TYPE_CHECKING:
    from pipeline.stages.verified import VerifiedFiles
    from pipeline.targets.model import Target
    from pipeline.targets.remote import Endpoint, Send

_VARIABLE = re.compile(r"\$\{env:(\w+)\}")
_UNSET = "unset.invalid"
"""Stands for a variable that is not set: a password or a registry, which looking at a service does not need."""
_PAUSE = 0.2
_TIMEOUT = 300.0
"""Seconds that a scoring request may take, as the SDK has it."""


@noun
class Live:
    """Where a service runs, its name on this machine, and what remembers the release to go back to."""

    target: Target
    service: str
    verified: VerifiedFiles


def open_live(manifest: Path, environ: Mapping[str, str]) -> Live:
    """The one target of a service's manifest. Raises WebserviceException where that cannot be read."""
    from pipeline.run import open_bench
    from pipeline.stages.release import service_name, target_of
    from pipeline.stages.verified import VerifiedFiles

    try:
        named = _VARIABLE.findall(manifest.read_text(encoding="utf-8"))
        bench = open_bench(manifest, {**dict.fromkeys(named, _UNSET), **environ}, {})
        entry = next(iter(bench.manifest.targets.values()))
        return Live(target_of(bench, entry), service_name(bench, entry), VerifiedFiles(bench.home.state / "verified"))
    except PipelineError as error:
        raise told_as(WebserviceException, error) from error
    except OSError as error:
        raise WebserviceException(f"{manifest}: {error.strerror}", remedy="deploy the service again") from error


def forget(live: Live) -> None:
    """Ends a service and leaves nothing of it where it ran."""
    remove: Callable[[], object] = getattr(live.target, "remove", live.target.stop)
    remove()
    live.verified.forget(live.service)


def wait(
    busy: Callable[[], bool],
    most: float | None,
    name: str,
    *,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], object] = time.sleep,
) -> None:
    """Returns once `busy` says no. Raises WebserviceException after `most` seconds; None is for ever."""
    until = None if most is None else clock() + float(most)
    while busy():
        if until is not None and clock() >= until:
            remedy = "ask for its state, or wait again"
            raise WebserviceException(f"{name} is still being deployed after {most:g} s", remedy=remedy)
        pause(_PAUSE)


def endpoint(live: Live) -> Endpoint | None:
    """Where a service scores; None where none is to be found."""
    from pipeline.stages.scoring import endpoint_of

    seen = live.target.observe()
    return endpoint_of(live.target, seen) if seen.address else None


def ask(where: Endpoint, body: bytes, send: Send | None = None) -> Any:
    """POSTs a scoring request; the answer as Python has it. Raises WebserviceException with the service's words."""
    from pipeline.stages.scoring import post_json

    headers = {"Content-Type": "application/json", **{name: reveal(text) for name, text in where.headers.items()}}
    try:
        answer = (send or where.send or post_json)(where.url, body, headers, _TIMEOUT)
    except OSError as error:
        raise WebserviceException(f"POST {where.url} got no answer: {error}", remedy="see get_logs()") from error
    text = answer.body.decode(errors="replace")
    if answer.status != 200:
        wrong = WebserviceException(f"POST {where.url} was answered with {answer.status}", remedy="see get_logs()")
        wrong.log = tuple(text[:2000].splitlines())
        raise wrong
    try:
        return json.loads(text)
    except ValueError:
        return text
