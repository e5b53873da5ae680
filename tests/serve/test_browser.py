"""The dashboard in chromium: what people do with it, by mouse, by keyboard, without scripts, narrow and dark."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browserlab import CHURN, NARROW, PROD, TOOLS, WIDE, Site, browsing, paged, planned
from webmaker import ACT, LOOK, TOKENS

from pipeline.serve.model import RepositoryStatus
from pipeline.serve.settings import Access

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import expect

ACCESSIBLE = (Path(__file__).parent / "accessible.js").read_text()
CHAIN = planned(
    ("base slim", (), True),
    ("layer code", ("base slim",), False),
    ("image web", ("base slim", "layer code"), False),
    ("target here", ("image web",), False),
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing() as found:
        yield found


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path).fill()
    yield made
    made.close()


@pytest.fixture
def page(browser: Any, site: Site) -> Iterator[Any]:
    with paged(browser, site.address) as found:
        yield found


def started(step: str) -> dict[str, Any]:
    return {"event": "step-started", "step": step, "kind": step.split()[0], "name": step.split()[1]}


def ended(step: str, outcome: str = "made", **more: Any) -> dict[str, Any]:
    return {**started(step), "event": "step-ended", "outcome": outcome, "seconds": 1.5, "title": "1 file", **more}


# -- what there is to see ---------------------------------------------------------------------------------------------


def test_the_overview_shows_trouble_first_and_what_is_live_where_since_when_and_why(page: Any) -> None:
    page.goto("/")
    cards = page.locator(".card")
    expect(cards).to_have_count(3)
    expect(cards.nth(0)).to_contain_text("churn")
    expect(cards.nth(0)).to_contain_text("changed by others")
    prod = page.locator(".card", has_text="diabetes")
    expect(prod).to_contain_text("http://10.0.0.7")
    expect(prod).to_contain_text("777777777777")
    expect(prod).to_contain_text("pinned")
    expect(prod).to_contain_text("commit 3f9c1d0 'Newer' by Ada")
    expect(prod.locator("time").first).to_have_attribute("title", re.compile(r"UTC\)$"))


def test_finding_narrows_at_once_and_is_kept_in_the_address(page: Any) -> None:
    page.goto("/")
    page.get_by_role("searchbox").fill("10.0.0.8")
    expect(page.locator(".card:visible")).to_have_count(1)
    expect(page.locator(".card:visible")).to_contain_text("churn")
    expect(page).to_have_url(re.compile(r"q=10\.0\.0\.8"))
    page.reload()
    expect(page.locator(".card")).to_have_count(1)


def test_a_manifest_appears_and_changes_without_loading_the_page_again(page: Any, site: Site) -> None:
    page.goto("/")
    page.evaluate("window.same = true")
    job = site.begun(PROD)
    prod = page.locator(".card", has_text="diabetes")
    expect(prod).to_contain_text("running")
    site.queue.end(job.id, "failed", 3, {"text": "no such file: model.json"})
    expect(prod).to_contain_text("no such file: model.json")
    assert page.evaluate("window.same")


# -- a run, live ------------------------------------------------------------------------------------------------------


def test_a_run_is_drawn_while_it_goes_on_to_its_end(page: Any, site: Site) -> None:
    job = site.begun()
    page.goto(f"/jobs/{job.id}")
    page.evaluate("window.same = true")
    site.tell(job.id, {"event": "run-started", "manifest": "diabetes", "steps": 4}, CHAIN, started("layer code"))
    box = page.locator(".box", has_text="code")
    expect(box).to_have_class(re.compile("busy"))
    expect(page.get_by_role("status").first).to_contain_text("1 of 4 steps done; now layer code")
    expect(page.locator(".box", has_text="web")).to_have_class(re.compile("wait"))
    site.tell(job.id, {"event": "step-said", "step": "layer code", "text": "packing score.py"}, ended("layer code"))
    expect(box).to_have_class(re.compile("good"))
    expect(page.get_by_role("log")).to_contain_text("packing score.py")
    expect(page.locator("table.steps")).to_contain_text("1.5 s")
    site.tell(job.id, started("image web"), ended("image web", "failed", error="the disk is full"))
    expect(page.locator(".box", has_text="web")).to_have_class(re.compile("bad"))
    site.queue.end(job.id, "failed", 3, {"text": "the disk is full"})
    expect(page.locator(".line-of-state")).to_contain_text("failed")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    expect(page.get_by_role("button", name="Follow")).to_be_hidden()
    expect(page.get_by_label("Of which step").locator("option")).to_contain_text(["All steps", "layer code"])
    assert page.evaluate("window.same")


def test_the_log_follows_until_one_scrolls_up_and_can_be_narrowed_to_a_step(page: Any, site: Site) -> None:
    job = site.begun()
    said = [{"event": "step-said", "step": "layer code", "text": f"line {n}"} for n in range(200)]
    site.tell(job.id, {"event": "run-started", "manifest": "d", "steps": 4}, CHAIN, started("layer code"), *said)
    page.goto(f"/jobs/{job.id}")
    log = page.get_by_role("log")
    follow = page.get_by_role("button", name="Follow")
    expect(follow).to_have_attribute("aria-pressed", "true")
    at_end = "box => box.scrollHeight - box.scrollTop - box.clientHeight < 24"
    assert log.evaluate(at_end)
    log.evaluate("box => { box.scrollTop = 0 }")
    expect(follow).to_have_attribute("aria-pressed", "false")
    site.tell(job.id, {"event": "step-said", "step": "layer code", "text": "the newest"})
    expect(log).to_contain_text("the newest")
    assert not log.evaluate(at_end)
    follow.click()
    assert log.evaluate(at_end)
    page.get_by_label("Of which step").select_option("layer code")
    expect(page).to_have_url(re.compile("step=layer"))
    expect(page.get_by_role("log")).not_to_contain_text("run of d")


def test_what_a_program_says_does_not_become_a_part_of_the_page(page: Any, site: Site) -> None:
    page.on("dialog", lambda _dialog: pytest.fail("a script of others ran"))
    hostile = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"
    job = site.begun()
    graph = planned((f"layer {hostile}", (), False))
    site.tell(job.id, {"event": "run-started", "manifest": hostile, "steps": 1}, graph)
    page.goto(f"/jobs/{job.id}")
    said = {"event": "step-said", "step": f"layer {hostile}", "text": f"\x1b[31m{hostile}\x1b[0m\u202e"}
    site.tell(job.id, said, hostile, ended(f"layer {hostile}", "failed", error=hostile))
    expect(page.get_by_role("log")).to_contain_text("<img src=x onerror=alert(1)>")
    expect(page.get_by_role("log")).not_to_contain_text("[31m")
    site.queue.end(job.id, "failed", 3, {"text": hostile, "url": "javascript:alert(3)"})
    expect(page.locator(".outcome")).to_contain_text("<script>")
    assert page.locator("img").count() == 0
    assert page.locator("main script").count() == 0
    assert page.locator('a[href^="javascript"]').count() == 0


# -- buttons ----------------------------------------------------------------------------------------------------------


def test_from_the_overview_to_a_manifest_to_a_run(page: Any, site: Site) -> None:
    page.goto("/")
    page.get_by_role("link", name="diabetes", exact=True).click()
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile(r"#\d+ run"))
    expect(page.locator(".line-of-state")).to_contain_text("waiting")
    assert [job.reason.cause for job in site.queue.open() if job.state == "waiting"] == ["hand"]
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.locator(".line-of-state")).to_contain_text("cancelled")


def test_rolling_back_asks_which_release_and_pins_it(page: Any, site: Site) -> None:
    page.goto(f"/manifests/{CHURN.id}")
    page.get_by_role("link", name="Roll back…").click()
    expect(page.get_by_role("radio", name="3f9c")).to_be_checked()
    page.get_by_label("Why").fill("slower since Monday")
    page.get_by_role("button", name="Roll back").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("roll back aks")
    job = next(job for job in site.queue.open() if job.action == "rollback")
    assert dict(job.asked) == {"target": "aks", "revision": "3f9c"}
    assert "slower since Monday" in job.reason.text


def test_a_pin_is_lifted(page: Any, site: Site) -> None:
    page.goto(f"/manifests/{PROD.id}")
    page.get_by_role("button", name="Lift the pin").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("lift the pin")
    assert [job.action for job in site.queue.open() if job.manifest == PROD] == ["lift"]


def test_what_waits_shows_its_plan_and_is_approved(page: Any, site: Site) -> None:
    page.goto("/")
    page.get_by_role("link", name=re.compile("Approvals")).click()
    card = page.locator(".card", has_text=TOOLS.path)
    expect(card).to_contain_text("numpy changed")
    expect(card).to_contain_text("numpy 1.26.4 → 2.0.0")
    card.get_by_role("button", name="Approve").click()
    expect(page.locator(".line-of-state")).to_contain_text("waiting")
    expect(page.locator("#asking")).to_be_hidden()
    (job,) = [job for job in site.queue.open() if job.manifest == TOOLS]
    assert job.approved_by == "somebody"


def test_rejecting_asks_first_and_can_be_left(page: Any, site: Site) -> None:
    page.goto("/waiting")
    page.get_by_role("button", name="Reject").click()
    page.get_by_role("dialog").get_by_role("button", name="Leave it").click()
    assert [job.state for job in site.queue.open()] == ["approval"]
    page.get_by_role("button", name="Reject").click()
    page.get_by_role("dialog").get_by_role("button", name="Reject").click()
    expect(page.locator(".line-of-state")).to_contain_text("cancelled")


def test_a_diverged_branch_is_told_of_and_accepted(page: Any, site: Site) -> None:
    site.web.parts.book.put_repository(RepositoryStatus("models", "diverged", "ab" * 20, "cd" * 20, "", 1.0, 1.0))
    page.goto("/")
    expect(page.locator(".note.bad")).to_contain_text("was forced to a commit")
    page.goto("/repositories")
    page.get_by_role("button", name="Accept ababababab").click()
    page.get_by_role("dialog").get_by_role("button", name="Accept").click()
    expect(page.get_by_role("button", name="Accept ababababab")).to_have_count(0)
    assert site.web.parts.book.repository("models").accepted == "ab" * 20


# -- for everybody ----------------------------------------------------------------------------------------------------


def everywhere(site: Site) -> list[str]:
    job = site.begun(PROD)
    site.tell(job.id, {"event": "run-started", "manifest": "d", "steps": 4}, CHAIN, started("layer code"), "as it is")
    site.tell(job.id, {"event": "warning", "text": "old"}, ended("layer code"), started("image web"))
    failed = next(row for row in site.queue.jobs(9) if row.state == "failed").id
    place = {"file": "a", "line": 1}
    site.tell(failed, {"event": "error", "message": "no such file", "remedy": "add it", "place": place})
    paths = ["/", "/?q=nothing-is-like-that", "/jobs", f"/jobs/{job.id}", f"/jobs/{failed}", "/runs", "/waiting"]
    paths += ["/images", "/repositories", f"/manifests/{PROD.id}", f"/manifests/{CHURN.id}", "/sign-in"]
    return [*paths, f"/rollback?manifest={PROD.id}&target=aks"]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_every_page_is_accessible_and_fits(browser: Any, site: Site, theme: str, size: Any) -> None:
    with paged(browser, site.address, viewport=size, color_scheme=theme, reduced_motion="reduce") as page:
        for path in everywhere(site):
            page.goto(path)
            page.wait_for_function("document.querySelector('[data-theme-switch]:not([hidden])')")
            assert page.evaluate(ACCESSIBLE) == [], path


def test_colours_are_chosen_and_kept(browser: Any, site: Site) -> None:
    with paged(browser, site.address, color_scheme="light") as page:
        page.goto("/")
        ground = "getComputedStyle(document.documentElement).backgroundColor"
        light = page.evaluate(ground)
        switch = page.get_by_role("button", name=re.compile("Colours"))
        switch.click()
        switch.click()
        expect(switch).to_have_accessible_name("Colours: dark")
        dark = page.evaluate(ground)
        assert dark != light
        page.goto("/jobs")
        assert page.evaluate(ground) == dark


def test_all_can_be_done_with_the_keyboard(page: Any, site: Site) -> None:
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("diab")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    expect(page.get_by_role("link", name="diabetes", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("diabetes")
    run = page.get_by_role("button", name="Run", exact=True)
    for _ in range(40):
        page.keyboard.press("Tab")
        if run.evaluate("each => each === document.activeElement"):
            break
    assert run.evaluate("each => getComputedStyle(each).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile(r"#\d+ run"))
    assert any(job.reason.cause == "hand" for job in site.queue.open())
    page.keyboard.press("g")
    page.keyboard.press("a")
    expect(page.get_by_role("heading", level=1)).to_have_text("Approvals")


def test_focus_stays_where_it_is_when_a_part_changes(page: Any, site: Site) -> None:
    page.goto("/")
    link = page.get_by_role("link", name="churn", exact=True)
    link.focus()
    site.begun(PROD)
    expect(page.locator(".card", has_text="diabetes")).to_contain_text("running")
    expect(link).to_be_focused()


def test_everything_can_be_read_and_done_without_scripts(browser: Any, site: Site) -> None:
    job = site.begun(CHURN)
    site.tell(job.id, {"event": "run-started", "manifest": "churn", "steps": 4}, CHAIN, ended("layer code"))
    with paged(browser, site.address, java_script_enabled=False) as page:
        page.goto(f"/jobs/{job.id}")
        expect(page.locator(".box")).to_have_count(4)
        expect(page.get_by_role("log")).to_contain_text("made in 1.5 s")
        page.goto("/")
        page.get_by_role("searchbox").fill("diab")
        page.get_by_role("searchbox").press("Enter")
        expect(page.locator(".card")).to_have_count(1)
        page.get_by_role("link", name="diabetes", exact=True).click()
        page.get_by_role("button", name="Rebuild").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(re.compile(r"#\d+ rebuild"))


def test_whoever_may_only_look_signs_in_and_has_no_buttons(browser: Any, tmp_path: Path) -> None:
    site = Site(tmp_path, Access(tokens=TOKENS)).fill()
    try:
        with paged(browser, site.address) as page:
            page.goto("/waiting")
            expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
            assert page.evaluate(ACCESSIBLE) == []
            page.get_by_label("Token").fill("no-such-token-at-all")
            page.get_by_role("button", name="Sign in").click()
            expect(page.get_by_role("alert")).to_contain_text("not known")
            page.get_by_label("Token").fill(LOOK)
            page.get_by_role("button", name="Sign in").click()
            expect(page.get_by_role("heading", level=1)).to_have_text("Approvals")
            expect(page.get_by_role("button", name="Approve")).to_have_count(0)
            page.get_by_role("button", name="Sign out").click()
            page.get_by_label("Token").fill(ACT)
            page.get_by_role("button", name="Sign in").click()
            page.goto("/waiting")
            expect(page.get_by_role("button", name="Approve")).to_be_visible()
    finally:
        site.close()


def test_a_page_that_nobody_sees_holds_no_connection_and_is_up_to_date_when_seen(page: Any, site: Site) -> None:
    page.goto("/")
    hidden = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
    hidden += "document.dispatchEvent(new Event('visibilitychange'))"
    with page.expect_event("requestfailed", lambda request: "/events" in request.url) as closed:
        page.wait_for_function("performance.getEntriesByType('resource').length")
        page.evaluate(hidden % "true")
    assert "ABORTED" in closed.value.failure
    site.begun(PROD)
    page.evaluate(hidden % "false")
    expect(page.locator(".card", has_text="diabetes")).to_contain_text("running")


def test_what_is_not_accessible_is_found(browser: Any) -> None:
    page = browser.new_page()
    page.set_content(
        "<main><h1>a</h1><h3>b</h3><button></button><input><p style='color:#999;background:#fff'>pale</p>"
        "<table><tr><th>x</th></tr></table><div id=a></div><div id=a></div><div style='width:5000px'>wide</div></main>"
    )
    found = " ".join(page.evaluate(ACCESSIBLE))
    page.close()
    flaws = (
        "no language",
        "no title",
        "left out",
        "no name",
        "no label",
        "contrast 2.85",
        "no caption",
        "no scope",
        "twice",
    )
    assert [flaw for flaw in (*flaws, "wider than", "a style within") if flaw not in found] == []
