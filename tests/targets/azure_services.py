"""Doubles of Azure ML's endpoints and of Azure Container Instances, which check what they are sent."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from azure_double import CLIENT, GROUP, SECRET, TENANT, WORKSPACE, AzureDouble, doubled, refuse, reply
from registry_doubles import Exchange

from pipeline.digest import digest_of
from pipeline.manifest.model import Secret
from pipeline.targets.model import Release
from pipeline.targets.remote import Account, Surroundings

ML, ACI = "2023-04-01", "2023-05-01"
KEY = "the-k3y-of-the-endpoint"
OPERATIONS = f"/subscriptions/{GROUP.split('/')[2]}/providers/operations"
Json = dict[str, Any]


class Time:
    """Passes only when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.waits.append(seconds)


@dataclass
class Operation:
    """A long operation: `left` looks until it ends, with `error` or well."""

    left: int
    error: Json | None = None
    end: Callable[[], None] = lambda: None


@dataclass
class Azure(AzureDouble):
    """`slow` is how many looks an operation takes; `verdicts` (part of a path → error) are those that end badly."""

    operations: dict[str, Operation] = field(default_factory=dict)
    slow: int = 2
    verdicts: dict[str, Json] = field(default_factory=dict)
    scored: list[Mapping[str, str]] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    puts: list[tuple[str, Json]] = field(default_factory=list)
    log: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    hub: Callable[[Exchange, str, Mapping[str, list[str]]], None] = lambda exchange, *_: exchange.reply(404, {})

    def around(self, time: Time, folder: Path, account: Account | None = None, **environ: str) -> Surroundings:
        keys = {"AZURE_TENANT_ID": TENANT, "AZURE_CLIENT_ID": CLIENT, "AZURE_CLIENT_SECRET": SECRET}
        known = {**self.environ, **keys, **environ}
        return Surroundings(folder, folder, known, lambda _: account, self.said.append, time, time.wait)

    # -- answering ----------------------------------------------------------------------------------------------

    def answer(self, exchange: Exchange) -> None:
        path = urlsplit(exchange.path).path
        if path == "/score":
            self._score(exchange)
        elif path.startswith(("/twins/", "/devices/")):
            self.asked.append(f"{exchange.command} {path}")
            self.hub(exchange, path, parse_qs(urlsplit(exchange.path).query))
        else:
            super().answer(exchange)

    def _manager(self, exchange: Exchange, path: str, query: Mapping[str, list[str]]) -> None:
        raw = exchange.body()
        token = (exchange.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in self.tokens or f"{self.base}/.default" not in token:
            refuse(exchange, 401, "InvalidAuthenticationToken", "The access token is invalid.")
        elif path.startswith(OPERATIONS):
            self._operation(exchange, path)
        elif path in (WORKSPACE, GROUP):
            reply(exchange, 200, {"id": path, "location": "westeurope", "properties": {}})
        elif query.get("api-version") != [ML if path.startswith(WORKSPACE) else ACI]:
            refuse(exchange, 400, "NoRegisteredProviderFound", f"No version {query.get('api-version')}")
        else:
            self._act(exchange, path, json.loads(raw) if raw else {})

    def _act(self, exchange: Exchange, path: str, body: Json) -> None:
        method = exchange.command
        action = path.rpartition("/")[2]
        if method == "POST":
            self._action(exchange, path.rpartition("/")[0], action, body)
        elif method == "PUT":
            self._put(exchange, path, body)
        elif method == "DELETE":
            self._delete(exchange, path)
        elif action in ("deployments",):
            found = [self._shown(one) for one in self.resources if one.startswith(f"{path}/")]
            reply(exchange, 200, {"value": found})
        elif path.endswith("/containers/service/logs"):
            reply(exchange, 200, {"content": self.log.get(path.partition("/containers/")[0], "")})
        elif path not in self.resources:
            refuse(exchange, 404, "ResourceNotFound", f"The Resource '{path.rpartition('/')[2]}' was not found.")
        else:
            reply(exchange, 200, self._shown(path))

    def _shown(self, path: str) -> Json:
        """As GET gives it: without what is secret."""
        value = copy.deepcopy(self.resources[path])
        for container in value["properties"].get("containers", ()):
            for variable in container["properties"].get("environmentVariables", ()):
                variable.pop("secureValue", None)
        for one in value["properties"].get("imageRegistryCredentials", ()):
            one.pop("password", None)
        return value

    def _action(self, exchange: Exchange, path: str, action: str, body: Json) -> None:
        if path not in self.resources:
            refuse(exchange, 404, "ResourceNotFound", "The Resource was not found.")
        elif action == "listKeys":
            reply(exchange, 200, {"primaryKey": KEY, "secondaryKey": "other"})
        elif action == "token":
            reply(exchange, 200, {"accessToken": KEY, "expiryTimeUtc": 1, "tokenType": "Bearer"})
        elif action == "getLogs":
            assert body["containerType"] == "InferenceServer"
            lines = self.log.get(path.rpartition("/")[2], "").splitlines()
            reply(exchange, 200, {"content": "\n".join(lines[-body.get("tail", 1000) :])})
        elif action == "stop":
            self.resources[path]["properties"]["instanceView"] = {"state": "Stopped"}
            self.log.pop(path, None)
            exchange.reply(204, {})
        else:
            refuse(exchange, 404, "NotFound", f"There is no action {action}.")

    def _put(self, exchange: Exchange, path: str, body: Json) -> None:
        if wrong := self._wrong(path, body):
            refuse(exchange, 400, *wrong)
            return
        self.puts.append((path, body))
        there = path in self.resources
        name = path.rpartition("/")[2]
        if "/environments/" in path:
            if there and self.resources[path]["properties"]["image"] != body["properties"]["image"]:
                refuse(exchange, 409, "ImmutableVersion", "An environment's version cannot be changed.")
                return
            self.resources[path] = {**body, "id": path, "name": name}
            reply(exchange, 200 if there else 201, self.resources[path])
            return
        value = {**copy.deepcopy(body), "id": path, "name": name}
        value["properties"] |= self._made(path)
        value["properties"]["provisioningState"] = "Updating" if there else "Creating"
        value["identity"] = {**body.get("identity", {}), "principalId": "p-1"} if "/onlineEndpoints/" in path else {}
        self.resources[path] = value
        error = next((one for part, one in self.verdicts.items() if part in path), None)
        self._begin(exchange, path, error, 200 if there else 201)

    def _made(self, path: str) -> Json:
        """What the service adds to a resource."""
        name = path.rpartition("/")[2]
        if "/containerGroups/" in path:
            return self._running(self.puts[-1][1]["properties"])
        return (
            {} if "/deployments/" in path else {"scoringUri": f"{self.base}/score", "swaggerUri": f"{self.base}/{name}"}
        )

    def _running(self, properties: Json) -> Json:
        containers = copy.deepcopy(properties["containers"])
        for one in containers:
            one["properties"]["instanceView"] = {"restartCount": 0, "currentState": {"state": "Running"}}
        address = {**properties["ipAddress"], "ip": "10.0.0.4"}
        if label := address.get("dnsNameLabel"):
            address["fqdn"] = f"{label}.westeurope.azurecontainer.io"
        return {"instanceView": {"state": "Running", "events": []}, "containers": containers, "ipAddress": address}

    def _wrong(self, path: str, body: Json) -> tuple[str, str] | None:
        """What the service would say of a body."""
        properties = body.get("properties") or {}
        if "/deployments/" in path:
            if path.partition("/deployments/")[0] not in self.resources:
                return "EndpointNotFound", "The endpoint does not exist."
            if properties.get("environmentId") not in self.resources:
                return "BadArgument", "The environment does not exist."
            if properties.get("endpointComputeType") != "Managed" or not body["sku"]["capacity"]:
                return "BadArgument", "The deployment is not valid."
            if properties["instanceType"] == "Standard_Nothing":
                return "BadArgument", "The specified VM SKU Standard_Nothing is not supported."
        elif "/containerGroups/" in path:
            return self._wrong_group(path, properties)
        elif "/onlineEndpoints/" in path:
            traffic, mirror = properties.get("traffic") or {}, properties.get("mirrorTraffic") or {}
            names = {one.rpartition("/")[2] for one in self.resources if one.startswith(f"{path}/deployments/")}
            if {*traffic, *mirror} - names or sum(traffic.values()) not in (0, 100) or sum(mirror.values()) > 50:
                return "InvalidTraffic", f"The traffic {traffic} is not valid."
            if properties.get("authMode") not in ("Key", "AMLToken", "AADToken") or "location" not in body:
                return "BadArgument", "The endpoint is not valid."
        return None

    def _wrong_group(self, path: str, properties: Json) -> tuple[str, str] | None:
        container = properties["containers"][0]["properties"]
        if not container["image"].startswith("prod.azurecr.io/ml/web@sha256:"):
            return "InvalidImage", "The image is not valid."
        if container["resources"]["requests"]["cpu"] > 4:
            words = "Resource type 'Microsoft.ContainerInstance/containerGroups' container group quota 'StandardCores'"
            return "ContainerGroupQuotaReached", f"{words} exceeded in region 'westeurope'."
        if live := self.resources.get(path):
            before = live["properties"]["containers"][0]["properties"]["resources"]
            if before != container["resources"]:
                return "InvalidContainerGroupUpdate", "The updates on container group are invalid."
        return None

    def _delete(self, exchange: Exchange, path: str) -> None:
        if path not in self.resources:
            exchange.reply(204, {})
            return
        endpoint, _, name = path.partition("/deployments/")
        if name and self.resources[endpoint]["properties"].get("traffic", {}).get(name):
            refuse(exchange, 400, "BadArgument", "A deployment with traffic cannot be deleted.")
            return
        self.resources[path]["properties"]["provisioningState"] = "Deleting"
        self._begin(exchange, path, None, 202, delete=True)

    def _begin(self, exchange: Exchange, path: str, error: Json | None, status: int, delete: bool = False) -> None:
        id_ = f"{OPERATIONS}/{len(self.operations)}"

        def end() -> None:
            if delete:
                self.resources.pop(path, None)
            else:
                self.resources[path]["properties"]["provisioningState"] = "Failed" if error else "Succeeded"

        self.operations[id_] = Operation(self.slow, error, end)
        url = f"{self.base}{id_}?api-version=2022-02-01-preview"
        headers = {"Azure_AsyncOperation": url, "Location": f"{url}&result=1", "Retry_After": "0"}
        reply(exchange, status, {} if delete else self._shown(path), **headers)

    def look(self) -> None:
        """Time goes on for every operation, one look at a time."""
        for one in [*self.operations.values()]:
            one.left -= 1
            if one.left == 0:
                one.end()

    def _operation(self, exchange: Exchange, path: str) -> None:
        found = self.operations[path]
        status = "InProgress" if found.left > 0 else "Failed" if found.error else "Succeeded"
        reply(exchange, 200, {"status": status, **({"error": found.error} if found.error and found.left <= 0 else {})})

    def _score(self, exchange: Exchange) -> None:
        body = exchange.body()
        self.scored.append({name.lower(): text for name, text in exchange.headers.items()})
        named = exchange.headers.get("azureml-model-deployment", "")
        if exchange.headers.get("Authorization") != f"Bearer {KEY}":
            exchange.reply(401, {}, b"key_auth_access_denied")
        elif named in self.broken:
            exchange.reply(500, {}, b"run() raised")
        else:
            reply(exchange, 200, {"scored": json.loads(body)})


class _Looked(Time):
    """Each wait is a look at Azure's operations."""

    def __init__(self, azure: Azure) -> None:
        super().__init__()
        self._azure = azure

    def wait(self, seconds: float) -> None:
        super().wait(seconds)
        self._azure.look()


@contextmanager
def azure_on(folder: Path) -> Iterator[tuple[Azure, Time]]:
    azure = Azure()
    with doubled(folder, azure):
        yield azure, _Looked(azure)


def release(name: str = "one", **settings: Any) -> Release:
    """Of an image called so."""
    image = digest_of(name.encode())
    reference = f"prod.azurecr.io/ml/web@{image}"
    return Release(
        "shop-prod", image, (), {"config": {}}, 5001, 5001, {"image": "web", **settings}, reference=reference
    )


ACCOUNT = Account("prod.azurecr.io", "puller", Secret("pull-w0rd"))
