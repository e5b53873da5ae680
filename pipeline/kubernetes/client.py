"""A real cluster, by the official client; the only module that imports `kubernetes`."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.errors import OutOfReach, UsageError
from pipeline.kubernetes.api import MANAGER, Object, Resource, Right, refusal, resource_of
from pipeline.kubernetes.rights import not_granted
from pipeline.manifest.model import Secret
from pipeline.targets.remote import Answer

_CONNECT, _READ = 5.0, 30.0
_FOLLOW = 24 * 3600.0
_CONNECTION = re.compile(r"^\w+\(host=[^)]*\): ")
"""How the library begins its reasons; the address is told already."""
_IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class KubernetesCluster:
    """`pipeline.kubernetes.api.Cluster` over HTTPS. `address` is the API server's."""

    def __init__(self, api: Any, namespace: str) -> None:
        self._api = api
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

    def replace(self, changed: Object) -> Object:
        name = changed["metadata"]["name"]
        path = self._path(resource_of(changed["kind"], changed["apiVersion"]), name)
        status, value = self._ask("PUT", path, [("fieldManager", MANAGER)], changed, "application/json")
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
                raise refusal(response.status, _status(response.read()), f"the log of pod {pod}", self.namespace)
            yield from _lines(response)

    def call(
        self, service: str, port: int, path: str, body: bytes, headers: Mapping[str, str], timeout: float
    ) -> Answer:
        """Through the API server's service proxy, which gives a 503 of its own where it reaches no pod."""
        url = f"{self._path(resource_of('Service'), f'http:{service}:{port}')}/proxy{path}"
        try:
            with self._answering():
                # The library makes JSON of bodies itself.
                response = self._send("POST", url, [], json.loads(body), "application/json", timeout, headers)
                answer = Answer(response.status, response.read())
        except OutOfReach as error:
            raise ConnectionError(error.message) from error
        if answer.status in (403, 500, 502, 503, 504) and (told := _of_server(answer.body)):
            # The API server's own word, not the service's.
            refused = refusal(answer.status, told, f"a request to the service {service}", self.namespace)
            raise ConnectionError(str(refused) if answer.status == 403 else refused.message)
        return answer

    def _path(self, resource: Resource, name: str = "") -> str:
        return f"{resource.prefix}/namespaces/{self.namespace}/{resource.plural}" + (f"/{name}" if name else "")

    def _object(self, status: int, value: Object, what: str) -> Object:
        if not 200 <= status < 300:
            raise refusal(status, value, what, self.namespace)
        return value

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
        return OutOfReach(f"the API server {address} is not trusted: {reason}", remedy=remedy)
    remedy = "check the network, and the context's server in the kubeconfig"
    return OutOfReach(f"the API server {address} does not answer: {reason}", remedy=remedy, transient=True)


def _status(data: bytes) -> Object:
    """An answer's object, or a Status object of ours for what is none."""
    try:
        value = json.loads(data)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"message": data.decode(errors="replace")[:300]}


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
    config: str | Secret = "",
    token: Callable[[], Secret] | None = None,
) -> KubernetesCluster:
    """A namespace of a cluster: by a kubeconfig file (or its text, a Secret), else KUBECONFIG, ~/.kube/config, or from
    within a pod. `token` signs in where the text names a program for that. UsageError for what none of them has.
    """
    try:
        from kubernetes import client
    except ImportError:
        raise UsageError(
            "the kubernetes target needs the official client", remedy="pip install 'pipeline-images[kubernetes]'"
        ) from None
    import urllib3

    # Whoever writes insecure-skip-tls-verify knows.
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    settings = client.Configuration()
    settings.retries = False
    found = ""
    if isinstance(config, Secret):
        found = _from_text(config, token, settings)
    elif config or not _within(environ):
        found = _from_file(str(config) or _default(environ), context, settings)
    else:
        from kubernetes.config import load_incluster_config

        load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
        with suppress(OSError):
            found = (_IN_CLUSTER / "namespace").read_text().strip()
    return KubernetesCluster(client.ApiClient(settings), namespace or found or "default")


def _default(environ: Mapping[str, str]) -> str:
    return environ.get("KUBECONFIG") or str(Path(environ.get("HOME") or Path.home()) / ".kube/config")


def _within(environ: Mapping[str, str]) -> bool:
    """Whether this runs in a pod, and no file says otherwise."""
    files = _default(environ).split(":")
    return bool(environ.get("KUBERNETES_SERVICE_HOST")) and not any(Path(file).is_file() for file in files)


def _from_file(file: str, context: str, settings: Any) -> str:
    from kubernetes.config import ConfigException, list_kube_config_contexts, load_kube_config

    if not any(Path(one).is_file() for one in file.split(":")):
        remedy = "set KUBECONFIG, or `kubeconfig` in the target"
        raise UsageError(f"there is no kubeconfig: {file} is not there", remedy=remedy)
    try:
        contexts, current = list_kube_config_contexts(file)  # type: ignore[no-untyped-call]
        _known(context, [one["name"] for one in contexts], file)
        load_kube_config(file, context or None, settings, persist_config=False)  # type: ignore[no-untyped-call]
    except ConfigException as error:
        raise UsageError(f"the kubeconfig {file} cannot be used: {error}") from None
    chosen = next((one for one in contexts if one["name"] == context), current)
    return str((chosen.get("context") or {}).get("namespace") or "")


def _from_text(config: Secret, token: Callable[[], Secret] | None, settings: Any) -> str:
    """A kubeconfig whose user is to be asked of a program signs in by `token` instead, where there is one."""
    from kubernetes.config import ConfigException, load_kube_config_from_dict
    from kubernetes.config.kube_config import KubeConfigMerger

    try:
        value = KubeConfigMerger(io.StringIO(config.reveal())).config  # type: ignore[no-untyped-call]
        for entry in value.get("users") or () if token else ():
            # The program (kubelogin) need not be installed.
            if (entry.get("user") or {}).pop("exec", None) and token:
                entry["user"]["token"] = token().reveal()
        load_kube_config_from_dict(value, None, settings, persist_config=False)  # type: ignore[no-untyped-call]
    except ConfigException as error:
        raise UsageError(f"the cluster's kubeconfig cannot be used: {error}") from None
    return ""


def _known(context: str, names: list[str], file: str) -> None:
    if context and context not in names:
        from pipeline.manifest.words import suggestion

        raise UsageError(f"there is no context '{context}' in {file}", remedy=suggestion(context, names, "there are"))
