"""Puts a host in memory behind a real HTTP server, as this machine's network sees it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from pipeline.http import Transport


@contextmanager
def serving(inner: Transport, root: str) -> Iterator[str]:
    """The root of `inner` as it is to be asked for; `root` is what `inner` takes itself to be."""
    path = urlsplit(root).path

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else None
            url = root + self.path.removeprefix(path)
            with inner.send(self.command, url, dict(self.headers), body) as response:
                data = response.read(64 << 20)
                self.send_response(response.status)
                for name, value in response.headers.items():
                    self.send_header(name, value.replace(root, f"http://{self.headers['Host']}{path}"))
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = answer

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}{path}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
