"""What the server costs: from a webhook to the start of its run, and an hour in which nothing changes."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

MANIFESTS = 1000
MANIFEST = """\
version: 1
name: m{number}
bases: {{none: {{layout: ../base}}}}
layers: {{code: {{files: [{{from: text, to: /srv/}}]}}}}
images: {{m{number}: {{base: none, layers: [code]}}}}
"""
SECRET = "bench-secret-of-this-machine"
CONFIG = """\
version: 1
repositories:
  models:
    url: models
    poll: {poll}
    host: {{kind: github, api: "http://127.0.0.1:9", project: acme/models, webhook_secret: "{secret}"}}
"""
_POLLS = 60
_IDLE = 60.0


def rows(_take: Callable[[list[str], Path], float], runs: int) -> Iterator[tuple[str, str, str, int]]:
    with tempfile.TemporaryDirectory(prefix="pipeline-bench-") as scratch:
        folder = Path(scratch)
        _repository(folder / "models", 1)
        (folder / "serve.yaml").write_text(CONFIG.format(poll="1h", secret=SECRET))
        seconds = _pushes(folder, runs)
        yield "server: from a webhook to the start of its run", "1 s", f"{statistics.median(seconds):.2f} s", runs
    with tempfile.TemporaryDirectory(prefix="pipeline-bench-") as scratch:
        folder = Path(scratch)
        _repository(folder / "models", MANIFESTS)
        (folder / "serve.yaml").write_text(CONFIG.format(poll="60s", secret=SECRET))
        watching, waiting = _hour(folder), _waiting(folder)
        what = f"server: an hour of {MANIFESTS} manifests in a repository here, nothing changes: processor time"
        yield what, "5 s", f"{watching + waiting:.1f} s", 1


def _git(folder: Path, *words: str) -> str:
    settings = ("user.name=bench", "user.email=bench@example.com", "init.defaultBranch=main")
    who = [word for setting in settings for word in ("-c", setting)]
    done = subprocess.run(["git", *who, "-C", str(folder), *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _repository(folder: Path, manifests: int) -> None:
    """Manifests whose base is an image of this repository, so that nothing but this machine is measured."""
    (folder / "manifests").mkdir(parents=True)
    for number in range(manifests):
        (folder / "manifests" / f"m{number}.yaml").write_text(MANIFEST.format(number=number))
    (folder / "manifests" / "text").write_text("first")
    _layout(folder / "base")
    _git(folder, "init", "--quiet")
    _commit(folder)


def _layout(folder: Path) -> None:
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, media: str) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{media}", "digest": f"sha256:{digest}", "size": len(data)}

    layer = put(bytes(10240), "layer.v1.tar")
    config = {"architecture": "amd64", "os": "linux", "config": {}}
    config["rootfs"] = {"type": "layers", "diff_ids": [layer["digest"]]}
    parts = {"config": put(json.dumps(config).encode(), "config.v1+json"), "layers": [layer]}
    image = put(json.dumps({"schemaVersion": 2, **parts}).encode(), "manifest.v1+json")
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [image]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')


def _commit(folder: Path) -> str:
    _git(folder, "add", "--all")
    _git(folder, "commit", "--quiet", "--message", "Change")
    return _git(folder, "rev-parse", "HEAD")


# -- pushes -----------------------------------------------------------------------------------------------------------


class _Server:
    """`pipeline serve` at a free port of this machine."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "home" / "state" / "serve"
        environ = {**os.environ, "PIPELINE_HOME": str(folder / "home")}
        command = [sys.executable, "-m", "pipeline", "serve", str(folder / "serve.yaml"), "--port", "0"]
        self.process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
        self.address = self.said("serves at ").split()[-1]

    def said(self, words: str) -> str:
        assert self.process.stdout
        return next(line for line in self.process.stdout if words in line)

    def push(self, commit: str) -> None:
        """As GitHub tells of one (docs.github.com, webhook events and payloads, push)."""
        event = {"ref": "refs/heads/main", "after": commit, "repository": {"full_name": "acme/models"}}
        body = json.dumps({**event, "commits": [], "deleted": False}).encode()
        signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json", "X-GitHub-Event": "push", "X-GitHub-Delivery": commit}
        headers["X-Hub-Signature-256"] = f"sha256={signature}"
        urllib.request.urlopen(urllib.request.Request(f"{self.address}/hooks/models", body, headers)).close()

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()


def _pushes(folder: Path, runs: int) -> list[float]:
    """Seconds from sending the webhook to the run's own first event (run-started has its time)."""
    server, found = _Server(folder), []
    server.said(": done")
    for number in range(runs):
        (folder / "models" / "manifests" / "text").write_text(f"text {number}")
        commit, began = _commit(folder / "models"), time.time()
        server.push(commit)
        server.said(": done")
        newest = max((server.state / "jobs").glob("*.jsonl"), key=lambda path: int(path.stem))
        events = [json.loads(line) for line in newest.read_text().splitlines()]
        found.append(next(event["at"] for event in events if event["event"] == "run-started") - began)
    server.end()
    return found


# -- an hour ----------------------------------------------------------------------------------------------------------


def _hour(folder: Path) -> float:
    """Seconds of a processor that an hour's duties take, programs that they start included: polls one after another."""
    from pipeline.serve.core import Core
    from pipeline.serve.reading import read

    now = time.time()
    environ = {**os.environ, "PIPELINE_HOME": str(folder / "home")}
    core = Core(read(folder / "serve.yaml", environ), environ, lambda: now)
    # What a first sight asks for is not what is measured.
    while not core.queue.open():
        core.rota.tick(now)
        now += 1.0
    for job in core.queue.open():
        core.queue.cancel(job.id, "the benchmark")
    core.rota.tick(now)
    used = 0.0
    for _ in range(2):
        # In the first hour each manifest is looked at once: whether it has services that could drift.
        end, used = now + _POLLS * 60.0, -_used()
        while now < end:
            now += max(core.rota.next(now), 0.05)
            core.rota.tick(now)
        used += _used()
    core.close()
    return used


def _waiting(folder: Path) -> float:
    """What a server that waits for calls and for its clocks takes in an hour, from a minute of it."""
    server = _Server(folder)
    time.sleep(10.0)
    before = _of_process(server.process.pid)
    time.sleep(_IDLE)
    used = _of_process(server.process.pid) - before
    server.end()
    # Its own poll of that minute is in both.
    return used * 3600.0 / _IDLE


def _used() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _of_process(pid: int) -> float:
    """proc(5), stat: fields 14 to 17 are the times of a process and of the children that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
