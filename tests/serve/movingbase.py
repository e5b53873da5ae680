"""A registry on a real socket with one image, `base:latest`, that can be pushed anew: what rebuilds are made of."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_TYPE = "application/vnd.oci.image."


class Base:
    """`address` is the image's, as a manifest has it."""

    def __init__(self) -> None:
        self.blobs: dict[str, tuple[str, bytes]] = {}
        self.digest = self.address = ""
        self.asked: list[str] = []
        self.push("first")

    def push(self, text: str, size: int = 0) -> str:
        """The tag is another image from now on, with this text in a file; its digest."""
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w") as file:
            data = text.encode() + b"\0" * size
            member = tarfile.TarInfo("etc/motd")
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))
        layer = self._put(tar.getvalue(), f"{_TYPE}layer.v1.tar")
        config = {"architecture": "amd64", "os": "linux", "config": {}}
        config["rootfs"] = {"type": "layers", "diff_ids": [layer["digest"]]}
        made = {"config": self._put(json.dumps(config).encode(), f"{_TYPE}config.v1+json"), "layers": [layer]}
        head = {"schemaVersion": 2, "mediaType": f"{_TYPE}manifest.v1+json"}
        self.digest = self._put(json.dumps({**head, **made}).encode(), f"{_TYPE}manifest.v1+json")["digest"]
        return self.digest

    def _put(self, data: bytes, media: str) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.blobs[digest] = (media, data)
        return {"mediaType": media, "digest": digest, "size": len(data)}

    def find(self, path: str) -> tuple[str, str, bytes] | None:
        """distribution-spec, "Pull": a manifest by tag or digest, a blob by digest; its digest, type and bytes."""
        name = path.rpartition("/")[2]
        digest = self.digest if name == "latest" else name
        return (digest, *self.blobs[digest]) if digest in self.blobs else None


@contextlib.contextmanager
def serving() -> Iterator[Base]:
    base = Base()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            base.asked.append(f"{self.command} {self.path}")
            found = ("", "application/json", b"{}") if self.path == "/v2/" else base.find(self.path)
            digest, media, data = found or ("", "application/json", b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}')
            self.send_response_only(200 if found else 404)
            self.send_header("Content-Type", media)
            self.send_header("Docker-Content-Digest", digest)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    base.address = f"127.0.0.1:{server.server_address[1]}/base:latest"
    try:
        yield base
    finally:
        server.shutdown()
        server.server_close()
