"""Requests to one registry: its scheme, authentication, redirects, retries, and refusals as errors."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field, replace
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

from pipeline.errors import OutOfReach, PipelineError
from pipeline.http import Body, NoTLS, Response, Transport, is_loopback, shown
from pipeline.manifest.model import Retry, Secret
from pipeline.noun import noun
from pipeline.reference import likely_host
from pipeline.registry.authentication import Authentication, Scopes
from pipeline.registry.credentials import Credential
from pipeline.registry.problems import Denied, Refused, denied, problem
from pipeline.retry import retrying

T = TypeVar("T")
_MOST_REDIRECTS = 5
_LARGEST_DOCUMENT = 8 << 20
_ROLES = {"push": "AcrPush", "pull": "AcrPull", "delete": "AcrDelete"}
_WORTH_ANOTHER_TRY = 8 << 20
"""Bytes: a transfer that got so far since it last broke off does not count as having failed."""


class Tally:
    """Counts requests and bytes; threads share it."""

    def __init__(self) -> None:
        self.requests = 0
        self.moved = 0
        self._lock = threading.Lock()

    def add(self, requests: int = 0, moved: int = 0) -> None:
        with self._lock:
            self.requests += requests
            self.moved += moved


@noun
class Request:
    """What to ask. `url` is absolute or below the registry's root; `body` is called anew for each try; `where` is for
    messages; `good` are the statuses that are an answer, all others are errors.
    """

    method: str
    url: str
    where: str
    scopes: Scopes = frozenset()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Callable[[], Body] | None = None
    good: tuple[int, ...] = (200,)
    tally: Tally | None = None


@noun
class Answer:
    """A response read to its end."""

    status: int
    headers: Mapping[str, str]
    data: bytes
    url: str


class RegistryClient:
    """One registry with one user's credentials; threads share it. Meant to live as long as a run.

    `scheme` is empty for https, or for a loopback address whichever of http and https answers.
    """

    def __init__(
        self,
        registry: str,
        host: str,
        transport: Transport,
        credential: Credential | None = None,
        *,
        scheme: str = "",
        policy: Retry,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
        waiting: Callable[[str, float], None] = lambda _text, _seconds: None,
    ) -> None:
        self.registry = registry
        self.tally = Tally()
        self.authentication = Authentication(registry, credential, self._send_counted, clock)
        self._host = host
        self._transport = transport
        self._scheme = scheme
        self._policy, self._sleep, self._clock, self._waiting = policy, sleep, clock, waiting
        self._origin = ""
        self._given_up = False
        self._connecting = threading.Lock()
        self._flights: dict[str, threading.Lock] = {}
        self._holders: dict[str, set[str]] = {}
        self._state = threading.Lock()
        self._thread = threading.local()

    # -- which repositories hold a blob, as far as this run has seen --------------------------------------------

    @contextmanager
    def flight(self, digest: str) -> Iterator[set[str]]:
        """Holds off other threads that move the same blob to this registry; gives the repositories known to have it."""
        with self._state:
            lock = self._flights.setdefault(digest, threading.Lock())
            holders = self._holders.setdefault(digest, set())
        with lock:
            yield holders

    # -- requests -----------------------------------------------------------------------------------------------

    def ping(self) -> str:
        """Checks that this is a registry; gives its address. OutOfReach when it is not."""
        return self.retry(self._reached)

    def _reached(self) -> str:
        with self._connecting:
            if not self._origin:
                self._origin = self._connect()
            return self._origin

    def identity_token(self) -> Secret:
        """What stands for the user in place of a password, as Azure's registries give it; empty where none is given."""
        return self.retry(lambda: (self._reached(), self.authentication.identity_token())[1])

    def call(self, request: Request) -> Answer:
        """An answer whose body is small, tried again for passing reasons."""
        return self.retry(lambda: self.once(request))

    def once(self, request: Request) -> Answer:
        """As `call`, tried once."""
        with self.open(request) as (response, url):
            data = response.read(_LARGEST_DOCUMENT + 1) if request.method != "HEAD" else b""
            if len(data) > _LARGEST_DOCUMENT:
                raise Refused(f"{request.where}: over {_LARGEST_DOCUMENT >> 20} MB", remedy="this is no image manifest")
            return Answer(response.status, response.headers, data, url)

    @contextmanager
    def open(self, request: Request) -> Iterator[tuple[Response, str]]:
        """An answer to be read by the caller, and the address that gave it; tried once."""
        # Asking for a token, or for the scheme, is part of what a request costs.
        self._thread.tally = request.tally
        origin = self._reached()
        sent = self.authentication.header(request.scopes)
        with self._follow(request, sent) as (response, url):
            challenge = response.headers.get("www-authenticate", "")
            if response.status != 401 or not self._same_origin(url):
                yield self._checked(response, request), url
                return
            response.read()
            again = self.authentication.refused(challenge, request.scopes, sent, origin)
        if not again and (not sent or sent.startswith("Basic ")):
            raise self.authentication.wrong()
        with self._follow(request, self.authentication.header(request.scopes)) as (response, url):
            yield self._checked(response, request), url

    def retry(self, call: Callable[[], T]) -> T:
        """`call()`, tried again as the policy says while it fails for passing reasons; of a registry that was silent at
        all tries of something, the rest is asked once, or a run would wait for it all day.
        """
        policy = replace(self._policy, attempts=1) if self._given_up else self._policy
        try:
            answer = retrying(policy, call, lambda _n, wait, error: self._waiting(str(error), wait), self._sleep)
        except OutOfReach as error:
            self._given_up = error.silent
            raise
        self._given_up = False
        return answer

    def persist(self, call: Callable[[], T], moved: Callable[[], int]) -> T:
        """As `retry`, for a transfer that goes on where it broke off: tries are counted anew as long as it gets on."""
        while True:
            before = moved()
            try:
                return self.retry(call)
            except PipelineError as error:
                if not error.transient or moved() - before < _WORTH_ANOTHER_TRY:
                    raise

    # -- within -------------------------------------------------------------------------------------------------

    def _connect(self) -> str:
        if self._scheme or not is_loopback(self._host):
            return self._try(self._scheme or "https")
        try:
            return self._try("http")
        except (OutOfReach, Refused) as error:
            # A server of TLS may cut the connection as well as answer 400 in plain text.
            first = error
        try:
            return self._try("https")
        except NoTLS:
            raise first from None
        except OutOfReach as error:
            raise (first if error.transient else error) from None

    def _try(self, scheme: str) -> str:
        origin = f"{scheme}://{self._host}"
        try:
            with self._send_counted("GET", f"{origin}/v2/", {}) as response:
                if response.status == 401:
                    self.authentication.learn(response.headers.get("www-authenticate", ""), origin)
                    response.read()
                elif response.status == 404:
                    raise Refused(f"{origin} is no registry: it has no /v2/", remedy="check the address")
                elif response.status != 200:
                    raise problem(response, self.registry, "", self._clock)
        except OutOfReach as error:
            if meant := likely_host(self.registry):
                error.remedy = f"did you mean {meant}?"
            raise
        return origin

    def _same_origin(self, url: str) -> bool:
        return urlsplit(url)[:2] == urlsplit(self._origin)[:2]

    def absolute(self, base: str, location: str) -> str:
        """A Location against the address that gave it. A registry behind a proxy that ends TLS may answer http for
        itself: what is meant is the address that it is called by. OutOfReach for one that leads nowhere, or out of TLS.
        """
        try:
            url = urlsplit(urljoin(base, location))
        except ValueError:
            fact = f"{self.registry} leads to an address that is none"
            raise OutOfReach(fact, remedy="check the registry's settings", lasting=True) from None
        ours = urlsplit(self._origin)
        if url.netloc == ours.netloc:
            url = url._replace(scheme=ours.scheme)
        if urlsplit(base).scheme == "https" and url.scheme != "https":
            fact = f"{self.registry} leads to {shown(url.geturl())}, which is not encrypted"
            raise OutOfReach(fact, remedy="check the registry's settings", lasting=True)
        return url.geturl()

    @contextmanager
    def _follow(self, request: Request, authorization: str) -> Iterator[tuple[Response, str]]:
        """Sends, and follows redirects; only the registry itself ever sees the credentials."""
        url = self.absolute(self._origin + "/", request.url)
        for _ in range(_MOST_REDIRECTS):
            headers = dict(request.headers)
            if authorization and self._same_origin(url):
                headers["Authorization"] = authorization
            body = request.body() if request.body else None
            with self._send_counted(request.method, url, headers, body) as response:
                location = response.headers.get("location", "")
                follows = response.status in (307, 308) or (
                    response.status in (301, 302, 303) and request.method in ("GET", "HEAD")
                )
                if not follows or not location:
                    yield response, url
                    return
            url = self.absolute(url, location)
        raise OutOfReach(
            f"{request.where}: more than {_MOST_REDIRECTS} redirects", remedy="check the registry's settings"
        )

    def _checked(self, response: Response, request: Request) -> Response:
        if response.status not in request.good:
            if request.method == "HEAD":
                response = replace(response, chunks=lambda: iter(()))
            error = problem(response, request.where, self.authentication.who, self._clock)
            raise self._with_role(error, request) if isinstance(error, Denied) else error
        return response

    def _with_role(self, error: Denied, request: Request) -> Denied:
        """Names the right that is missing where it is not named; and the role that has it, as Azure calls it."""
        reading = request.method in ("GET", "HEAD")
        found = denied(error.message, error.action or ("pull" if reading else "push"))
        if self.authentication.by_azure:
            found.remedy += f" (Azure's role {_ROLES[found.action]})"
        return found

    @contextmanager
    def _send_counted(self, method: str, url: str, headers: Mapping[str, str], body: Body = None) -> Iterator[Response]:
        for each in (self.tally, getattr(self._thread, "tally", None)):
            if each:
                each.add(requests=1)
        with self._transport.send(method, url, headers, body) as response:
            yield response
