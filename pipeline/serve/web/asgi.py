"""Requests as ASGI has them (specification of HTTP, 2.3): a body is read once, in time and within limits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from pipeline.serve.web.limits import PATIENCE, Budget
from pipeline.serve.web.problems import Refused

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


async def body_of(headers: Mapping[str, str], receive: Receive, most: int, held: Budget) -> bytes:
    """The whole body, of which `held` has the bytes while it comes. Raises Refused where it is too large or slow."""
    said = headers.get("content-length", "0")
    if said.isdecimal() and int(said[:20]) > most:
        raise _too_large(most)
    body = bytearray()
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refused(400, "the request broke off")
                part = message.get("body", b"")
                if len(body) + len(part) > most:
                    raise _too_large(most)
                if not held.take(len(part)):
                    raise Refused(
                        503, "too much is on its way to the server", {"Retry-After": "5", "Connection": "close"}
                    )
                body += part
                if not message.get("more_body"):
                    return bytes(body)
    except TimeoutError:
        raise Refused(408, f"the body did not come within {PATIENCE:g} s", {"Connection": "close"}) from None
    finally:
        held.give(len(body))


def _too_large(most: int) -> Refused:
    return Refused(413, f"more than {most >> 10} kB", {"Connection": "close"})


def again(body: bytes, receive: Receive) -> Receive:
    """What the application receives: the body that was read, then what comes after it."""
    given = False

    async def received() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return received


__all__ = ["App", "Message", "Receive", "Send", "again", "body_of"]
