"""Delivers what is to be told: tried again with growing waits, in order where order matters, each place by itself.

A note is forgotten when it was delivered. Killed in between, it is delivered once more: for a status or a comment that
changes nothing, and a message has the same number again.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.errors import OutOfReach, PipelineError
from pipeline.serve.book import Book
from pipeline.serve.messages.model import Channel, Message, folded
from pipeline.serve.model import Note
from pipeline.serve.news import News
from pipeline.serve.ports import HostApi

LONGEST = 86400.0
"""Seconds after which a note is given up."""
LONGEST_WAIT = 900.0
LOOK = 60.0
"""Seconds between looks at what changed, when nobody says that something did."""
_AT_ONCE = 5
_EACH = 60.0
"""A channel for people gets so many messages at once, and then one in so many seconds: what waits comes as one."""
_IN_A_ROW = 3


@dataclass
class _Lane:
    """A place that notes go to, by itself: until when it is left alone, and how many messages it may get."""

    busy: bool = False
    until: float = 0.0
    tokens: float = _AT_ONCE
    filled: float = 0.0

    def allowed(self, now: float) -> int:
        """How many messages may be sent now."""
        self.tokens = min(float(_AT_ONCE), self.tokens + max(0.0, now - self.filled) / _EACH)
        self.filled = now
        return int(self.tokens)


def in_a_thread(work: Callable[[], None]) -> None:
    """A place that hangs must not keep the process, or the others."""
    threading.Thread(target=work, name="outbox", daemon=True).start()


class Outbox:
    """The duty that tells the world. `hosts` and `channels` are by the names of repositories and of messages; `start`
    has a place's work done, by a thread of its own or at once; `say` gets a line for each note that is given up,
    `counted` its kind and what became of it, as `counts` has it.
    """

    name = "outbox"

    def __init__(
        self,
        news: News,
        book: Book,
        hosts: Mapping[str, HostApi | None],
        channels: Mapping[str, Channel],
        now: Callable[[], float],
        start: Callable[[Callable[[], None]], None] = in_a_thread,
        say: Callable[[str], None] = lambda _line: None,
        url: str = "",
        counted: Callable[[str, str], None] = lambda _kind, _what: None,
    ) -> None:
        self.counted = counted
        self._news, self._book, self._hosts, self._channels = news, book, hosts, channels
        self._now, self._start, self._say, self._url = now, start, say, url
        self._lanes: dict[str, _Lane] = {}
        self._looked = self._rested = 0.0
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)

    # -- the duty -----------------------------------------------------------------------------------------------

    def due(self, now: float) -> float | None:
        look = self._looked + LOOK if self._looked <= now else now
        note = self._book.next_note()
        # A note that is due, and still is, waits for its place: nothing is asked each moment.
        return look if note is None else min(look, max(note, self._rested))

    def do(self, now: float) -> None:
        """Looks at what changed, and has each place that something waits for begin to get it."""
        self._looked = now
        self._news.look(now)
        rested = [self._begin(place, now) for place in dict.fromkeys(_place(note) for note in self._book.notes(now))]
        self._rested = max(now + 1.0, min(rested, default=0.0))

    def _begin(self, place: str, now: float) -> float:
        """Has a place's notes delivered; until when it is left alone."""
        with self._idle:
            lane = self._lanes.setdefault(place, _Lane())
            # Longer than ever only by a clock that was set back.
            if lane.busy or now < lane.until <= now + LONGEST:
                return lane.until
            lane.busy = True
        self._start(lambda: self._work(place, lane))
        return lane.until

    def settle(self, patience: float) -> bool:
        """Waits, for so many seconds at most, until nothing is under way; whether that is so."""
        with self._idle:
            return self._idle.wait_for(lambda: not any(lane.busy for lane in self._lanes.values()), patience)

    def counts(self) -> Mapping[tuple[str, str], int]:
        """How many notes there were since the start, by kind and by what became of them: delivered, failed (a try), or
        given up.
        """
        with self._lock:
            return dict(self._counts)

    # -- one place ----------------------------------------------------------------------------------------------

    def _work(self, place: str, lane: _Lane) -> None:
        try:
            self._deliver(place, lane)
        except Exception as error:
            # The database cannot be used, or is closed by now: what was not noted is delivered once more.
            self._say(f"telling {place}: {error}")
        finally:
            with self._idle:
                lane.busy = False
                self._idle.notify_all()

    def _deliver(self, place: str, lane: _Lane) -> None:
        now, failures = self._now(), 0
        stuck: set[str] = set()
        for notes in self._bundles(place, lane, now):
            if not stuck.isdisjoint(map(_order, notes)):
                continue
            error = self._try(notes)
            if isinstance(error, OutOfReach):
                stuck.update(map(_order, notes))
            failures = failures + 1 if error else 0
            # One that hangs or asks to wait is left alone, and the others do not each wait for that.
            if isinstance(error, OutOfReach) and (error.silent or error.retry_after or failures >= _IN_A_ROW):
                wait = _wait(max(note.tries for note in notes))
                lane.until = self._now() + max(error.retry_after, wait)
                return

    def _bundles(self, place: str, lane: _Lane, now: float) -> list[list[Note]]:
        """What is delivered now, in order; several messages to people as one, where they are many."""
        ready: list[Note] = []
        held: set[str] = set()
        for note in self._book.notes(float("inf")):
            if _place(note) != place:
                continue
            # Of one subject the older comes first, even if it has to wait.
            if note.due > now or _order(note) in held:
                held.add(_order(note))
            else:
                ready.append(note)
        channel = self._channels.get(place.removeprefix("message "))
        if channel is None or not channel.folds:
            return [[note] for note in ready]
        return self._as_allowed(lane, ready, now)

    @staticmethod
    def _as_allowed(lane: _Lane, ready: list[Note], now: float) -> list[list[Note]]:
        allowed = lane.allowed(now)
        if allowed < 1:
            lane.until = now + (1.0 - lane.tokens) * _EACH
            return []
        bundles = [[note] for note in ready] if len(ready) <= allowed else [ready]
        lane.tokens -= len(bundles)
        return bundles

    def _try(self, notes: Sequence[Note]) -> PipelineError | None:
        """Delivers, and notes what came of it."""
        try:
            self._hand_over(notes)
        except OutOfReach as error:
            for note in notes:
                self._later(note, error)
            return error
        except PipelineError as error:
            for note in notes:
                self._give_up(note, str(error))
            return error
        except Exception as error:
            # A bug must not end the telling, nor lose the note.
            self._say(f"cannot tell {notes[0].kind} {notes[0].key}: {error!r}")
            broken = OutOfReach(f"a bug: {error!r}", remedy="see the server's log")
            for note in notes:
                self._later(note, broken)
            return broken
        for note in notes:
            self._book.told(note)
            self._count(note, "delivered")
        return None

    def _later(self, note: Note, error: OutOfReach) -> None:
        now = self._now()
        wait = max(_wait(note.tries), error.retry_after)
        if now + wait - note.created > LONGEST:
            self._give_up(note, str(error))
            return
        self._book.untold(note, now + wait, str(error))
        self._count(note, "failed")

    def _give_up(self, note: Note, why: str) -> None:
        self._book.told(note)
        self._count(note, "given up")
        self._say(f"not told ({note.kind} {note.key}): {why}")

    def _count(self, note: Note, what: str) -> None:
        with self._lock:
            self._counts[note.kind, what] += 1
        self.counted(note.kind, what)

    def _hand_over(self, notes: Sequence[Note]) -> None:
        note, body = notes[0], notes[0].body
        if note.kind == "message":
            self._send(notes)
            return
        host = self._hosts.get(body["repository"])
        if host is None:
            raise PipelineError(f"the repository '{body['repository']}' has no host any more")
        if note.kind == "status":
            host.status(body["commit"], body["state"], body["context"], body["text"], body["url"])
        else:
            host.comment(body["request"], body["key"], body["body"])

    def _send(self, notes: Sequence[Note]) -> None:
        name = notes[0].body["channel"]
        channel = self._channels.get(name)
        if channel is None:
            raise PipelineError(f"there are no messages to '{name}' any more")
        messages = [_message(note) for note in notes]
        one = messages[0] if len(messages) == 1 else folded(messages, self._url)
        channel.send(one, str(notes[-1].id))


def _message(note: Note) -> Message:
    told = Message.of({name: value for name, value in note.body.items() if name != "channel"})
    # A message that comes late says so by its time.
    return replace(told, at=told.at or note.created)


def _place(note: Note) -> str:
    if note.kind == "message":
        return f"message {note.body['channel']}"
    return f"host {note.body['repository']}"


def _order(note: Note) -> str:
    return str(note.body["subject"]) if note.kind == "message" else f"{note.kind} {note.key}"


def _wait(tries: int) -> float:
    """Seconds to wait after so many tries: 1, 2, 4, … 900."""
    return min(LONGEST_WAIT, 2.0 ** min(tries, 20))


__all__ = ["Outbox", "in_a_thread"]
