"""`python -m bench.pages`: how long the dashboard's pages take, with 1,000 manifests and 10,000 jobs and runs.

Medians of 30 requests over HTTP each, from a client on this machine; the first request of a page is not counted.
"""

from __future__ import annotations

import json
import socket
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from pipeline.home import Home
from pipeline.serve.book import Book
from pipeline.serve.database import Database
from pipeline.serve.metrics import Metrics
from pipeline.serve.model import Entry, Job, Live, Reason, Tracked
from pipeline.serve.queue import Queue
from pipeline.serve.settings import Repository, Settings
from pipeline.serve.views import Views
from pipeline.serve.views_images import Images
from pipeline.serve.web.app import app
from pipeline.serve.web.listen import Server, config
from pipeline.serve.web.parts import Parts
from pipeline.store import Store
from pipeline.store.journal import Asked, Counts, Journal, Run

MANIFESTS, JOBS, STEPS, TIMES = 1000, 10_000, 200, 30
DIGEST = "sha256:" + "77" * 32


def fill(parts: Parts, journal: Journal) -> None:
    """Manifests with a target each, their jobs, and runs of the journal; the last job has a log of a large run."""
    names = [Tracked("models", f"manifests/service-{number:04}.yaml") for number in range(MANIFESTS)]
    with parts.database.transaction():
        for name in names:
            parts.book.put_entry(Entry(name, name.path[10:-5], "b1", ("models/a", "models/b"), commit="c" * 40))
            live = Live(name, "here", time.time(), "running", "12", DIGEST, "http://10.0.0.7", "2026-01-15T08:00:00Z")
            parts.book.put_live(name, [live])
        for number in range(JOBS):
            reason = Reason("commit", "commit 3f9c1d0 'Newer model' by Ada", who="Ada")
            parts.queue.add(Job(0, names[number % MANIFESTS], "run", reason, commit="c" * 40))
            job = parts.queue.take()
            assert job
            parts.queue.end(job.id, "failed" if number % 17 == 0 else "done", 0, {"text": "done in 2.0 s: 3 made"})
        for _ in range(JOBS):
            asked = Asked("/srv/service.yaml", "service", "run", "", "host", 1, "")
            journal.begin(Run(0, asked, time.time(), time.time(), "done", Counts(10, 5, 5)))


def log(folder: Path) -> None:
    """A run of so many steps, 20 lines each, as the newest job's log."""
    folder.mkdir(parents=True, exist_ok=True)
    graph = [
        {
            "step": f"layer l{n}",
            "kind": "layer",
            "name": f"l{n}",
            "title": "",
            "needs": [f"layer l{n // 3}"] if n else [],
        }
        | {"hit": False, "why": "first time"}
        for n in range(STEPS)
    ]
    lines = [{"event": "run-started", "manifest": "service", "steps": STEPS}, {"event": "planned", "graph": graph}]
    for n in range(STEPS):
        step = {"step": f"layer l{n}", "kind": "layer", "name": f"l{n}", "at": 1e9 + n}
        said = [{"event": "step-said", "step": step["step"], "text": f"line {i}", "at": 1e9 + n} for i in range(20)]
        lines += [{"event": "step-started", **step}, *said]
        lines += [{"event": "step-ended", **step, "outcome": "made", "seconds": 1.0}]
    (folder / f"{JOBS}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def made(folder: Path) -> tuple[Parts, Journal]:
    home = Home(folder / "store", folder / "cache", folder / "state")
    database = Database(home.state / "serve" / "serve.db")
    book, queue, store = Book(database), Queue(database, time.time), Store(home.store)
    journal, jobs = Journal(store.database, home.state / "runs"), home.state / "serve" / "jobs"
    settings = Settings(folder / "serve.yaml", {"models": Repository("models", "https://git.example.com/models")})
    views = Views(settings, book, queue, jobs, Images(store), journal)
    metrics = Metrics(settings, database, lambda: (), time.time)
    log(jobs)
    return Parts(settings, database, queue, book, home, b"k" * 32, views, metrics), journal


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="pipeline-bench-") as scratch:
        parts, journal = made(Path(scratch))
        fill(parts, journal)
        listening = socket.create_server(("127.0.0.1", 0))
        server = Server(config(parts.settings, app(parts)), parts.settings.access, print)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        pages = ("/", "/?q=0500", "/manifests/models/manifests/service-0500.yaml", "/jobs", f"/jobs/{JOBS}", "/runs")
        for page in pages:
            sys.stdout.write(f"{page:48} {1000 * median(address + page):6.1f} ms\n")
        server.should_exit = True
        thread.join()


def median(url: str) -> float:
    times = []
    for _ in range(TIMES + 1):
        began = time.perf_counter()
        with urllib.request.urlopen(url) as answer:
            answer.read()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


if __name__ == "__main__":
    main()
