"""Tells open pages what has changed (server-sent events; HTML, 9.2): small facts, upon which a page fetches its parts.

What changed is found by looking at the database and the logs of running jobs twice a second, as long as a page is open:
so a page hears the same of a change whoever made it, and nothing is lost between two servers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from pipeline.errors import StoreError
from pipeline.serve.web.problems import Refused

router = APIRouter(include_in_schema=False)
CLIENTS = 100
"""Pages that may listen at a time; others ask again and again instead."""
_LOOK, _BEAT = 0.5, 5.0
_KEPT = 500

State = Mapping[str, Any]


class Hub:
    """One look for all pages. Events are numbered; a page that comes back says which it had last, and gets those after
    it, or is told to fetch all.
    """

    def __init__(
        self, look: Callable[[], State], clients: int = CLIENTS, pause: float = _LOOK, beat: float = _BEAT
    ) -> None:
        self._look, self._most, self._pause, self._beat = look, clients, pause, beat
        self._clients = 0
        self._state: State | None = None
        self._events: deque[tuple[int, str, Any]] = deque(maxlen=_KEPT)
        self._number = 0
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.closed = False

    def close(self) -> None:
        """Ends all listening, so that the server can stop."""
        self.closed = True
        self._news.set()
        if self._task:
            self._task.cancel()

    def enter(self) -> None:
        """Counts a page in. Raises Refused where there are too many."""
        if self._clients >= self._most or self.closed:
            raise Refused(503, "too many pages are open: this one asks now and then instead", {"Retry-After": "30"})
        self._clients += 1
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._watch())

    def leave(self) -> None:
        self._clients -= 1

    async def _watch(self) -> None:
        while self._clients and not self.closed:
            # A database that is out of reach for a moment changes nothing that is shown.
            with contextlib.suppress(StoreError):
                self._compare(await run_in_threadpool(self._look))
            await asyncio.sleep(self._pause)
        # Whoever comes next sees the page as it is then.
        self._state = None

    def _compare(self, state: State) -> None:
        before, self._state = self._state, state
        if before is None:
            return
        for name in {*before, *state}:
            if before.get(name) != state.get(name):
                kind, _, what = name.partition(" ")
                self._tell(kind, {"id": what, "state": state.get(name)})

    def _tell(self, kind: str, data: Any) -> None:
        self._number += 1
        self._events.append((self._number, kind, data))
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def listen(
        self, last: int | None, page: str = "", counts: Callable[[], bool] = lambda: True
    ) -> AsyncIterator[str]:
        """What happens from now on, or from after event `last`, as the lines of a stream. `page` is how things were
        (`stamp`) when the page was made: it is told to fetch all where they are otherwise by now. It ends when who
        listens `counts` no more, which is asked with each beat and before anything is told.
        """
        try:
            seen = self._number if last is None else last
            yield "retry: 2000\n\n"
            stale = last is None and page and page != stamp(await run_in_threadpool(self._look))
            if stale or (last is not None and not self._has(last)):
                seen = self._number
                yield _event(seen, "all", {})
            while await run_in_threadpool(counts) and not self.closed:
                news = self._news
                for number, kind, data in [one for one in self._events if one[0] > seen]:
                    seen = number
                    yield _event(number, kind, data)
                try:
                    await asyncio.wait_for(news.wait(), self._beat)
                except TimeoutError:
                    yield ": still here\n\n"
        finally:
            self.leave()

    def _has(self, last: int) -> bool:
        """Whether all after an event are still known. After a start anew numbers begin anew, too."""
        first = self._events[0][0] if self._events else self._number + 1
        return first - 1 <= last <= self._number


def stamp(state: State) -> str:
    """How things are, as a short text that another state does not have; of this process alone."""
    return f"{hash(frozenset(state.items())) & 0xFFFFFFFFFFFF:x}"


def _event(number: int, kind: str, data: Any) -> str:
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n"


@router.get("/events")
async def events(request: Request) -> Response:
    hub: Hub = request.app.state.hub
    hub.enter()
    given = request.headers.get("last-event-id", "")
    last = int(given) if given.isascii() and given.isdigit() and len(given) < 16 else None
    stream = hub.listen(last, request.query_params.get("page", ""), request.state.counts)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


__all__ = ["Hub", "router", "stamp"]
