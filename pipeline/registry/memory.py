"""OCI registries in memory, as a transport: what tests and dry runs talk to in place of the network.

It answers as the distribution-spec 1.1 has it ("Endpoints"), for every host it is asked for, each host its own.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pipeline.digest import digest_of
from pipeline.http import Body, Response

_CHUNK = 1 << 16
_PATH = re.compile(r"/v2/(?P<name>.+?)/(?P<what>manifests|blobs/uploads|blobs|tags)/(?P<which>[^/]*)")


@dataclass
class Held:
    """What one repository holds: blobs, image manifests (media type and bytes) by digest, and tags."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Call:
    host: str
    method: str
    name: str
    which: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


class MemoryRegistry:
    """Registries by host. `users` (names to passwords) makes them ask for basic authentication.

    `repositories[host, name]` shows what is held; `seen` lists the requests as "METHOD PATH".
    """

    def __init__(self, users: Mapping[str, str] | None = None) -> None:
        self.repositories: dict[tuple[str, str], Held] = {}
        self.seen: list[str] = []
        self._users = users
        self._uploads: dict[str, bytes] = {}
        self._ids = count(1)
        self._lock = threading.Lock()

    @contextmanager
    def send(self, method: str, url: str, headers: Mapping[str, str], body: Body = None) -> Iterator[Response]:
        data = body if isinstance(body, bytes) else b"".join(body or ())
        with self._lock:
            self.seen.append(f"{method} {urlsplit(url).path}")
            status, headers, found = self._answer(method, url, headers, data)
        headers = {"content-length": str(len(found)), **headers}
        shown = b"" if method == "HEAD" else found
        yield Response(status, headers, lambda: (shown[i : i + _CHUNK] for i in range(0, len(shown), _CHUNK)))

    def held(self, host: str, name: str) -> Held:
        """What a repository holds; empty for one that is new."""
        return self.repositories.setdefault((host, name), Held())

    def _answer(self, method: str, url: str, headers: Mapping[str, str], data: bytes) -> _Answer:
        parts = urlsplit(url)
        headers = {name.lower(): value for name, value in headers.items()}
        if self._users is not None and not self._knows(headers.get("authorization", "")):
            return _error(401, "UNAUTHORIZED", {"www-authenticate": 'Basic realm="memory"'})
        if parts.path == "/v2/":
            return 200, {}, b"{}"
        found = _PATH.fullmatch(parts.path)
        if not found:
            return _error(404, "NAME_UNKNOWN")
        call = _Call(parts.netloc, method, found["name"], found["which"], dict(parse_qsl(parts.query)), headers, data)
        serve: dict[str, Callable[[_Call], _Answer]] = {
            "manifests": self._manifests,
            "blobs": self._blobs,
            "blobs/uploads": self._upload,
            "tags": self._tags,
        }
        return serve[found["what"]](call)

    def _knows(self, authorization: str) -> bool:
        pairs = (base64.b64encode(f"{user}:{word}".encode()).decode() for user, word in (self._users or {}).items())
        return authorization in {f"Basic {pair}" for pair in pairs}

    def _manifests(self, call: _Call) -> _Answer:
        held = self.held(call.host, call.name)
        if call.method == "PUT":
            return self._put_manifest(call, held)
        digest = held.tags.get(call.which, call.which)
        if digest not in held.manifests:
            return _error(404, "MANIFEST_UNKNOWN")
        media_type, data = held.manifests[digest]
        return 200, {"content-type": media_type, "docker-content-digest": digest}, data

    def _put_manifest(self, call: _Call, held: Held) -> _Answer:
        digest = digest_of(call.body)
        if ":" in call.which and call.which != digest:
            return _error(400, "DIGEST_INVALID")
        value: dict[str, Any] = json.loads(call.body)
        parts = [value["config"], *value["layers"]] if "layers" in value else []
        if any(part["digest"] not in held.blobs and not part.get("urls") for part in parts):
            return _error(400, "MANIFEST_BLOB_UNKNOWN")
        if any(part["digest"] not in held.manifests for part in value.get("manifests", [])):
            return _error(400, "MANIFEST_BLOB_UNKNOWN")
        held.manifests[digest] = call.headers.get("content-type", ""), call.body
        if ":" not in call.which:
            held.tags[call.which] = digest
        return 201, {"docker-content-digest": digest, "location": f"/v2/{call.name}/manifests/{digest}"}, b""

    def _blobs(self, call: _Call) -> _Answer:
        data = self.held(call.host, call.name).blobs.get(call.which)
        if data is None:
            return _error(404, "BLOB_UNKNOWN")
        start = call.headers.get("range", "").removeprefix("bytes=").partition("-")[0]
        if not start.isdigit():
            return 200, {"docker-content-digest": call.which}, data
        if int(start) >= len(data):
            return _error(416, "RANGE_INVALID")
        return 206, {"content-range": f"bytes {start}-{len(data) - 1}/{len(data)}"}, data[int(start) :]

    def _upload(self, call: _Call) -> _Answer:
        if call.method == "POST":
            return self._start(call)
        so_far = self._uploads.get(call.which)
        if so_far is None:
            return _error(404, "BLOB_UPLOAD_UNKNOWN")
        if call.method == "GET":
            return 204, self._session(call.name, call.which, len(so_far)), b""
        start = call.headers.get("content-range", "").partition("-")[0]
        if start and start != str(len(so_far)):
            return _error(416, "BLOB_UPLOAD_INVALID")
        self._uploads[call.which] = so_far + call.body
        if call.method == "PATCH":
            return 202, self._session(call.name, call.which, len(self._uploads[call.which])), b""
        return self._finish(call, self._uploads.pop(call.which))

    def _start(self, call: _Call) -> _Answer:
        wanted = call.query.get("mount", "")
        mounted = self.held(call.host, call.query.get("from", "")).blobs.get(wanted)
        if mounted is not None:
            self.held(call.host, call.name).blobs[wanted] = mounted
            return 201, {"location": f"/v2/{call.name}/blobs/{wanted}"}, b""
        which = f"upload-{next(self._ids)}"
        self._uploads[which] = b""
        return 202, self._session(call.name, which, 0), b""

    def _finish(self, call: _Call, data: bytes) -> _Answer:
        digest = call.query.get("digest", "")
        if digest_of(data) != digest:
            return _error(400, "DIGEST_INVALID")
        self.held(call.host, call.name).blobs[digest] = data
        return 201, {"location": f"/v2/{call.name}/blobs/{digest}", "docker-content-digest": digest}, b""

    def _session(self, name: str, which: str, size: int) -> dict[str, str]:
        return {"location": f"/v2/{name}/blobs/uploads/{which}", "range": f"0-{max(size - 1, 0)}"}

    def _tags(self, call: _Call) -> _Answer:
        held = self.repositories.get((call.host, call.name))
        if held is None:
            return _error(404, "NAME_UNKNOWN")
        after, most = call.query.get("last", ""), int(call.query.get("n", "1000"))
        tags = [tag for tag in sorted(held.tags) if tag > after]
        headers = {"content-type": "application/json"}
        if len(tags) > most:
            headers["link"] = f'</v2/{call.name}/tags/list?n={most}&last={tags[most - 1]}>; rel="next"'
        return 200, headers, json.dumps({"name": call.name, "tags": tags[:most]}).encode()


_Answer = tuple[int, dict[str, str], bytes]


def _error(status: int, code: str, headers: Mapping[str, str] | None = None) -> _Answer:
    value = {"errors": [{"code": code, "message": code.lower().replace("_", " ")}]}
    return status, {"content-type": "application/json", **(headers or {})}, json.dumps(value).encode()
