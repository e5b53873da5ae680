"""What open pages are told: each change once, what was missed, and no more listeners than there may be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from pipeline.serve.web.events import Hub, stamp
from pipeline.serve.web.problems import Refused


class World:
    """What is looked at; `moved` waits until it was seen as it is now."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {"jobs newest": 1}
        self.looks = 0

    def look(self) -> dict[str, Any]:
        self.looks += 1
        return dict(self.state)

    async def seen(self) -> None:
        """Twice: the look under way may have begun before."""
        until = self.looks + 2
        while self.looks < until:
            await asyncio.sleep(0)

    async def unseen(self) -> None:
        """Until nobody has looked for as long as many looks take."""
        looks = -1
        while looks != self.looks:
            looks = self.looks
            for _ in range(50):
                await asyncio.sleep(0.001)


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), 120))


async def events(stream: AsyncIterator[str], count: int) -> list[tuple[int, str, Any]]:
    found: list[tuple[int, str, Any]] = []
    while len(found) < count:
        fields = dict(line.split(": ", 1) for line in (await anext(stream)).strip().splitlines() if ": " in line)
        if "event" in fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


def hub_of(world: World, clients: int = 5) -> Hub:
    return Hub(world.look, clients, pause=0.001)


def test_each_change_is_told_to_all_who_listen() -> None:
    async def story() -> None:
        world = World()
        hub = hub_of(world)
        hub.enter()
        hub.enter()
        one, two = hub.listen(None), hub.listen(None)
        assert [await anext(each) for each in (one, two)] == ["retry: 2000\n\n"] * 2
        await world.seen()
        world.state["job 7"] = "running"
        assert [await events(each, 1) for each in (one, two)] == [[(1, "job", {"id": "7", "state": "running"})]] * 2
        del world.state["job 7"]
        assert await events(one, 1) == [(2, "job", {"id": "7", "state": None})]
        hub.close()

    run(story)


def test_whoever_comes_back_gets_what_was_missed() -> None:
    async def story() -> None:
        world = World()
        hub = hub_of(world)
        hub.enter()
        stays = hub.listen(None)
        await anext(stays)
        await world.seen()
        for length in (10, 20, 30):
            world.state["log 7"] = length
            await world.seen()
        hub.enter()
        assert [number for number, _, _ in await events(hub.listen(1), 2)] == [2, 3]
        hub.enter()
        assert await events(hub.listen(99), 1) == [(3, "all", {})], "the numbers are another server's"
        hub.close()

    run(story)


def test_what_changed_before_a_page_listens_is_not_missed() -> None:
    async def story() -> None:
        world = World()
        hub = hub_of(world)
        page = stamp(world.look())
        world.state["job 7"] = "running"
        hub.enter()
        assert [kind for _, kind, _ in await events(hub.listen(None, page), 1)] == ["all"]
        hub.enter()
        fresh = hub.listen(None, stamp(world.look()))
        heard = asyncio.ensure_future(events(fresh, 1))
        await world.seen()
        await world.seen()
        world.state["job 7"] = "done"
        assert [kind for _, kind, _ in await heard] == ["job"]
        hub.close()

    run(story)


def test_nobody_is_looked_for_when_nobody_listens() -> None:
    async def story() -> None:
        world = World()
        hub = hub_of(world)
        hub.enter()
        stream = hub.listen(None)
        await anext(stream)
        await world.seen()
        await stream.aclose()
        await world.unseen()
        hub.enter()
        again = hub.listen(None)
        await anext(again)
        await world.seen()
        world.state["live all"] = 1
        assert (await events(again, 1))[0][1] == "live"
        hub.close()

    run(story)


def test_more_than_there_may_be_are_refused_and_closing_ends_all() -> None:
    async def story() -> None:
        hub = hub_of(World(), clients=1)
        hub.enter()
        with pytest.raises(Refused, match="too many pages"):
            hub.enter()
        stream = hub.listen(None)
        await anext(stream)
        waits = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        hub.close()
        with pytest.raises(StopAsyncIteration):
            await waits
        with pytest.raises(Refused):
            hub.enter()

    run(story)


def test_who_may_look_no_more_is_told_nothing_more() -> None:
    async def story() -> None:
        world, may = World(), [True]
        hub = Hub(world.look, pause=0.001, beat=0.001)
        hub.enter()
        stream = hub.listen(None, counts=lambda: may[0])
        await anext(stream)
        await world.seen()
        may.clear()
        may.append(False)
        world.state["job 7"] = "running"
        # What was on its way before may still come.
        assert not [line async for line in stream if "event" in line]
        hub.enter()
        hub.close()

    run(story)
