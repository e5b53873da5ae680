"""What targets in Azure share: who signs in, calls that are tried again, and long operations.

A long operation (ARM's "asynchronous operations") is begun by Azure's own client, and followed by looking at the
resource itself: a look that fails in between costs nothing, and a run that is killed leaves nothing to take up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

from pipeline import limit
from pipeline.azure.arm import Arm, NotThere
from pipeline.azure.identity import identity_of
from pipeline.errors import OutOfReach, PipelineError, RolloutError, UsageError
from pipeline.manifest.model import Azure, Retry, Secret
from pipeline.retry import retrying
from pipeline.targets.remote import Surroundings

T = TypeVar("T")
_POLICY = Retry(attempts=6, wait=1.0, max_wait=30.0)
_LOOK = 2.0
"""Seconds between two looks at an operation."""
_WRONG_WORDS = ("Failed", "Canceled", "Cancelled")


def arm_of(environ: Mapping[str, str], transport: Any = None) -> Arm:
    """Azure's manager for the service principal that the environment names, else whoever azure-identity finds."""
    tenant, client, secret = (environ.get(f"AZURE_{name}", "") for name in ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET"))
    who = Azure(tenant=tenant, client_id=client)
    if tenant and client and secret:
        who = Azure(tenant=tenant, client_id=client, client_secret=Secret(secret))
    return Arm(identity_of(who, "", environ), environ, transport)


def setting(spec: Mapping[str, Any], name: str, environ: Mapping[str, str], variable: str) -> str:
    """A setting, or what the environment has for it. UsageError where neither says anything."""
    if found := spec.get(name) or environ.get(variable, ""):
        return str(found)
    raise UsageError(f"the target does not say its {name}", remedy=f"set `{name}`, or the variable {variable}")


class Operation:
    """A long operation that was begun: where Azure tells how it goes; empty where it does not."""

    def __init__(self, arm: Arm, headers: Mapping[str, str]) -> None:
        self._arm = arm
        self._url = str(headers.get("Azure-AsyncOperation") or "")

    def failure(self) -> str:
        """Why it failed, in the service's words; empty while it has not, or where that cannot be told."""
        value = self._value()
        if value.get("status") not in _WRONG_WORDS:
            return ""
        error = value.get("error") or (value.get("properties") or {}).get("error") or {}
        return _words(error) or str(value["status"]).lower()

    def goes_on(self) -> bool:
        return self._value().get("status") not in (None, "Succeeded", *_WRONG_WORDS)

    def _value(self) -> dict[str, Any]:
        url = urlsplit(self._url)
        if not self._url.startswith(f"{self._arm.identity.cloud.manager}/"):
            # A token goes to Azure's manager only.
            return {}
        query = dict(parse_qsl(url.query))
        version = query.pop("api-version", "")
        path = f"{url.path}?{urlencode(query)}" if query else url.path
        try:
            return self._arm.get(path, version, "the operation")
        except PipelineError:
            return {}


class Calls:
    """Calls of Azure's clients for one target; what passes is tried again, for as long as Azure asks to wait."""

    def __init__(self, arm: Arm, surroundings: Surroundings) -> None:
        self.arm, self._around = arm, surroundings
        self._quiet_until = 0.0

    @property
    def each(self) -> dict[str, Any]:
        return self.arm.each

    def look(self, what: str, call: Callable[[], T]) -> T | None:
        """One try, None for what is not there. OutOfReach, at once while Azure has asked to be left alone."""
        if self._around.clock() < self._quiet_until:
            raise OutOfReach(f"{what}: Azure asked to wait", transient=True)
        try:
            with self.arm.spoken(what):
                return call()
        except NotThere:
            return None
        except OutOfReach as error:
            self._quiet_until = self._around.clock() + error.retry_after
            raise

    def find(self, what: str, call: Callable[[], T]) -> T | None:
        """As `ask`; None for what is not there."""
        try:
            return self._patient(what, call)
        except NotThere:
            return None

    def ask(self, what: str, call: Callable[[], T]) -> T:
        """UsageError for what is not there; OutOfReach with Azure's own words."""
        try:
            return self._patient(what, call)
        except NotThere as error:
            raise UsageError(error.message, remedy=error.remedy) from None

    def begin(self, what: str, call: Callable[[Any], Any]) -> Operation:
        """Begins a long operation: `call(polling)` calls a client's `begin_…` with that `polling`."""
        from azure.core.polling import NoPolling

        class Noted(NoPolling[Any]):
            headers: Mapping[str, str] = {}

            def initialize(self, client: Any, initial_response: Any, deserialization_callback: Any) -> None:
                super().initialize(client, initial_response, deserialization_callback)
                self.headers = initial_response.http_response.headers

        noted = Noted()  # type: ignore[no-untyped-call]
        self.ask(what, lambda: call(noted))
        return Operation(self.arm, noted.headers)

    def settle(self, what: str, look: Callable[[], str | None], operation: Operation, seconds: float) -> None:
        """Waits until `look` gives Succeeded, or None for gone. RolloutError in the service's words.

        A look that fails is no failure of the operation; OutOfReach when nothing is known in the end.
        """
        until = self._around.clock() + seconds
        unknown: OutOfReach | None = None
        while True:
            limit.check()
            try:
                state = self.look(what, look)
                unknown = None
                if state in (None, "Succeeded"):
                    return
                if state in _WRONG_WORDS:
                    raise RolloutError(f"{what}: {operation.failure() or str(state).lower()}")
            except OutOfReach as error:
                if not error.transient:
                    raise
                unknown = error
            if self._around.clock() >= until:
                raise unknown or OutOfReach(f"{what} has not ended after {seconds:g} s", remedy="run again to go on")
            self._around.wait(_LOOK)

    def _patient(self, what: str, call: Callable[[], T]) -> T:
        def once() -> T:
            limit.check()
            with self.arm.spoken(what):
                return call()

        def waiting(_try: int, seconds: float, error: Exception) -> None:
            self._around.say(f"{error}; once more in {seconds:.0f} s")

        return retrying(_POLICY, once, waiting, self._around.wait)


def _words(error: Mapping[str, Any]) -> str:
    """An error of ARM (code, message, details) on one line."""
    said = [str(error.get("message") or "")]
    said += [str(one.get("message") or "") for one in error.get("details") or () if isinstance(one, Mapping)]
    text = " ".join(" ".join(part for part in dict.fromkeys(said) if part).split())
    code = str(error.get("code") or "")
    text = f"{text[:600]} ({code})" if text and code else text or code
    return "".join(c if c.isprintable() else " " for c in text)
