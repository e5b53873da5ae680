"""Small images for the sandbox's tests: an interpreter of this machine with the modules that a little server needs."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline.digest import Digest, digest_of
from pipeline.oci.descriptor import LAYER, Descriptor, Layer
from pipeline.store.roots import Roots
from pipeline.targets import _ports
from pipeline.targets._sandbox import SandboxError, run
from pipeline.targets.model import Release

for _folder in ("azure", "integration", "registry"):
    sys.path.insert(0, str(Path(__file__).parents[1] / _folder))

# Takes the socket that it is passed, or else listens on PORT; answers with what it was told to.
SERVER = """
import http.server, json, os, signal, socket, sys, threading
if os.environ.get("FAIL"):
    print("the end is near")
    sys.exit(int(os.environ["FAIL"]))
def end(*_):
    # What was begun is answered first, as gunicorn does.
    threading.Thread(target=server.shutdown).start()
signal.signal(signal.SIGTERM, signal.SIG_IGN if os.environ.get("STUBBORN") else end)
class Handler(http.server.BaseHTTPRequestHandler):
    def reply(self):
        told = {"env": os.environ.get("WHO"), "argv": sys.argv[1:]}
        if "READ" in os.environ:
            told["read"] = {path: open(path).read() for path in os.environ["READ"].split()}
        body = json.dumps(told).encode()
        self.send_response(int(os.environ.get("STATUS", 200)))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = reply
    def log_message(self, format, *words):
        print("request", *words, flush=True)
server = http.server.HTTPServer(("127.0.0.1", int(os.environ.get("PORT", 0))), Handler, bind_and_activate=False)
if os.environ.get("LISTEN_PID") == str(os.getpid()):
    server.socket = socket.socket(fileno=3)
else:
    server.server_bind()
    server.server_activate()
print("ready", flush=True)
server.serve_forever()
"""
_PASSWD = "root:x:0:0:root:/root:/bin/sh\nserve:x:1000:1000::/home/serve:/bin/sh\n"
_GROUP = "root:x:0:\nserve:x:1000:\nmodels:x:2000:serve\n"


def tar(files: Mapping[str, bytes | str | Path]) -> bytes:
    """A tar of files: their content, or the path of a file to copy; a text with `->` first is a symbolic link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, str) and content.startswith("->"):
                info.type, info.linkname = tarfile.SYMTYPE, content[2:]
                archive.addfile(info)
                continue
            data = (
                content.read_bytes()
                if isinstance(content, Path)
                else content
                if isinstance(content, bytes)
                else content.encode()
            )
            info.size, info.mode = len(data), 0o755
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _interpreter() -> dict[str, bytes | str | Path]:
    """This interpreter and all that the server imports, at the same paths."""
    modules = "import http.server, json, runpy, signal, socket, encodings.idna, encodings.utf_8, sys; "
    listing = "print('\\n'.join(sorted({m.__file__ for m in sys.modules.values() if getattr(m, '__file__', None)})))"
    executable = Path(sys.executable).resolve()
    told = subprocess.run([executable, "-I", "-S", "-c", modules + listing], capture_output=True, text=True, check=True)
    files = [Path(line) for line in told.stdout.split()]
    programs = [executable, Path("/bin/sh"), *(file for file in files if ".so" in file.name)]
    libraries: set[str] = set()
    for program in programs:
        linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
        libraries |= set(re.findall(r"(/\S+) \(0x", linked))
    image: dict[str, bytes | str | Path] = {str(path).lstrip("/"): path for path in (*files, executable)}
    image |= {library.lstrip("/"): Path(library).resolve() for library in libraries}
    return {**image, "bin/sh": Path("/bin/sh").resolve(), "etc/passwd": _PASSWD, "etc/group": _GROUP}


@dataclass
class Shelf:
    """Layers made from files, and where they are unpacked."""

    folder: Path
    layers: list[Layer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.roots = Roots(self.folder / "roots", self.path)

    def path(self, digest: Digest) -> Path:
        return self.folder / digest.removeprefix("sha256:")

    def add(self, files: Mapping[str, bytes | str | Path]) -> Layer:
        self.layers.append(self.apart(files))
        return self.layers[-1]

    def apart(self, files: Mapping[str, bytes | str | Path]) -> Layer:
        """A layer that is in no image."""
        content = tar(files)
        self.path(digest_of(content)).write_bytes(content)
        return Layer(Descriptor(LAYER, digest_of(content), len(content)), digest_of(content))

    def unpacked(self) -> list[Path]:
        return [self.roots.layer(layer) for layer in self.layers]

    def release(
        self, port: int, *, env: Mapping[str, str] | None = None, argv: Sequence[str] = (), **config: Any
    ) -> Release:
        command = argv or (str(Path(sys.executable).resolve()), "-I", "-S", "-m", "gunicorn", "--port", "5001")
        return Release(
            service="tests/here",
            image=self.layers[-1].diff_id,
            layers=tuple(self.layers),
            config={"config": {"Entrypoint": list(command), **config}},
            port=port,
            container_port=5001,
            settings={"env": dict(env or {})},
        )


@pytest.fixture(scope="session")
def _base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for the whole session: unpacking the interpreter once is enough."""
    return tmp_path_factory.mktemp("layers")


@pytest.fixture(scope="session")
def image(_base: Path) -> Shelf:
    """An image with Python, sh, and the server as the module `gunicorn`, a name that is known to take a socket."""
    shelf = Shelf(_base)
    shelf.add(_interpreter())
    stdlib = Path(os.__file__).parent
    shelf.add({f"{str(stdlib).lstrip('/')}/gunicorn.py": SERVER, "opt/server.py": SERVER})
    try:
        done = run(shelf.unpacked(), {"config": {}}, ["/bin/sh", "-c", "exit 7"], scratch=_base / "scratch")
    except SandboxError as error:
        pytest.skip(str(error))
    assert done.returncode == 7, done.stderr.decode()
    return shelf


@pytest.fixture
def port() -> int:
    """A port that nobody listens on."""
    with _ports.bind("127.0.0.1", 0) as listener:
        number: int = listener.getsockname()[1]
    return number


@pytest.fixture
def until() -> Callable[[Callable[[], Any]], Any]:
    """Asks again and again until the answer is true; gives up after two minutes."""
    import time

    def wait(asked: Callable[[], Any]) -> Any:
        end = time.monotonic() + 120
        while not (answer := asked()):
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.02)
        return answer

    return wait
