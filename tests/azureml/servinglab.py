"""A base image as Azure ML wants one, made of this machine's own Python, in a real registry; and code to serve on it.

Its server has the name and the contract of azureml-inference-server-http, in fifty lines: what is tried here is who
deploys, not who serves.
"""

from __future__ import annotations

import base64
import functools
import gzip
import io
import json
import re
import shutil
import subprocess
import tarfile
import urllib.request
from pathlib import Path

import pytest

from pipeline.digest import digest_of

SERVER = '''
"""POST /score calls run(), GET / is health, GET /swagger.json describes it; the entry script's init() goes first."""
import argparse, http.server, importlib.util, json, os, socket, sys
options = argparse.ArgumentParser()
options.add_argument("--entry_script")
options.add_argument("--port", type=int)
given = options.parse_args()
sys.path.insert(0, os.path.dirname(given.entry_script))
found = importlib.util.spec_from_file_location("entry", given.entry_script)
script = importlib.util.module_from_spec(found)
try:
    found.loader.exec_module(script)
    script.init()
except Exception:
    import traceback
    traceback.print_exc()
    sys.exit(3)

class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, value, **headers):
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.answer(200, {"swagger": "2.0"} if self.path.startswith("/swagger.json") else "Healthy")

    def do_POST(self):
        try:
            self.answer(200, script.run(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        except Exception as error:
            print("run() failed:", error, flush=True)
            self.answer(500, str(error), **{"x-ms-run-function-failed": "True"})

    def log_message(self, *_):
        pass

if os.environ.get("LISTEN_FDS"):
    server = http.server.ThreadingHTTPServer(("", 0), Handler, bind_and_activate=False)
    server.socket = socket.socket(fileno=3)
else:
    server = http.server.ThreadingHTTPServer(("", given.port), Handler)
print("serves", flush=True)
server.serve_forever()
'''
SCORE = """
import json, os

def init():
    global model
    folder = os.environ["AZUREML_MODEL_DIR"]
    name = sorted(os.listdir(folder))[0]
    model = open(os.path.join(folder, name)).read().strip()
    print("loaded", model, flush=True)

def run(data):
    return {"model": model, "data": json.loads(data), "base": os.environ.get("BASE", ""),
            "variable": os.environ.get("EXAMPLE_ENV_VAR", "")}
"""
_LEFT_OUT = re.compile(r"/(test|tests|__pycache__|idlelib|tkinter|lib2to3|ensurepip|turtledemo|config-[^/]*)(/|$)")


@functools.cache
def base_layer() -> bytes:
    """Ubuntu by its os-release, conda by its record, this machine's Python, and the server: a gzipped tar."""
    python = shutil.which("python3", path="/usr/bin")
    if python is None:
        pytest.skip("this machine has no /usr/bin/python3")
    told = "import sysconfig as s, sys; print(s.get_path('stdlib'), '%d.%d.%d' % sys.version_info[:3])"
    library, version = subprocess.run([python, "-c", told], capture_output=True, text=True, check=True).stdout.split()
    minor = version.rpartition(".")[0]
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", dereference=True) as tar,
    ):
        for path, text in _texts(library, version).items():
            info = tarfile.TarInfo(path)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
        for folder, mode in {"tmp": 0o1777, "var": 0o755, "run": 0o755}.items():
            info = tarfile.TarInfo(folder)
            info.type, info.mode = tarfile.DIRTYPE, mode
            tar.addfile(info)
        tar.add(str(Path(python).resolve()), f"usr/bin/python{minor}")
        link = tarfile.TarInfo("usr/bin/python3")
        link.type, link.linkname = tarfile.SYMTYPE, f"python{minor}"
        tar.addfile(link)
        tar.add(library, library.lstrip("/"), filter=lambda i: None if _LEFT_OUT.search(f"/{i.name}") else i)
        for found in sorted(_libraries([Path(python), *Path(library).glob("lib-dynload/*.so")])):
            tar.add(found, found.lstrip("/"))
    return buffer.getvalue()


def _texts(library: str, version: str) -> dict[str, str]:
    places, minor = library.lstrip("/"), version.rpartition(".")[0]
    return {
        "etc/os-release": 'ID=ubuntu\nVERSION_ID="22.04"\nNAME="Ubuntu"\n',
        "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
        "opt/conda/conda-meta/conda-4.12.0-py310_0.json": "{}",
        f"usr/include/python{minor}/patchlevel.h": f'#define PY_VERSION "{version}"\n',
        f"{places}/azureml_inference_server_http/__init__.py": "",
        f"{places}/azureml_inference_server_http/__main__.py": SERVER,
    }


def _libraries(programs: list[Path]) -> set[str]:
    said = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True, check=False).stdout
    return set(re.findall(r"(/\S+) \(0x", said))


class Registry:
    """Pushes to a registry as plainly as can be (OCI distribution-spec 1.1, "Pushing")."""

    def __init__(self, address: str, user: str = "", password: str = "") -> None:
        self.address = address
        self._headers = {}
        if user:
            token = base64.b64encode(f"{user}:{password}".encode()).decode()
            self._headers = {"Authorization": f"Basic {token}"}

    def push_base(self, name: str, tag: str = "latest", env: tuple[str, ...] = ()) -> str:
        """The base image under this name, with these variables; the reference to it."""
        layer = base_layer()
        diff_id = digest_of(gzip.decompress(layer))
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {"Env": ["PATH=/usr/bin:/bin", *env]},
                "rootfs": {"type": "layers", "diff_ids": [diff_id]},
            }
        ).encode()
        kind = "application/vnd.docker.distribution.manifest.v2+json"
        manifest = {
            "schemaVersion": 2,
            "mediaType": kind,
            "config": self._described(name, config, "application/vnd.docker.container.image.v1+json"),
            "layers": [self._described(name, layer, "application/vnd.docker.image.rootfs.diff.tar.gzip")],
        }
        self._ask("PUT", f"/v2/{name}/manifests/{tag}", json.dumps(manifest).encode(), kind)
        return f"{self.address}/{name}:{tag}"

    def _described(self, name: str, data: bytes, kind: str) -> dict[str, object]:
        digest = digest_of(data)
        place = self._ask("POST", f"/v2/{name}/blobs/uploads/", b"")
        self._ask("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}", data, "application/octet-stream")
        return {"mediaType": kind, "digest": digest, "size": len(data)}

    def _ask(self, method: str, place: str, data: bytes, kind: str = "application/octet-stream") -> str:
        url = place if place.startswith("http") else f"http://{self.address}{place}"
        headers = {**self._headers, "Content-Type": kind}
        with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method)) as answer:
            return str(answer.headers.get("Location") or "")
