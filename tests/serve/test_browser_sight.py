"""What is to be looked at is in sight: what goes on in a long run, its time line, long names, the whole of a graph."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browserlab import NARROW, PROD, Site, browsing, paged, planned

from pipeline.serve.model import Live

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import expect

PUBLISHED = planned(
    ("base slim", (), False),
    *[(f"layer l{number}", ("base slim",), False) for number in range(9)],
    ("image web", tuple(f"layer l{number}" for number in range(9)), False),
    ("check web", ("image web",), False),
    ("push web", ("check web",), False),
    ("tag web", ("push web",), False),
    ("target production", ("tag web",), False),
)
MINUTES = r"\d min"
"""One, or some more where the machine has much to do."""
SEEN = """(part) => {
  const box = part.closest(".graph, .scroll").getBoundingClientRect(), own = part.getBoundingClientRect();
  return own.left >= box.left && own.right <= box.right && own.top >= box.top && own.bottom <= box.bottom;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing() as found:
        yield found


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path).fill()
    yield made
    made.close()


def _step(name: str, step: str, at: float, **more: Any) -> dict[str, Any]:
    return {"event": name, "step": step, "kind": step.split()[0], "name": step.split()[1], "at": at, **more}


def _run(site: Site, busy: str) -> int:
    """A run of which `busy` goes on since a minute, all before it is made, and nothing is said any more."""
    job, begun = site.begun().id, time.time() - 100
    site.tell(job, {"event": "run-started", "manifest": "d", "steps": 15, "at": begun}, PUBLISHED)
    for one in PUBLISHED["graph"]:
        if one["step"] == busy:
            break
        site.tell(job, _step("step-started", one["step"], begun))
        site.tell(job, _step("step-ended", one["step"], begun + 40, outcome="made", seconds=40.0))
    site.tell(job, _step("step-started", busy, begun + 40))
    return job


def test_the_graph_of_a_run_that_publishes_fits_a_window_of_a_desk(browser: Any, site: Site) -> None:
    job = _run(site, "check web")
    with paged(browser, site.address, viewport={"width": 1280, "height": 800}) as page:
        page.goto(f"/jobs/{job}")
        graph = page.locator(".graph")
        assert graph.evaluate("box => box.scrollWidth - box.clientWidth") <= 0
        assert page.locator(".box", has_text="production").evaluate(SEEN)


def test_what_goes_on_is_in_sight_until_one_scrolls_elsewhere(browser: Any, site: Site) -> None:
    job = _run(site, "push web")
    with paged(browser, site.address, viewport=NARROW) as page:
        page.goto(f"/jobs/{job}")
        assert page.locator(".box.busy").evaluate(SEEN)
        assert page.locator("table.steps .busy").first.evaluate(SEEN)
        site.tell(job, _step("step-ended", "push web", time.time(), outcome="made", seconds=60.0))
        site.tell(job, _step("step-started", "tag web", time.time()))
        expect(page.locator(".box.busy")).to_contain_text("tag")
        assert page.locator(".box.busy").evaluate(SEEN)
        page.locator(".graph").hover()
        page.mouse.wheel(-2000, 0)
        expect(page.locator(".box", has_text="slim")).to_be_in_viewport()
        site.tell(job, _step("step-ended", "tag web", time.time(), outcome="made", seconds=1.0))
        site.tell(job, _step("step-started", "target production", time.time()))
        expect(page.locator(".box.busy")).to_contain_text("production")
        assert not page.locator(".box.busy").evaluate(SEEN)
        assert page.locator(".box", has_text="slim").evaluate(SEEN)


def test_the_time_line_goes_on_while_a_step_says_nothing(browser: Any, site: Site) -> None:
    job = _run(site, "check web")
    with paged(browser, site.address) as page:
        page.goto(f"/jobs/{job}")
        row = page.locator("table.steps tr", has_text="check web")
        made = page.locator("table.steps tr", has_text="base slim").locator(".bar rect:not(.rail)")
        width = float(made.get_attribute("width"))
        took = row.locator(".num").first
        before = took.text_content()
        expect(took).not_to_have_text(before)
        expect(took).to_have_text(re.compile(rf"^{MINUTES} \d+ s$"))
        expect(made).not_to_have_attribute("width", str(width))
        assert float(made.get_attribute("width")) < width
        assert (
            995
            <= float(
                row.locator(".bar rect:not(.rail)").evaluate("r => +r.getAttribute('x') + +r.getAttribute('width')")
            )
            <= 1001
        )
        expect(page.locator("th.time-line")).to_contain_text(re.compile(rf"{MINUTES} \d+ s"))


def test_a_device_whose_clock_is_wrong_is_told_the_right_lengths_of_time(browser: Any, site: Site) -> None:
    job = _run(site, "check web")
    with paged(browser, site.address) as page:
        page.clock.install(time=time.time() + 7200)
        page.goto(f"/jobs/{job}")
        expect(page.locator("table.steps tr", has_text="check web").locator(".num").first).to_have_text(
            re.compile(rf"^{MINUTES}")
        )
        page.clock.run_for(2000)
        expect(page.locator("table.steps tr", has_text="check web").locator(".num").first).to_have_text(
            re.compile(rf"^{MINUTES}")
        )
        expect(page.locator("dd[data-since]")).to_have_text(re.compile(rf"^(\d+\.\d s|{MINUTES}.*)$"))


def test_the_choice_of_a_step_stays_what_it_is_when_steps_come(browser: Any, site: Site) -> None:
    job = _run(site, "check web")
    with paged(browser, site.address) as page:
        page.goto(f"/jobs/{job}")
        choice = page.get_by_label("Of which step")
        expect(choice).to_have_value("")
        site.tell(job, _step("step-ended", "check web", time.time(), outcome="made", seconds=60.0))
        site.tell(job, _step("step-started", "push web", time.time()))
        expect(choice.locator("option", has_text="push web")).to_have_count(1)
        expect(choice).to_have_value("")
        choice.select_option("push web")
        expect(page).to_have_url(re.compile("step=push"))
        page.evaluate("document.activeElement.blur()")
        site.tell(job, _step("step-ended", "push web", time.time(), outcome="made", seconds=1.0))
        site.tell(job, _step("step-started", "tag web", time.time()))
        expect(choice.locator("option", has_text="tag web")).to_have_count(1)
        expect(choice).to_have_value("push web")


def test_a_graph_that_is_higher_than_its_box_can_be_seen_as_a_whole(browser: Any, site: Site) -> None:
    layers = [(f"layer l{number}", (f"base b{number}",), False) for number in range(20)]
    bases = [(f"base b{number}", (), False) for number in range(20)]
    job = site.begun().id
    site.tell(job, {"event": "run-started", "manifest": "d", "steps": 40}, planned(*bases, *layers))
    with paged(browser, site.address) as page:
        page.goto(f"/jobs/{job}")
        page.get_by_role("button", name="Whole picture").click()
        for name in ("b0", "b19", "l19"):
            assert page.locator(".box", has_text=re.compile(f"{name}$")).evaluate(SEEN)


def test_a_graph_that_does_not_fit_can_be_seen_as_a_whole(browser: Any, site: Site) -> None:
    job = _run(site, "check web")
    with paged(browser, site.address, viewport=NARROW) as page:
        page.goto(f"/jobs/{job}")
        whole = page.get_by_role("button", name="Whole picture")
        expect(whole).to_have_attribute("aria-pressed", "false")
        whole.click()
        expect(whole).to_have_attribute("aria-pressed", "true")
        for name in ("slim", "production"):
            assert page.locator(".box", has_text=name).evaluate(SEEN)
        site.tell(job, _step("step-ended", "check web", time.time(), outcome="made", seconds=60.0))
        expect(page.locator(".box", has_text="check")).to_have_class(re.compile("good"))
        expect(whole).to_have_attribute("aria-pressed", "true")
        assert page.locator(".box", has_text="production").evaluate(SEEN)
        whole.click()
        assert page.locator(".graph").evaluate("box => box.scrollWidth > box.clientWidth")


def test_a_long_name_of_a_target_covers_nothing(browser: Any, site: Site) -> None:
    name = "a-target-with-a-name-that-is-as-long-as-somebody-could-make-it-and-then-some"
    site.web.parts.book.put_live(PROD, [Live(PROD, name, time.time(), "running", "77ab", "", "http://10.0.0.7")])
    for viewport in ({"width": 1280, "height": 800}, NARROW):
        with paged(browser, site.address, viewport=viewport) as page:
            for path in ("/", f"/manifests/{PROD.id}"):
                page.goto(path)
                text = page.get_by_text(name, exact=True)
                card = page.locator(".card", has=text)
                inside = "(text, card) => text.getBoundingClientRect().right <= card.getBoundingClientRect().right"
                assert text.evaluate(inside, card.element_handle())
            page.goto("/")
            beside = page.locator(".live li", has_text=name)
            what, address = beside.locator(".what span").last.bounding_box(), beside.locator(".of a").bounding_box()
            apart = what["x"] + what["width"] <= address["x"] or what["y"] + what["height"] <= address["y"] + 1
            assert apart


def test_a_link_in_a_table_is_told_from_the_words_beside_it_by_more_than_colour(browser: Any, site: Site) -> None:
    with paged(browser, site.address) as page:
        page.goto("/jobs")
        cells = page.locator("td:has(> a[data-open])")
        assert cells.count() > 1
        assert cells.evaluate_all(
            "all => all.every((cell) => cell.textContent.trim() === cell.querySelector('a').textContent.trim())"
        )
