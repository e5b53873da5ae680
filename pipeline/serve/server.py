"""The server as a whole: everything of the core in threads, its web in front, from the first line to an orderly end."""

from __future__ import annotations

import contextlib
import resource
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace

from pipeline import __version__
from pipeline.errors import UsageError
from pipeline.serve.core import Core
from pipeline.serve.hosts import Receiver
from pipeline.serve.hosts.hooks import Event
from pipeline.serve.looks import Kit
from pipeline.serve.metrics import Metrics
from pipeline.serve.model import Job
from pipeline.serve.moves import Moves
from pipeline.serve.revisions import Revisions
from pipeline.serve.settings import Settings, watched
from pipeline.serve.traces import Traces
from pipeline.serve.views import Views
from pipeline.serve.views_images import Images
from pipeline.serve.views_model import RunView
from pipeline.serve.web.app import app
from pipeline.serve.web.listen import serve
from pipeline.serve.web.parts import Parts
from pipeline.serve.web.sessions import session_key

_BACKLOG = 512
_FILES = 1024
"""Open files beside those of repositories."""


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
        _allow_files(len(settings.repositories))
        try:
            self.core = Core(self.settings, environ, now, say)
        except BaseException:
            self._socket.close()
            raise
        self.metrics = Metrics(self.settings, self.core.database, lambda: self.core.rota.health(), now, _counts)
        self.revisions, self._moves = self._what_can_be_put_back(), Moves()
        self.core.listeners += [self.metrics.heard, self._told, self.revisions.heard]
        images = Images(self.core.store)
        of = (self.settings, self.core.book, self.core.queue, self.core.logs, images, self.core.journal, now)
        self.views = Views(*of, self.core.masks)
        self.traces = Traces(settings.traces, self._run) if settings.traces else None
        self.core.listeners += [self.traces.heard] if self.traces else []
        self.core.outbox.counted = self.metrics.note

    def run(self) -> None:
        """Serves until SIGTERM or Ctrl-C; then ends in order."""
        self._introduce()
        self.core.start()
        # The signals that it had taken are raised again once it has ended.
        with contextlib.suppress(KeyboardInterrupt, SystemExit):
            serve(self.settings, app(self.parts()), self._socket, self.core.say)
        running = [job for job in self.core.queue.open() if job.state == "running"]
        if running:
            self.core.say(f"ends in order; after the next start {_go_on(len(running))}")
        self.core.close()
        if self.traces:
            self.traces.close()

    def parts(self) -> Parts:
        """What the web is given."""
        core = self.core
        return Parts(
            settings=self.settings,
            database=core.database,
            queue=core.queue,
            book=core.book,
            home=core.home,
            key=session_key(core.state),
            views=self.views,
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

    def _what_can_be_put_back(self) -> Revisions:
        core = self.core
        kit = Kit(self.settings.repositories, core.gits, core.children, core.book, core.queue, core.environ)
        return Revisions(kit, core.now)

    def _run(self, job: Job) -> RunView | None:
        view = self.views.job(job.id)
        return view.run if view else None

    # -- what the operator sees ---------------------------------------------------------------------------------

    def _introduce(self) -> None:
        say = self.core.say
        say(f"pipeline {__version__} serves at {self.address}")
        for line in watched(self.settings):
            say(line)
        if self.core.lost:
            say(f"warning: {self.core.lost}")
        if self.core.resumed:
            say(f"{_go_on(len(self.core.resumed))} that had not ended")

    def _told(self, job: Job) -> None:
        """A line when a job begins, when it ends, and when it is to be tried again."""
        if (
            not self._moves.is_new(job)
            or job.state in ("approval", "replaced")
            or (job.state == "waiting" and not job.due)
        ):
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


def _allow_files(repositories: int) -> None:
    """Each mirror keeps a file open: what many systems allow unasked would not do for hundreds."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES + 2 * repositories
    if most != resource.RLIM_INFINITY:
        wanted = min(wanted, most)
    if allowed != resource.RLIM_INFINITY and allowed < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _go_on(jobs: int) -> str:
    return "1 job goes on" if jobs == 1 else f"{jobs} jobs go on"


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


__all__ = ["Server"]
