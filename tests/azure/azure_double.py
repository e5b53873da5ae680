"""A double of Azure over TLS: its sign-in, its resource manager and its storage, which check what they are sent."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import ssl
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from registry_doubles import Exchange
from registry_server import certificate

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
TENANT = "99999999-8888-7777-6666-555555555555"
CLIENT, SECRET = "aaaaaaaa-0000-0000-0000-00000000000c", "the-s3cret-of-the-principal"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/ml"
WORKSPACE = f"{GROUP}/providers/Microsoft.MachineLearningServices/workspaces/ws"
REGISTRY = f"{GROUP}/providers/Microsoft.ContainerRegistry/registries/prod"
RUNS = "2019-06-01-preview"


@dataclass
class Run:
    """A build: its statuses one after the other, one for each time it is asked for; its log in parts, as they come."""

    id: str
    request: dict[str, Any]
    statuses: list[str]
    log: list[bytes]
    push: Callable[[], str]
    shown: int = 0
    digest: str = ""


@dataclass
class AzureDouble:
    """`resources` (ARM id → properties) are what is there; `faults` are answers (method, path part) → those to give
    first. A schedule makes a run as `built` says: it gets the request and the context's tar, and gives the statuses,
    the log, and what pushes the image in the end and gives its digest.
    """

    environ: dict[str, str] = field(default_factory=dict)
    base: str = ""
    registry_host: str = ""
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    bodies: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    faults: dict[tuple[str, str], list[Callable[[Exchange], None]]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    built: Callable[[dict[str, Any], tarfile.TarFile], tuple[list[str], list[bytes], Callable[[], str]]] | None = None
    wrong: list[str] = field(default_factory=list)

    def answer(self, exchange: Exchange) -> None:
        url = urlsplit(exchange.path)
        self.asked.append(f"{exchange.command} {url.path}")
        for (method, part), waiting in self.faults.items():
            if method == exchange.command and part in url.path and waiting:
                exchange.body()
                waiting.pop(0)(exchange)
                return
        if url.path.startswith("/blobs/"):
            self._storage(exchange, url.path, parse_qs(url.query))
        elif url.path.startswith("/subscriptions"):
            self._manager(exchange, url.path, parse_qs(url.query))
        else:
            self._authority(exchange, url.path)

    # -- signing in ---------------------------------------------------------------------------------------------

    def _authority(self, exchange: Exchange, path: str) -> None:
        if path.endswith("/openid-configuration"):
            place = f"{self.base}/{TENANT}"
            value = {"issuer": f"{place}/v2.0", "authorization_endpoint": f"{place}/oauth2/v2.0/authorize"}
            reply(exchange, 200, {**value, "token_endpoint": f"{place}/oauth2/v2.0/token"})
            return
        form = {name: values[0] for name, values in parse_qs(exchange.body().decode()).items()}
        if path != f"/{TENANT}/oauth2/v2.0/token" or form.get("client_id") != CLIENT:
            reply(exchange, 400, {"error": "invalid_request", "error_description": f"AADSTS90002: Tenant {path}"})
        elif form.get("client_secret") != SECRET:
            words = "AADSTS7000215: Invalid client secret provided. Trace ID: 1 Correlation ID: 2"
            reply(exchange, 401, {"error": "invalid_client", "error_description": words, "error_codes": [7000215]})
        else:
            token = f"entra {form['scope']} {len(self.tokens)}".replace(" ", "-")
            self.tokens.add(token)
            reply(exchange, 200, {"token_type": "Bearer", "expires_in": 3600, "access_token": token})

    # -- resources ----------------------------------------------------------------------------------------------

    def _manager(self, exchange: Exchange, path: str, query: Mapping[str, list[str]]) -> None:
        raw = exchange.body()
        token = (exchange.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in self.tokens or f"{self.base}/.default" not in token:
            refuse(exchange, 401, "InvalidAuthenticationToken", "The access token is invalid.")
            return
        if "api-version" not in query:
            refuse(exchange, 400, "MissingApiVersionParameter", "The api-version is required.")
            return
        body = json.loads(raw) if raw else {}
        self.bodies.append((f"{exchange.command} {path}", body))
        prefix, _, rest = path.partition(f"{REGISTRY}/")
        if not prefix and rest:
            self._registry(exchange, rest, query, body)
        elif path == "/subscriptions":
            entries = [{"subscriptionId": SUBSCRIPTION, "displayName": "ml", "state": "Enabled"}]
            reply(exchange, 200, {"value": entries})
        elif path == f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.ContainerRegistry/registries":
            found = [one for one in self.resources if "/registries/" in one]
            reply(exchange, 200, {"value": [self._resource(one) for one in found]})
        elif path in self.resources:
            reply(exchange, 200, self._resource(path))
        else:
            refuse(exchange, 404, "ResourceNotFound", f"The Resource '{path}' was not found.")

    def _resource(self, id_: str) -> dict[str, Any]:
        return {"id": id_, "name": id_.rpartition("/")[2], "properties": self.resources[id_]}

    def _registry(self, exchange: Exchange, rest: str, query: Mapping[str, list[str]], body: dict[str, Any]) -> None:
        if query["api-version"] != [RUNS]:
            refuse(exchange, 400, "NoRegisteredProviderFound", f"No version {query['api-version']}.")
        elif rest == "listBuildSourceUploadUrl":
            place = f"source/{len(self.blobs)}.tar.gz"
            value = {"uploadUrl": f"{self.base}/blobs/{place}?sig=s1gnature", "relativePath": place}
            reply(exchange, 200, value)
        elif rest == "scheduleRun":
            self._schedule(exchange, body)
        elif rest.endswith("/listLogSasUrl"):
            reply(exchange, 200, {"logLink": f"{self.base}/blobs/log/{rest.split('/')[1]}?sig=s1gnature"})
        elif rest.startswith("runs/") and (run := self.runs.get(rest.removeprefix("runs/"))):
            reply(exchange, 200, self._run(run, run.statuses.pop(0) if len(run.statuses) > 1 else run.statuses[0]))
        else:
            refuse(exchange, 404, "RunNotFound", f"There is no {rest}.")

    def _schedule(self, exchange: Exchange, body: dict[str, Any]) -> None:
        assert self.built is not None
        if body.get("type") != "DockerBuildRequest" or not body.get("platform", {}).get("os"):
            refuse(exchange, 400, "InvalidRunRequest", "The run request is not valid.")
            return
        if not 300 <= body.get("timeout", 3600) <= 28800:
            refuse(exchange, 400, "InvalidTimeout", "timeout must be between 300 and 28800 seconds.")
            return
        source = self.blobs.get(body.get("sourceLocation", ""))
        if source is None:
            refuse(exchange, 400, "InvalidSource", "The source was not uploaded.")
            return
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(source))) as tar:
            if body["dockerFilePath"] not in tar.getnames():
                refuse(exchange, 400, "NoDockerfile", f"There is no {body['dockerFilePath']}.")
                return
            statuses, log, push = self.built(body, tar)
        run = Run(f"ca{len(self.runs) + 1}", body, statuses, log, push)
        self.runs[run.id] = run
        reply(exchange, 200, self._run(run, "Queued"))

    def _run(self, run: Run, status: str) -> dict[str, Any]:
        properties: dict[str, Any] = {"runId": run.id, "status": status, "runType": "QuickBuild"}
        properties |= {"createTime": "2026-01-01T00:00:00Z", "startTime": "2026-01-01T00:00:04Z"}
        if status in ("Succeeded", "Failed", "Timeout", "Canceled", "Error"):
            properties["finishTime"] = "2026-01-01T00:03:00Z"
        if status == "Failed":
            properties["runErrorMessage"] = "failed to run step ID: build: exit status 1"
        if status == "Succeeded":
            run.digest = run.digest or run.push()
            repository, _, tag = run.request["imageNames"][0].partition(":")
            image = {"registry": self.registry_host, "repository": repository, "tag": tag, "digest": run.digest}
            properties["outputImages"] = [image] if run.digest else []
        return {"id": f"{REGISTRY}/runs/{run.id}", "name": run.id, "properties": properties}

    # -- storage ------------------------------------------------------------------------------------------------

    def _storage(self, exchange: Exchange, path: str, query: Mapping[str, list[str]]) -> None:
        data = exchange.body()
        if "Authorization" in exchange.headers:
            self.wrong.append(f"{exchange.command} {path} carries a token")
        name = path.removeprefix("/blobs/")
        if query.get("sig") != ["s1gnature"]:
            exchange.reply(403, {}, b"<Error><Code>AuthenticationFailed</Code></Error>")
        elif exchange.command == "PUT":
            if exchange.headers.get("x-ms-blob-type") != "BlockBlob":
                exchange.reply(400, {}, b"<Error><Code>MissingRequiredHeader</Code></Error>")
                return
            self.blobs[name] = data
            exchange.reply(201, {})
        else:
            self._log(exchange, self.runs[name.removeprefix("log/")])

    def _log(self, exchange: Exchange, run: Run) -> None:
        if exchange.command == "HEAD":
            run.shown = min(run.shown + 1, len(run.log))
            if not run.shown:
                exchange.reply(404, {})
                return
            done = {"x-ms-meta-Complete": "successful"} if run.shown == len(run.log) else {}
            exchange.reply(200, {"Content-Length": str(len(b"".join(run.log[: run.shown]))), **done})
            return
        whole = b"".join(run.log[: run.shown])
        first, _, last = exchange.headers["Range"].removeprefix("bytes=").partition("-")
        part = whole[int(first) : int(last) + 1]
        exchange.reply(206, {"Content-Range": f"bytes {first}-{last}/{len(whole)}"}, part)


def reply(exchange: Exchange, status: int, value: object, **headers: str) -> None:
    given = {name.replace("_", "-"): text for name, text in headers.items()}
    exchange.reply(status, {"Content-Type": "application/json", **given}, json.dumps(value).encode())


def refuse(exchange: Exchange, status: int, code: str, words: str, **headers: str) -> None:
    reply(exchange, status, {"error": {"code": code, "message": words}}, **headers)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def doubled(folder: Path, double: AzureDouble | None = None) -> Iterator[AzureDouble]:
    """Azure on a free port; `environ` leads there."""
    double = double or AzureDouble()
    ca = certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca, ca.with_name("key.pem"))
    # Headers and body go apart: the second would wait until the first has been acknowledged.
    handler = {"answer": staticmethod(double.answer), "disable_nagle_algorithm": True}
    server = _Server(("127.0.0.1", 0), type("Handler", (Exchange,), handler))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    double.base = f"https://127.0.0.1:{server.server_address[1]}"
    double.environ = {
        "AZURE_AUTHORITY_HOST": double.base,
        "AZURE_RESOURCE_MANAGER_ENDPOINT": double.base,
        "SSL_CERT_FILE": str(ca),
        "HOME": str(folder),
    }
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield double
    finally:
        server.shutdown()
        server.server_close()
