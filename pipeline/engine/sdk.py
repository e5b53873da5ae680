"""The Docker SDK: its client with time-outs, its errors as ours; the only `import docker`."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast

from pipeline import limit
from pipeline.engine.ask import NoAnswer, innermost
from pipeline.engine.model import EngineError
from pipeline.errors import OutOfReach, PipelineError

if TYPE_CHECKING:
    import docker

T = TypeVar("T")
TIMEOUT, PATIENCE = 60, 600
"""Seconds that the engine may take for one answer, or for the next piece of one; and where it has much to do."""
CHUNK = 1 << 20


def version(address: str) -> Any:
    """What `/version` says at an address that needs ssh or TLS. Raises NoAnswer."""
    try:
        with contextlib.closing(client(address, timeout=20)) as api:
            return api.version()
    except OutOfReach as error:
        raise NoAnswer(error.message) from error


def client(address: str, timeout: float = TIMEOUT) -> docker.APIClient:
    """The SDK's client; TLS as DOCKER_TLS_VERIFY and DOCKER_CERT_PATH say. Raises OutOfReach."""
    import docker
    from docker.utils import kwargs_from_env

    class Client(docker.APIClient):  # type: ignore[misc]
        """Waits no longer than the step that asks may take, and as long as `patience` says in this thread."""

        patience = threading.local()

        def _set_request_timeout(self, kwargs: dict[str, Any]) -> dict[str, Any]:
            most = kwargs.get("timeout") or getattr(self.patience, "seconds", 0) or self.timeout
            return {**kwargs, "timeout": limit.left(most)}

    settings: dict[str, Any] = {"tls": tls} if (tls := kwargs_from_env().get("tls")) else {}
    with answering(address):
        return Client(
            base_url=address,
            version="auto",
            timeout=timeout,
            use_ssh_client=address.startswith("ssh://"),
            **({} if address.startswith("unix://") else settings),
        )


@contextmanager
def patient(api: docker.APIClient, seconds: float = PATIENCE) -> Iterator[None]:
    """Lets answers of the engine to this thread take so long."""
    api.patience.seconds = seconds
    try:
        yield
    finally:
        api.patience.seconds = 0


@contextmanager
def answering(address: str, doing: str = "the engine refuses") -> Iterator[None]:
    """Turns the SDK's errors into OutOfReach (the engine is gone, or too busy) and EngineError (it refuses)."""
    import docker.errors
    import requests
    import urllib3

    try:
        yield
    except docker.errors.APIError as error:
        said = str(error.explanation or error)
        busy = error.status_code in (502, 503, 504)
        remedy = "see that the image has the program and the user" if "exec" in said or "user" in said else ""
        remedy = "make room where the engine keeps its images" if "no space left" in said else remedy
        raise (OutOfReach if busy else EngineError)(f"{doing}: {said}", remedy=remedy, transient=busy) from error
    except PipelineError:
        raise
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, docker.errors.DockerException) as error:
        refused = "permission denied" in str(error).lower()
        remedy = "join the group docker, or run as root" if refused else "see that its service runs"
        limit.check()
        message = f"the container engine at {address} does not answer: {innermost(error)}"
        raise OutOfReach(message, remedy=remedy, transient=not refused, lasting=refused) from error


def or_none(call: Callable[[], T]) -> T | None:
    """`call()`; None for what the engine has not."""
    import docker.errors

    try:
        return call()
    except docker.errors.NotFound:
        return None


def frames(stream: Any) -> Iterable[tuple[int, bytes]]:
    """What a container says, as the engine frames it (Docker Engine API, "Attach to a container")."""
    from docker.utils.socket import frames_iter

    return cast("Iterable[tuple[int, bytes]]", frames_iter(stream, tty=False))


def packed(context: str, left_out: Sequence[str], dockerfile: tuple[str, str]) -> IO[bytes]:
    """A build context as the engine takes it."""
    from docker.utils import tar

    return cast("IO[bytes]", tar(context, exclude=left_out, dockerfile=dockerfile))
