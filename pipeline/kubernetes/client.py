"""A real cluster, by the official client."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from pipeline.errors import OutOfReach, PipelineError, UsageError
from pipeline.kubernetes.api import MANAGER, Object, Resource, Right, Unauthorized, refusal, resource_of
from pipeline.kubernetes.login import Login, log_in
from pipeline.kubernetes.rights import not_granted
from pipeline.manifest.model import Secret
from pipeline.targets.remote import Answer

_CONNECT, _READ = 5.0, 30.0
_FOLLOW = 24 * 3600.0
_CONNECTION = re.compile(r"^\w+\(host=[^)]*\): ")
"""How the library begins its reasons; the address is told already."""


class KubernetesCluster:
    """`pipeline.kubernetes.api.Cluster` over HTTPS. `address` is the API server's.

    When it does not accept `who` any more, `again` logs in once more for each request: tokens expire within a rollout.
    """

    def __init__(
        self, api: Any, namespace: str, who: str = "this user", again: Callable[[], Login] | None = None
    ) -> None:
        self._api, self._again, self._who = api, again, who
        self._why_not = ""
        self.namespace = namespace
        self.address: str = api.configuration.host

    def get(self, kind: str, name: str) -> Object | None:
        status, value = self._ask("GET", self._path(resource_of(kind), name))
        if status == 404:
            return None
        return self._object(status, value, f"{kind} {name}")

    def find(self, kind: str, *, labels: str = "", fields: str = "") -> list[Object]:
        query = [("labelSelector", labels), ("fieldSelector", fields)]
        status, value = self._ask("GET", self._path(resource_of(kind)), [pair for pair in query if pair[1]])
        return list(self._object(status, value, f"the list of {resource_of(kind).plural}").get("items") or ())

    def apply(self, wanted: Object, *, dry_run: bool = False, force: bool = False, manager: str = MANAGER) -> Object:
        name = wanted["metadata"]["name"]
        query = [("fieldManager", manager), ("force", str(force).lower()), *([("dryRun", "All")] if dry_run else [])]
        path = self._path(resource_of(wanted["kind"], wanted["apiVersion"]), name)
        status, value = self._ask("PATCH", path, query, wanted, "application/apply-patch+yaml")
        return self._object(status, value, f"{wanted['kind']} {name}")

    def merge(self, kind: str, name: str, change: Object) -> Object:
        path = self._path(resource_of(kind), name)
        status, value = self._ask("PATCH", path, [("fieldManager", MANAGER)], change, "application/merge-patch+json")
        return self._object(status, value, f"{kind} {name}")

    def replace(self, changed: Object, *, dry_run: bool = False) -> Object:
        name = changed["metadata"]["name"]
        path = self._path(resource_of(changed["kind"], changed["apiVersion"]), name)
        query = [("fieldManager", MANAGER), *([("dryRun", "All")] if dry_run else [])]
        status, value = self._ask("PUT", path, query, changed, "application/json")
        return self._object(status, value, f"{changed['kind']} {name}")

    def delete(self, kind: str, name: str) -> None:
        path = self._path(resource_of(kind), name)
        status, value = self._ask("DELETE", path, [("propagationPolicy", "Background")])
        if status != 404:
            self._object(status, value, f"{kind} {name}")

    def version(self) -> tuple[int, int]:
        status, value = self._ask("GET", "/version")
        found = self._object(status, value, "the version")
        # Vendors write 1.33+ for what they have changed.
        major, minor = (re.match(r"\d+", str(found.get(name, ""))) for name in ("major", "minor"))
        return (int(major[0]) if major else 0, int(minor[0]) if minor else 0)

    def lacking(self, wanted: Sequence[Right]) -> list[Right]:
        rules = self._review("selfsubjectrulesreviews", "SelfSubjectRulesReview", {"namespace": self.namespace})
        if not rules.get("incomplete"):
            return not_granted(wanted, rules.get("resourceRules") or ())
        return [right for right in wanted if not self._may(right)]

    def _may(self, right: Right) -> bool:
        resource, _, part = right.resource.partition("/")
        asked = {"namespace": self.namespace, "verb": right.verb, "group": right.group, "resource": resource}
        attributes = {"resourceAttributes": {**asked, **({"subresource": part} if part else {})}}
        return bool(self._review("selfsubjectaccessreviews", "SelfSubjectAccessReview", attributes).get("allowed"))

    def _review(self, plural: str, kind: str, spec: Object) -> Object:
        """What the API server tells anyone of their own rights (authorization.k8s.io/v1)."""
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
        status, value = self._ask("POST", f"/apis/authorization.k8s.io/v1/{plural}", [], body, "application/json")
        return dict(self._object(status, value, "the question which rights there are").get("status") or {})

    def logs(
        self, pod: str, *, previous: bool = False, follow: bool = False, lines: int | None = None
    ) -> Iterator[str]:
        query = [("container", "service"), ("previous", str(previous).lower()), ("follow", str(follow).lower())]
        query += [("tailLines", str(lines))] if lines is not None else []
        timeout = _FOLLOW if follow else _READ
        with self._answering():
            response = self._send("GET", f"{self._path(resource_of('Pod'), pod)}/log", query, timeout=timeout)
            if response.status == 400:
                # A container that has not begun, or none before this one, has no log.
                return
            if response.status >= 300:
                raise self._refused(response.status, _status(response.read()), f"the log of pod {pod}")
            yield from _lines(response)

    def call(
        self, service: str, port: int, path: str, body: bytes, headers: Mapping[str, str], timeout: float
    ) -> Answer:
        """Through the API server's service proxy, which gives a 503 of its own where it reaches no pod."""
        from urllib3.exceptions import ReadTimeoutError

        url = f"{self._path(resource_of('Service'), f'http:{service}:{port}')}/proxy{path}"
        # The library makes JSON of bodies itself.
        value = json.loads(body)
        send = partial(self._sent, "POST", url, [], value, "application/json", timeout, headers)
        with self._answering():
            try:
                answer = _answer(send())
                if answer.status == 401 and _of_server(answer.body) and self._logged_in_again():
                    answer = _answer(send())
            except ReadTimeoutError:
                raise ConnectionError(f"none came within {timeout:g} s") from None
        if answer.status in (401, 403, 500, 502, 503, 504) and (told := _of_server(answer.body)):
            # The API server's own word, not the service's.
            refused = self._refused(answer.status, told, f"a request to the service {service}")
            if isinstance(refused, Unauthorized):
                raise refused
            raise ConnectionError(str(refused) if answer.status == 403 else refused.message)
        return answer

    def _path(self, resource: Resource, name: str = "") -> str:
        return f"{resource.prefix}/namespaces/{self.namespace}/{resource.plural}" + (f"/{name}" if name else "")

    def _object(self, status: int, value: Object, what: str) -> Object:
        if not 200 <= status < 300:
            raise self._refused(status, value, what)
        return value

    def _refused(self, status: int, value: Object, what: str) -> PipelineError:
        return refusal(status, value, what, self.namespace, self._who + self._why_not)

    def _logged_in_again(self) -> bool:
        """With what is there by now: a kubeconfig that was written anew, or a program or Azure that gives a new token.

        What is another cluster by now is not taken.
        """
        try:
            found = self._again() if self._again else None
        except (UsageError, OutOfReach) as error:
            self._why_not = f", and new ones cannot be had ({error})"
            return False
        if found is None or found.api.configuration.host != self.address:
            return False
        self._api, self._why_not = found.api, ""
        return True

    def _ask(
        self, method: str, path: str, query: list[tuple[str, str]] | None = None, body: Any = None, content: str = ""
    ) -> tuple[int, Object]:
        with self._answering():
            response = self._send(method, path, query or [], body, content)
            data = response.read()
        return response.status, _status(data)

    def _send(
        self,
        method: str,
        path: str,
        query: list[tuple[str, str]],
        body: Any = None,
        content: str = "",
        timeout: float = _READ,
    ) -> Any:
        response = self._sent(method, path, query, body, content, timeout)
        if response.status == 401 and self._logged_in_again():
            return self._sent(method, path, query, body, content, timeout)
        return response

    def _sent(
        self,
        method: str,
        path: str,
        query: list[tuple[str, str]],
        body: Any = None,
        content: str = "",
        timeout: float = _READ,
        more: Mapping[str, str] | None = None,
    ) -> Any:
        headers = {"Accept": "application/json, */*", **(more or {}), **({"Content-Type": content} if content else {})}
        call = self._api.param_serialize(
            method, path, query_params=query, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        return self._api.call_api(*call, _request_timeout=(_CONNECT, timeout)).response

    @contextmanager
    def _answering(self) -> Iterator[None]:
        import urllib3
        from kubernetes.client.exceptions import ApiException

        try:
            yield
        except urllib3.exceptions.HTTPError as error:
            reason = _CONNECTION.sub("", str(getattr(error, "reason", None) or error))
            raise _unreachable(self.address, reason) from None
        except ApiException as error:
            raise _unreachable(self.address, str(error.reason)) from None


def _unreachable(address: str, reason: str) -> OutOfReach:
    if "certificate" in reason.lower():
        remedy = "check the cluster's certificate-authority in the kubeconfig"
        return OutOfReach(f"the API server {address} is not trusted: {reason}", remedy=remedy, lasting=True)
    remedy = "check the network, and the context's server in the kubeconfig"
    return OutOfReach(f"the API server {address} does not answer: {reason}", remedy=remedy, transient=True)


def _status(data: bytes) -> Object:
    """An answer's object, or a Status object of ours for what is none."""
    try:
        value = json.loads(data)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"message": data.decode(errors="replace")[:300]}


def _answer(response: Any) -> Answer:
    return Answer(response.status, response.read())


def _of_server(body: bytes) -> Object:
    """A Status object of the API server; empty for anything else."""
    value = _status(body)
    return value if value.get("kind") == "Status" and "metadata" in value else {}


def _lines(response: Any) -> Iterator[str]:
    rest = b""
    for piece in response.stream(8192):
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
    if rest:
        yield rest.decode(errors="replace")


def connect(
    environ: Mapping[str, str],
    *,
    context: str = "",
    namespace: str = "",
    config: str | Callable[[], Secret] = "",
    token: Callable[[], Secret] | None = None,
) -> KubernetesCluster:
    """A namespace of a cluster, by what `log_in` finds; once that is not accepted any more, by what is there then."""
    import urllib3

    # Whoever writes insecure-skip-tls-verify knows.
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    first = log_in(environ, context=context, config=config, token=token)
    # Somebody may choose another current context meanwhile.
    again = partial(log_in, environ, context=first.context, config=config, token=token)
    return KubernetesCluster(first.api, namespace or first.namespace or "default", first.who, again)
