"""The dashboard of a real server in chromium: real runs, from a commit and from a button, seen to their ends."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from browserlab import browsing, paged
from servelab import CONFIG, Lab, manifest
from test_serve_process import HANGS, Process

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import expect

ACCESSIBLE = (Path(__file__).parent / "accessible.js").read_text()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Lab, Process]]:
    lab = Lab(tmp_path / "lab", {**manifest("one"), **manifest("two")}, CONFIG.replace("20s", "5s"))
    process = Process(lab)
    yield lab, process
    process.process.kill()
    process.process.wait()


def test_runs_are_seen_from_their_beginning_to_their_end(server: tuple[Lab, Process]) -> None:
    lab, process = server
    with browsing() as browser, paged(browser, process.address, reduced_motion="reduce") as page:
        page.goto("/")
        page.evaluate("window.same = true")
        expect(page.locator(".card .state", has_text="fine")).to_have_count(2)
        lab.origin.commit({"manifests/two.txt": "second"}, "A newer text")
        expect(page.locator(".card", has_text="two")).to_contain_text("#3 run done", use_inner_text=True)
        assert page.evaluate("window.same"), "it came by itself"
        page.get_by_role("link", name="two", exact=True).click()
        expect(page.locator("table.rows").first).to_contain_text("'A newer text' by Ada")
        page.get_by_role("button", name="Run", exact=True).click()
        page.evaluate("window.same = true")
        expect(page.locator(".line-of-state .state")).to_have_text("done")
        expect(page.locator(".outcome")).to_contain_text("nothing to do")
        expect(page.locator(".box", has_text="image")).to_have_class(re.compile("hit"))
        expect(page.get_by_role("log")).to_contain_text("run of two")
        assert page.evaluate("window.same")
        page.goto("/images/two/two")
        expect(page.locator("table.layers")).to_contain_text("one/one")
        assert page.locator(".piece.shared").count() == 1
        assert page.evaluate(ACCESSIBLE) == []


def test_a_run_that_hangs_is_ended_by_its_button_and_what_stops_the_server_is_no_open_page(
    server: tuple[Lab, Process],
) -> None:
    lab, process = server
    with socket.create_server(("127.0.0.1", 0)) as silent:
        lab.origin.commit({"manifests/one.yaml": HANGS.format(f"127.0.0.1:{silent.getsockname()[1]}")}, "It hangs")
        begun = process.said(r"job (\d+), run models/manifests/one.yaml: running: commit \S+ 'It hangs'")[1]
        with browsing() as browser, paged(browser, process.address, ends=True) as page:
            page.goto(f"/jobs/{begun}")
            page.get_by_role("button", name="Cancel").click()
            page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
            expect(page.locator(".line-of-state")).to_contain_text("cancelled")
            process.process.terminate()
            assert process.process.wait() == 0
            expect(page.locator("[data-link]")).to_contain_text("not connected")
