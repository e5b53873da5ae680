"""A laboratory with a service on this machine, without an engine or in one: what runs, what answers, what is left."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faultlab import Ended, Lab

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from pipeline.engine.docker import DockerEngine
from pipeline.stages.verified import VerifiedFiles
from pipeline.store import Store
from pipeline.targets._docker import REPOSITORY, SERVICE
from pipeline.targets.local import LocalTarget
from pipeline.targets.local import target as local_target
from pipeline.targets.model import Observation

NAME = "shop-here"
PYTHON = str(Path(sys.executable).resolve())
# Answers with its WHO; the module's name is one that is known to take a socket.
SERVER = """\
import http.server, json, os, signal, socket, sys, threading
if os.environ.get("FAIL"):
    sys.exit(int(os.environ["FAIL"]))
class Handler(http.server.BaseHTTPRequestHandler):
    def reply(self):
        body = json.dumps({"who": os.environ.get("WHO")}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = reply
    def log_message(self, format, *words):
        pass
server = http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler, bind_and_activate=False)
if os.environ.get("LISTEN_PID") == str(os.getpid()):
    server.socket = socket.socket(fileno=3)
else:
    server.server_bind()
    server.server_activate()
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever(0.05)
"""
MANIFEST = """\
version: 1
name: shop
registries:
  prod: {{address: "${{env:REGISTRY}}"}}
bases:
  machine: {{snake: [{{from: root/, to: /, mode: 0755}}]}}
images:
  web:
    base: machine
    command: ["{python}", -I, -S, -m, {module}]
    checks: {{score: {{request: {{}}, expect: {{type: object}}}}}}
    push: {{to: prod}}
    tags: [v1]
targets:
  here: {{local: {{image: web, port: {port}, engine: {engine}, env: {env}, health: {{deadline: 60}}}}}}
"""


@dataclass(frozen=True)
class Live:
    """What the next run must not do again, if it is there already: a process or a container."""

    identity: str
    revision: str


class ServiceLab(Lab):
    """One service, of which a run makes one of several revisions live: `revise` says which."""

    def __init__(
        self, folder: Path, registry: str, port: int, docker: DockerEngine | None = None, module: str = "gunicorn"
    ) -> None:
        self.port = port
        self.docker = docker
        self.module = module
        super().__init__(folder, registry)
        self.environ["DOCKER_HOST"] = docker.about().address if docker else ""
        root = self.project / "root"
        for path in interpreter():
            place = root / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(path).resolve(), place)
        for name in ("gunicorn", "plain"):
            (root / os.__file__.lstrip("/")).with_name(f"{name}.py").write_text(SERVER)
        self.revise("first")

    def revise(self, who: str, **env: str) -> None:
        """Writes the manifest for a revision that answers `who`."""
        given = json.dumps({"WHO": who, **env})
        engine = "docker" if self.docker else "none"
        text = MANIFEST.format(python=PYTHON, module=self.module, port=self.port, engine=engine, env=given)
        self.manifest.write_text(text)

    @property
    def state(self) -> Path:
        return self.home / "state/services" / NAME

    def target(self) -> LocalTarget:
        roots = Store(self.home / "store").roots
        return local_target(NAME, {}, state=self.home / "state", roots=roots, environ=self.environ)

    def settle(self) -> None:
        """Until nobody holds the service's lock: a supervisor that a killed run has started finishes its work."""
        if self.state.is_dir():
            with (self.state / "lock").open("w") as file:
                fcntl.flock(file, fcntl.LOCK_EX)

    def observe(self) -> Observation:
        """What `pipeline status` says, once the service has had the time to start."""
        _until(lambda: self.target().observe().state != "starting")
        return self.target().observe()

    def answer(self) -> str:
        """Who answers on the port; empty for nobody."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}", timeout=20) as answer:
                return str(json.load(answer)["who"])
        except (OSError, http.client.HTTPException):
            return ""

    def live(self) -> Live | None:
        """The one service that runs; fails when there are two."""
        found = self._containers() if self.docker else self._supervisors()
        assert len(found) <= 1, f"two services: {found}"
        return found[0] if found else None

    def _supervisors(self) -> list[Live]:
        status = self._status()
        return [Live(str(pid), status.get("revision", "") if pid == status.get("pid") else "") for pid in self.pids()]

    def _containers(self) -> list[Live]:
        assert self.docker
        found = self.docker.api.containers(filters={"label": f"{SERVICE}={NAME}"})
        return [Live(one["Id"], one["Labels"]["pipeline.revision"]) for one in found]

    def _status(self) -> Any:
        try:
            return json.loads((self.state / "status.json").read_bytes())
        except FileNotFoundError:
            return {}

    def pids(self) -> list[int]:
        """The supervisors of this laboratory."""
        return [
            int(process.name)
            for process in Path("/proc").iterdir()
            if process.name.isdecimal() and _is_supervisor(process, self.folder)
        ]

    def kill_service(self) -> None:
        """As when the machine's memory is short: all that belongs to the service without an engine."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # The system ends what the supervisor has started, one after another.
        _until(lambda: not self.pids() and not (self.docker is None and self.answer()))

    def verified(self) -> str:
        """The revision that has passed last."""
        release = VerifiedFiles(self.home / "state/verified").get(NAME)
        return release.revision if release else ""

    def left_over(self) -> list[str]:
        """What is there beside the one service and its log; call after a run that ended well."""
        found = [str(path.relative_to(self.home)) for path in self._files_of_services()]
        found += [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(self.folder) in line]
        if self.docker:
            api = self.docker.api
            found += [str(one["Names"]) for one in api.containers(all=True) if one["Names"] != [f"/{NAME}"]]
            images = [name for one in api.images() for name in one["RepoTags"] or ["untagged"]]
            kept = self._status().get("images") or []
            found += [name for name in images if name not in kept or not name.startswith(REPOSITORY)]
        return found

    def _files_of_services(self) -> Iterator[Path]:
        """Files of the service's state that no sound run leaves."""
        folder = self._status().get("folder")
        for path in self.state.iterdir():
            if path.name.startswith("start-"):
                yield from (inner for inner in [path / "run"] if inner.exists() and str(path) != folder)
                yield from () if (path / "log").exists() else (path,)
            elif path.name not in ("lock", "status.json"):
                yield path
        yield from (path for path in (self.home / "state/verified").iterdir() if path.suffix == ".new")

    def stop(self) -> Ended:
        return self.run("stop", NAME)


def _until(true: Callable[[], bool]) -> None:
    """Waits for what is to come; whoever waits looks afterwards whether it came."""
    end = time.monotonic() + 120
    while not true() and time.monotonic() < end:
        time.sleep(0.02)


def _is_supervisor(process: Path, folder: Path) -> bool:
    try:
        words = (process / "cmdline").read_bytes()
        return b"_supervise.py" in words and (process / "cwd").readlink().is_relative_to(folder)
    except OSError:
        return False


def interpreter() -> list[str]:
    """The files that this interpreter and the server need, by their paths."""
    modules = "import http.server, json, runpy, signal, socket, threading, encodings.idna, encodings.utf_8, sys; "
    listing = "print('\\n'.join(sorted({m.__file__ for m in sys.modules.values() if getattr(m, '__file__', None)})))"
    told = subprocess.run([PYTHON, "-I", "-S", "-c", modules + listing], capture_output=True, text=True, check=True)
    files = told.stdout.split()
    libraries: set[str] = set()
    for program in [PYTHON, *(file for file in files if ".so" in file)]:
        linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
        libraries |= set(re.findall(r"(/\S+) \(0x", linked))
    return [*files, PYTHON, *sorted(libraries)]
