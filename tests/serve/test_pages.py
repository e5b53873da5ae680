"""The dashboard's pages and forms without a browser: what they say, to whom, and what a form may do."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import pytest
from webmaker import COMMIT, LOOK, PROD, Web, session

from pipeline.serve.model import Entry, Job, Live, Reason, RepositoryStatus, Tracked
from pipeline.serve.settings import Access
from pipeline.serve.web.page_words import digest, link, relative, took

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}\x1b[31m\u202e"
PAGES = (
    "/",
    "/jobs",
    "/jobs/1",
    "/waiting",
    "/images",
    "/repositories",
    "/runs",
    "/manifests/models/manifests/prod.yaml",
)


class Tags(HTMLParser):
    """All tags of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture
def web(tmp_path: Path) -> Web:
    return Web(tmp_path, Access()).fill()


def csrf(web: Web, path: str = "/repositories") -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', web.client.get(path).text)
    assert found
    return found[1]


@pytest.mark.parametrize("path", PAGES)
def test_pages_hold_no_script_and_no_style_of_their_own(web: Web, path: str) -> None:
    answer = web.client.get(path)
    assert answer.status_code == 200, answer.text
    tags = Tags(answer.text)
    assert all((tag.get("src") or "").startswith("/static/") for tag in tags.of("script"))
    assert not tags.of("style")
    assert not [
        tag for tag, attributes in tags.found if any(name.startswith("on") or name == "style" for name in attributes)
    ]
    for asked in [tag["src"] for tag in tags.of("script")] + [tag["href"] for tag in tags.of("link")]:
        assert web.client.get(str(asked)).status_code == 200


def test_what_others_wrote_stays_text(web: Web) -> None:
    book, queue = web.parts.book, web.parts.queue
    odd = Tracked("models", f"manifests/{HOSTILE}.yaml")
    book.put_entry(Entry(odd, HOSTILE, "b1", error=HOSTILE, commit=HOSTILE))
    address = "javascript:alert(3)"
    book.put_live(
        odd, [Live(odd, HOSTILE, web.time, HOSTILE, HOSTILE, HOSTILE, address, "", HOSTILE, (HOSTILE,), HOSTILE)]
    )
    book.put_repository(RepositoryStatus("models", "broken", HOSTILE, HOSTILE, HOSTILE))
    reason = Reason("commit", HOSTILE, "javascript:alert(4)", HOSTILE)
    job = queue.add(Job(0, odd, "run", reason, "approval", HOSTILE))
    queue.note(job.id, told={"plan": [HOSTILE], "lock": HOSTILE, "text": HOSTILE, "url": "javascript:alert(5)"})
    paths = (
        *PAGES,
        f"/jobs/{job.id}",
        f"/manifests/{quote(odd.id)}",
        f"/?q={quote(HOSTILE)}",
        f"/nothing/{quote(HOSTILE)}",
    )
    for path in paths:
        text = web.client.get(path, headers={"Accept": "text/html"}).text
        tags = Tags(text)
        assert not tags.of("img"), path
        assert all((tag.get("src") or "").startswith("/static/") for tag in tags.of("script")), path
        assert not [each for each in tags.of("a") if (each.get("href") or "").startswith("javascript")], path
        assert "\x1b" not in text, path
        assert "\u202e" not in text, path
        assert "49" not in re.findall(r"onerror=alert\(2\)&gt;(\w*)", text), path


def test_whoever_may_only_look_sees_no_buttons(tmp_path: Path) -> None:
    web = Web(tmp_path).fill()
    session(web.client, LOOK)
    for path in PAGES:
        text = web.client.get(path).text
        assert 'action="/acts/' not in text, path
        assert "screen" in text, path
    assert web.client.post("/acts/run", data={"manifest": PROD.id, "csrf": "x"}).status_code == 403


def test_a_form_needs_its_token_and_leads_to_its_job(web: Web) -> None:
    asked = {"manifest": PROD.id, "note": "again, please"}
    assert web.client.post("/acts/run", data=asked).status_code == 403
    answer = web.client.post("/acts/run", data={**asked, "csrf": csrf(web)})
    assert answer.status_code == 303
    job = web.parts.queue.job(int(answer.headers["location"].removeprefix("/jobs/")))
    assert job
    assert (job.manifest, job.reason.text) == (PROD, "by hand: again, please")


@pytest.mark.parametrize(
    ("verb", "form", "status"),
    [
        ("run", {}, 422),
        ("run", {"manifest": "models/none.yaml"}, 404),
        ("approve", {"job": "one"}, 422),
        ("approve", {"job": "9" * 30}, 422),
        ("approve", {"job": "99"}, 404),
        ("approve", {"job": "1"}, 409),
        ("rollback", {"manifest": PROD.id, "target": "aks", "revision": "none"}, 409),
        ("accept", {"repository": "models", "commit": COMMIT}, 409),
        ("destroy", {"manifest": PROD.id}, 404),
    ],
)
def test_what_cannot_be_done_is_told_as_a_page(web: Web, verb: str, form: dict[str, str], status: int) -> None:
    given = {**form, "csrf": csrf(web)}
    answer = web.client.post(f"/acts/{verb}", data=given, headers={"Accept": "text/html"})
    assert answer.status_code == status
    assert "<h1>" in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "path", ["/jobs/99", "/runs/99", "/manifests/models/no", "/images/no", "/static/1/../base.html"]
)
def test_what_is_not_there_is_told_as_a_page(web: Web, path: str) -> None:
    answer = web.client.get(path, headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "All manifests" in answer.text


def test_a_log_can_be_had_as_text_and_from_any_place(web: Web) -> None:
    folder = web.parts.home.state / "serve" / "jobs"
    folder.mkdir(parents=True)
    said = '{"event": "step-said", "step": "layer a", "text": "%s", "at": 0.5}\n'
    (folder / "1.jsonl").write_text(said % "one" + said % "<b>two</b>")
    lines = web.client.get("/jobs/1/lines").json()
    assert [line[3] for line in lines["lines"]] == ["one", "<b>two</b>"]
    assert web.client.get(f"/jobs/1/lines?offset={lines['next']}").json()["lines"] == []
    text = web.client.get("/jobs/1/log")
    assert text.headers["content-type"].startswith("text/plain")
    assert text.text.splitlines()[1].endswith("<b>two</b>")


def test_links_lead_to_pages_and_nowhere_else() -> None:
    assert link("https://git.example.com/a?b#c") == "https://git.example.com/a?b#c"
    for odd in ("javascript:alert(1)", "data:text/html,x", "//evil", "http:", "", "http://a\nb", "file:///etc/passwd"):
        assert link(odd) == "", odd


def test_times_and_digests_are_short() -> None:
    assert relative(1000.0, 1000.0) == "just now"
    assert relative(1000.0, 1190.0) == "3 min ago"
    assert relative(9000.0, 1000.0) == "in 2 h"
    assert (took(0.0, 0.0, 5.0), took(1.0, 0.0, 5.0), took(1.0, 3.0, 5.0)) == ("", "4.0 s", "2.0 s")
    assert digest("registry.example.com/a@sha256:" + "ab" * 32) == "abababababab"


def test_a_plan_tells_what_is_to_be_made_from_what_there_is(tmp_path: Path) -> None:
    web = Web(tmp_path)
    lines = ["layer  science  hit   pip, 9 packages", "image  scoring  miss  because <l> moves", "1 to make, 1 hit"]
    web.add(state="approval", told={"plan": lines})
    page = web.at(token=LOOK).get("/waiting").text
    assert '<span class="hit">layer  science  hit   pip, 9 packages</span>' in page
    assert '<span class="miss">image  scoring  miss  because &lt;l&gt; moves</span>' in page
    assert '<span class="">1 to make, 1 hit</span>' in page
