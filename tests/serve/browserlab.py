"""The dashboard in a real browser, for tests: Debian's chromium, and a server of the tests' own in a thread.

Nothing may go wrong unseen: what a page writes to its console as an error, or its policy (CSP) forbids, fails the test.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from webmaker import COMMIT, PROD, Web

from pipeline.serve.model import Entry, Job, Live, Reason, RepositoryStatus, Tracked
from pipeline.serve.settings import Access
from pipeline.serve.web.listen import Server, config

WAIT = 90_000
"""Milliseconds that an expectation may take to come true, on a machine that has much to do."""
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 360, "height": 740}
CHURN, TOOLS = Tracked("models", "manifests/churn.yaml"), Tracked("plain", "manifests/tools.yaml")
_WATCH = """
window.flaws = [];
addEventListener("securitypolicyviolation", (e) => window.flaws.push(`${e.violatedDirective} ${e.blockedURI}`));
"""


def chromium() -> str:
    """The browser's program; the test is skipped where there is none."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = os.environ.get("TEST_CHROMIUM") or shutil.which("chromium")
    if not program:
        pytest.skip("chromium is not installed (apt-get install chromium)")
    return program


class Site:
    """The web application at an address, with jobs whose logs a test writes."""

    def __init__(self, folder: Path, access: Access | None = None, **values: Any) -> None:
        self.web = Web(folder, Access() if access is None else access, **values)
        self.web.time = time.time()
        self.logs = folder / "state" / "serve" / "jobs"
        self.logs.mkdir(parents=True)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server = Server(config(self.web.settings, self.web.app), self.web.settings.access, print)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})
        self._thread.start()

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    @property
    def queue(self) -> Any:
        return self.web.parts.queue

    def fill(self) -> Site:
        """Manifests in several states: fine and pinned, failed with drift, and one that waits for approval."""
        book, now = self.web.parts.book, self.web.time
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
        for name in ("models", "plain"):
            book.put_repository(RepositoryStatus(name, "ok", COMMIT, COMMIT, "", now, now))
        book.put_entry(Entry(PROD, "diabetes", "b1", schedule={"cron": "0 3 * * 1"}, commit=COMMIT))
        book.put_entry(Entry(CHURN, "churn", "b2", commit=COMMIT))
        book.put_entry(Entry(TOOLS, "tools", "b3", commit=COMMIT))
        image = "sha256:" + "77" * 32
        book.put_live(PROD, [Live(PROD, "aks", now, "running", "77ab", image, "http://10.0.0.7", since, pinned="77ab")])
        drift = ("replicas: 3 → 1",)
        book.put_live(CHURN, [Live(CHURN, "aks", now, "running", "3f9c", image, "http://10.0.0.8", since, drift=drift)])
        self.ended(PROD, "done", {"text": "done in 4.2 s: 3 made", "made": 3})
        self.ended(CHURN, "failed", {"text": "manifests/churn.yaml:16: image scoring does not serve"})
        told = {"plan": ["layer  science  miss  pip  numpy changed", "1 to make"], "lock": ["numpy 1.26.4 → 2.0.0"]}
        self.add(TOOLS, state="approval")
        self.queue.end(self.queue.take().id, "done", 0, told)
        return self

    def add(self, manifest: Tracked = PROD, text: str = "commit 3f9c1d0 'Newer model' by Ada", **values: Any) -> Job:
        job: Job = self.queue.add(Job(0, manifest, "run", Reason("commit", text), commit=COMMIT, **values))
        return job

    def begun(self, manifest: Tracked = PROD) -> Job:
        self.add(manifest)
        job: Job = self.queue.take()
        return job

    def ended(self, manifest: Tracked, state: Any, told: Any, text: str = "commit 3f9c1d0 'Newer' by Ada") -> Job:
        self.add(manifest, text)
        job: Job = self.queue.end(self.queue.take().id, state, 0, told)
        return job

    def tell(self, job: int, *events: dict[str, Any] | str) -> None:
        """Writes events, or lines as they are, to the end of a job's log."""
        with (self.logs / f"{job}.jsonl").open("a", encoding="utf-8") as file:
            for one in events:
                text = one if isinstance(one, str) else json.dumps({**one, "at": one.get("at", time.time())})
                file.write(text + "\n")


def planned(*steps: tuple[str, tuple[str, ...], bool]) -> dict[str, Any]:
    """The event of a graph, from (step, what it needs, whether it is a hit)."""
    graph = [
        {
            "step": id_,
            "kind": id_.split()[0],
            "name": id_.split()[1],
            "title": "",
            "needs": needs,
            "hit": hit,
            "why": "",
        }
        for id_, needs, hit in steps
    ]
    return {"event": "planned", "graph": graph}


@contextlib.contextmanager
def browsing() -> Iterator[Any]:
    """A browser (playwright)."""
    program = chromium()
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=WAIT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"], timeout=WAIT)
        yield browser
        browser.close()


@contextlib.contextmanager
def paged(browser: Any, address: str, ends: bool = False, **options: Any) -> Iterator[Any]:
    """A page of a context of its own; what goes wrong in it fails the test, but with `ends` that the server is gone."""
    context = browser.new_context(base_url=address, **{"viewport": WIDE, **options})
    context.set_default_timeout(WAIT)
    context.add_init_script(_WATCH)
    page, flaws = context.new_page(), []
    page.on("console", lambda message: flaws.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: flaws.append(str(error)))
    yield page
    if options.get("java_script_enabled", True):
        flaws += page.evaluate("window.flaws ?? []")
    context.close()
    assert not [flaw for flaw in flaws if not (ends and "net::ERR" in flaw)], flaws
