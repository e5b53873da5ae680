"""Repositories over HTTP by git's own http-backend (git-http-backend(1)), with a password where one is wanted."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

BACKEND = Path(
    subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip(),
    "git-http-backend",
)
needs_backend = pytest.mark.skipif(not BACKEND.exists(), reason="git has no http-backend here")


class GitHttp:
    """Serves the repositories below a folder, and `files` of Git LFS by their hashes. `fails` answers that status to
    everything, `moved` leads elsewhere, `seen` are the requests.
    """

    def __init__(self, root: Path, login: str = "") -> None:
        self.root, self.login = root, login
        self.fails = 0
        self.moved = ""
        self.files: dict[str, bytes] = {}
        self.seen: list[tuple[str, str]] = []
        handler = type("Handler", (_Handler,), {"git": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    git: GitHttp

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        git = self.git
        length = int(self.headers.get("Content-Length") or 0)
        body = self._chunks() if self.headers.get("Transfer-Encoding") == "chunked" else self.rfile.read(length)
        git.seen.append((self.path, self.headers.get("Authorization", "")))
        if git.moved:
            self._plain(301, Location=f"{git.moved}{self.path}")
        elif git.fails:
            self._plain(git.fails)
        elif self.path.startswith("/lfs/"):
            self._lfs_file()
        elif git.login and self._login() != git.login:
            self._plain(401, **{"WWW-Authenticate": 'Basic realm="git"'})
        else:
            self._lfs(body) if self.path.endswith("/info/lfs/objects/batch") else self._backend(body)

    # -- Git LFS (git-lfs, docs/api/batch.md) -------------------------------------------------------------------

    def _lfs(self, body: bytes) -> None:
        objects = [
            {**one, "actions": {"download": {"href": f"{self.git.url}/lfs/{one['oid']}"}}}
            for one in json.loads(body)["objects"]
        ]
        self._content(json.dumps({"transfer": "basic", "objects": objects}).encode(), "application/vnd.git-lfs+json")

    def _lfs_file(self) -> None:
        self._content(self.git.files[self.path.removeprefix("/lfs/")], "application/octet-stream")

    def _content(self, data: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _login(self) -> str:
        return base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()

    def _chunks(self) -> bytes:
        found = b""
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def _plain(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    def _backend(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        environ = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.git.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": "http.receivepack",
            "GIT_CONFIG_VALUE_0": "true",
            "GIT_CONFIG_KEY_1": "safe.directory",
            "GIT_CONFIG_VALUE_1": "*",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_USER": "git",
        }
        ended = subprocess.run([str(BACKEND)], input=body, env=environ, capture_output=True, check=False)
        head, _, content = ended.stdout.partition(b"\r\n\r\n")
        fields = [line.split(": ", 1) for line in head.decode().split("\r\n") if line]
        status = next((value for name, value in fields if name == "Status"), "200 OK")
        self.send_response(int(status.split()[0]))
        for name, value in fields:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
