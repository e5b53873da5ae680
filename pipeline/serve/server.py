"""The server as a whole: everything of the core in threads, its web in front, from the first line to an orderly end."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from pipeline import __version__
from pipeline.errors import UsageError
from pipeline.serve.actions.rollback import revisions
from pipeline.serve.core import Core
from pipeline.serve.environment import environment
from pipeline.serve.hosts import Receiver
from pipeline.serve.hosts.hooks import Event
from pipeline.serve.metrics import Metrics
from pipeline.serve.model import OPEN, Job, Tracked
from pipeline.serve.settings import Repository, Settings, watched
from pipeline.serve.views import Views
from pipeline.serve.views_images import Images
from pipeline.serve.web.app import app
from pipeline.serve.web.listen import serve
from pipeline.serve.web.parts import Parts, Revision

_FRESH = 30.0
"""Seconds for which it stays known what can be put back."""
_BACKLOG = 512


class Server:
    """To be made in the main thread: `run` handles SIGTERM and SIGINT. `say` gets lines for the operator.

    Raises UsageError where the address cannot be listened at, or the home is in use, and StoreError.
    """

    def __init__(
        self, settings: Settings, environ: Mapping[str, str], say: Callable[[str], None], now: Callable[[], float]
    ) -> None:
        self._socket = _listening(settings.host, settings.port)
        port = self._socket.getsockname()[1]
        scheme = "https" if settings.access.certificate else "http"
        self.address = f"{scheme}://{_shown(settings.host)}:{port}"
        self.settings: Settings = replace(settings, port=port, url=settings.url or self.address)
        self._revisions: dict[tuple[str, str], tuple[float, list[Revision]]] = {}
        try:
            self.core = Core(self.settings, environ, now, say)
        except BaseException:
            self._socket.close()
            raise
        self.metrics = Metrics(self.settings, self.core.database, lambda: self.core.rota.health(), now, _counts)
        self.core.listeners += [self.metrics.heard, self._told, self._changed]
        self.core.outbox.counted = self.metrics.note

    def run(self) -> None:
        """Serves until SIGTERM or Ctrl-C; then ends in order."""
        self._introduce()
        self.core.start()
        # The signals that it had taken are raised again once it has ended.
        with contextlib.suppress(KeyboardInterrupt, SystemExit):
            serve(self.settings, app(self.parts()), self._socket)
        running = [job for job in self.core.queue.open() if job.state == "running"]
        if running:
            self.core.say(f"ends in order: {len(running)} jobs go on after the next start")
        self.core.close()

    def parts(self) -> Parts:
        """What the web is given."""
        core = self.core
        images = Images(core.store)
        return Parts(
            settings=self.settings,
            database=core.database,
            queue=core.queue,
            book=core.book,
            home=core.home,
            key=_key(core.state / "key"),
            views=Views(self.settings, core.book, core.queue, core.logs, images, core.journal, core.now),
            metrics=self.metrics,
            hook=Receiver(core.now),
            pushed=self._pushed,
            halt=core.workers.halt,
            revisions=self.revisions,
            wake=core.rota.wake,
            health=core.rota.health,
            now=core.now,
        )

    # -- what the web asks --------------------------------------------------------------------------------------

    def _pushed(self, repository: str, event: Event) -> None:
        self.core.pushed(repository, event)

    def revisions(self, manifest: Tracked, target: str) -> list[Revision]:
        """What a target can be put back to, the newest first. Raises UsageError, OutOfReach."""
        known = self._revisions.get((manifest.id, target))
        if known and time.monotonic() - known[0] < _FRESH:
            return known[1]
        core = self.core
        commit = core.book.repository(manifest.repository).applied
        if not commit or manifest.repository not in core.gits:
            raise UsageError(f"no commit of {manifest.repository} was applied yet", remedy="wait for the first")
        repository: Repository = self.settings.repositories[manifest.repository]
        with core.gits[manifest.repository].at(commit, manifest.path) as checkout:
            asked = revisions(core.children, environment(core.environ, repository), checkout, manifest.path, target)
        found = [
            Revision(one["revision"], one["image"], tuple(filter(None, one["marks"].split(", ")))) for one in asked
        ]
        self._revisions[manifest.id, target] = (time.monotonic(), found)
        return found

    def _changed(self, job: Job) -> None:
        """What can be put back is another after each job."""
        if job.state not in OPEN:
            for key in [key for key in self._revisions if key[0] == job.manifest.id]:
                self._revisions.pop(key, None)

    # -- what the operator sees ---------------------------------------------------------------------------------

    def _introduce(self) -> None:
        say = self.core.say
        say(f"pipeline {__version__} serves at {self.address}")
        for line in watched(self.settings):
            say(line)
        if self.core.resumed:
            say(f"{len(self.core.resumed)} jobs go on that had not ended")

    def _told(self, job: Job) -> None:
        """A line when a job begins, when it ends, and when it is to be tried again."""
        if job.state in ("approval", "replaced") or (job.state == "waiting" and not job.due):
            return
        what = f"job {job.id}, {job.action} {job.manifest.id}"
        said = job.reason.text if job.state == "running" else job.told.get("text", "")
        self.core.say(f"{what}: {job.state}" + (f": {said}" if said else ""))


def _counts(job: Job) -> Mapping[str, int]:
    return {name: int(job.told[name]) for name in ("made", "hits", "failed", "skipped") if name in job.told}


def _listening(host: str, port: int) -> socket.socket:
    """The socket, so that a port which is taken is known before anything else is done."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(_BACKLOG)
    except OSError as error:
        fact = f"{_shown(host)}:{port} cannot be listened at: {error.strerror or error}"
        raise UsageError(fact, remedy="end what has it, or take another: listen:, or --port") from error
    return made


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _key(path: Path) -> bytes:
    """What signs sessions: made once, and only for this user's eyes."""
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = b""
    if len(key) < 32:
        key = secrets.token_bytes(32)
        made = path.with_suffix(f".{threading.get_ident()}")
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
        made.replace(path)
    return key


__all__ = ["Server"]
