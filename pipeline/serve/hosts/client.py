"""Requests to a host's API: JSON there and back, pages, redirects, rate limits, and refusals as errors."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

from pipeline.digest import parsed
from pipeline.errors import OutOfReach, PipelineError, UsageError
from pipeline.http import Response, Transport, after, long, retry_after
from pipeline.noun import noun

_LARGEST = 8 << 20
"""Bytes of an answer that are read."""
_MOST_KEPT, _LARGEST_KEPT = 64, 256 << 10
"""Answers, and bytes of one, that are kept to be asked for anew."""
_MOST_PAGES = 20
_MOST_REDIRECTS = 3
_SECONDARY = 60.0
"""Seconds to wait where a host says that it was asked too much, and not for how long (GitHub's rule for its secondary
limits: docs.github.com, "Rate limits for the REST API")."""
_NEXT = re.compile(r'<([^<>]+)>\s*;[^,]*\brel="?next"?')


@noun
class Answer:
    """A response read to its end; `data` is its JSON, which nobody changes, of `size` bytes."""

    status: int
    headers: Mapping[str, str]
    data: Any
    size: int = 0


@noun
class Right:
    """What a request is for, in words that follow "cannot", and the right that a token needs for it."""

    what: str
    needs: str


class Client:
    """One host's API, as one repository's token may use it; threads share it.

    `host` and `project` are for messages. `headers` carry the token, and are sent to the API's own origin only.
    Methods raise OutOfReach where trying again may help, with the time that the host asks to wait, and UsageError where
    it does not. `refusal` finds out those that a host wraps into something else, `now` gives Unix times in seconds.
    """

    def __init__(
        self,
        host: str,
        root: str,
        project: str,
        headers: Mapping[str, str],
        transport: Transport,
        now: Callable[[], float],
        refusal: Callable[[int, Mapping[str, str]], bool] = lambda status, _headers: status == 401,
    ) -> None:
        self.root = root.rstrip("/")
        self._host, self._project = host, project
        self._headers, self._transport, self._now, self._refusal = headers, transport, now, refusal
        self._known: dict[str, Answer] = {}
        self._lock = threading.Lock()

    def ask(
        self, method: str, path: str, right: Right, body: Any = None, good: tuple[int, ...] = (), *, keep: bool = False
    ) -> Answer:
        """The answer to a request for a path below the API's root, or an absolute address of its origin. `good` are
        statuses that are an answer too, beside all of 2xx. With `keep` it is kept, and next time asked for only if it
        is another by then: what did not change does not count to a host's limit (docs.github.com, "Best practices for
        using the REST API", conditional requests).
        """
        url = urljoin(f"{self.root}/", path.lstrip("/")) if "://" not in path else path
        for _ in range(_MOST_REDIRECTS):
            self._stay(url, right)
            known = self._known.get(url) if keep else None
            with self._transport.send(method, url, self._all_headers(body, known), _encoded(body)) as response:
                if known and response.status == 304:
                    return known
                again = _again(method, response)
                if not again:
                    answer = self._read(response, right, good)
                    if keep:
                        self._keep(url, answer)
                    return answer
                url = urljoin(url, again)
        raise UsageError(f"{self._cannot(right)}: it leads from one address to another", remedy="check the url")

    def pages(self, path: str, right: Right, *, keep: bool = False) -> Iterator[Any]:
        """The items of a list, page after page (the Link header: RFC 8288), up to a bound. With `keep` as `ask`: only
        for lists whose newest come first, for a full page at the end does not change when another is added.
        """
        for _ in range(_MOST_PAGES):
            answer = self.ask("GET", path, right, keep=keep)
            if not isinstance(answer.data, list):
                raise self._no_sense(right, "it is no list")
            yield from answer.data
            found = _NEXT.search(answer.headers.get("link", ""))
            if not found:
                return
            path = urljoin(f"{self.root}/", found[1])

    # -- within -------------------------------------------------------------------------------------------------

    def _all_headers(self, body: Any, known: Answer | None) -> dict[str, str]:
        typed = {"Content-Type": "application/json"} if body is not None else {}
        new = {"If-None-Match": known.headers["etag"]} if known else {}
        return {"Accept": "application/json", **typed, **new, **self._headers}

    def _keep(self, url: str, answer: Answer) -> None:
        if not answer.headers.get("etag") or answer.size > _LARGEST_KEPT:
            return
        with self._lock:
            self._known.pop(url, None)
            self._known[url] = answer
            while len(self._known) > _MOST_KEPT:
                self._known.pop(next(iter(self._known)))

    def _stay(self, url: str, right: Right) -> None:
        """The token is for its own origin, wherever an answer leads to."""
        if urlsplit(url)[:2] != urlsplit(self.root)[:2]:
            fact = f"{self._cannot(right)}: it leads to {urlsplit(url).netloc or 'no address'}"
            raise UsageError(fact, remedy="a sign-in page, or a repository that moved: check the token and the url")

    def _read(self, response: Response, right: Right, good: tuple[int, ...]) -> Answer:
        status, headers = response.status, response.headers
        raw = response.read(_LARGEST)
        fine = (200 <= status < 300 or status in good) and not self._refusal(status, headers)
        try:
            data = parsed(raw) if raw.strip() else None
        except ValueError:
            if fine:
                raise self._no_sense(right, "it is no JSON") from None
            data = None
        if not fine:
            raise self._problem(status, headers, _says(data), right)
        return Answer(status, headers, data, len(raw))

    def _problem(self, status: int, headers: Mapping[str, str], says: str, right: Right) -> PipelineError:
        fact = f"{self._cannot(right)}: {says or 'no reason given'} ({status})"
        wait = _wait(status, headers, says, self._now())
        if wait is not None or status in (408, 425, 429) or status >= 500:
            return self._later(fact, wait or 0.0)
        if self._refusal(status, headers) or status == 401:
            remedy = "it is wrong, revoked or has expired: make a new one and name it in the server's settings"
            return UsageError(f"{fact}: the token is not accepted", remedy=remedy)
        if status == 403:
            return UsageError(fact, remedy=f"give its token the right {right.needs}")
        if status == 404:
            remedy = f"check the repository's name; its token must see it, and have the right {right.needs}"
            return UsageError(fact, remedy=remedy)
        return UsageError(fact, remedy="see what it says")

    def _later(self, fact: str, wait: float) -> OutOfReach:
        when = f"it asks to wait {long(wait)}: again {after(wait, self._now())}" if wait else "it is tried again"
        error = OutOfReach(fact, remedy=when, transient=True)
        error.retry_after = wait
        return error

    def _no_sense(self, right: Right, why: str) -> OutOfReach:
        fact = f"{self._cannot(right)}: its answer makes no sense, {why}"
        return OutOfReach(fact, remedy="is it the API's address, and no proxy in between?", transient=True)

    def _cannot(self, right: Right) -> str:
        return f"{self._host}: {self._project}: cannot {right.what}"


def _encoded(body: Any) -> bytes | None:
    return json.dumps(body).encode() if body is not None else None


def _again(method: str, response: Response) -> str:
    """Where to ask once more; empty for here. An API means the same request again by a 301 as well (docs.github.com,
    "Best practices for using the REST API", redirects).
    """
    location = response.headers.get("location", "")
    follows = response.status in (301, 307, 308) or (response.status in (302, 303) and method == "GET")
    return location if follows else ""


def _wait(status: int, headers: Mapping[str, str], says: str, now: float) -> float | None:
    """Seconds that a host asks to wait, as Retry-After, or as the Unix time at which its limit begins anew; None where
    it asks for nothing.
    """
    if status not in (403, 429, 503):
        return None
    if "retry-after" in headers:
        return retry_after(headers["retry-after"], now)
    for left, reset in (("x-ratelimit-remaining", "x-ratelimit-reset"), ("ratelimit-remaining", "ratelimit-reset")):
        if headers.get(left) == "0" and headers.get(reset, "").isdecimal():
            return min(max(0.0, float(headers[reset]) - now), 86400.0)
    return _SECONDARY if status == 429 or "rate limit" in says.lower() else None


def _says(data: Any) -> str:
    """A host's own words, of all the forms that they come in."""
    if not isinstance(data, dict):
        return ""
    words = data.get("message") or data.get("error_description") or data.get("error") or ""
    text = words if isinstance(words, str) else json.dumps(words)
    details = [_detail(one) for one in data.get("errors") or ()] if isinstance(data.get("errors"), list) else []
    text = "; ".join(dict.fromkeys(part for part in (text, *details) if part))
    return "".join(c if c.isprintable() else " " for c in text).strip()[:300]


def _detail(one: Any) -> str:
    if not isinstance(one, dict):
        return str(one)
    return str(one.get("message") or " ".join(str(one[name]) for name in ("field", "code") if one.get(name)))


__all__ = ["Answer", "Client", "Right"]
