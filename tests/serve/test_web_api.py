"""The JSON API: what it shows, what it does once, its limits, its errors, and its description."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from webmaker import ACT, COMMIT, LOOK, PROD, Web

from pipeline.serve.hosts.hooks import Nothing
from pipeline.serve.metrics import Health
from pipeline.serve.model import Entry, RepositoryStatus, Tracked
from pipeline.serve.web.describe import described
from pipeline.serve.web.limits import BODY, Buckets, Budget
from pipeline.serve.web.parts import Rates

SCHEMA = Path(__file__).parents[2] / "schemas" / "serve-openapi.json"


@pytest.fixture
def web(tmp_path: Path) -> Web:
    return Web(tmp_path).fill()


def get(web: Web, path: str, status: int = 200, **params: Any) -> Any:
    answer = web.at(token=LOOK).get(f"/api/v1{path}", params=params)
    assert answer.status_code == status, answer.text
    return answer.json()


def post(web: Web, path: str, asked: Any = None, status: int = 200, key: str = "") -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    answer = web.at(token=ACT).post(f"/api/v1{path}", json=asked, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json()


# -- looking ----------------------------------------------------------------------------------------------------------


def test_it_tells_of_manifests(web: Web) -> None:
    page = get(web, "/manifests")
    assert [row["id"] for row in page["rows"]] == [PROD.id]
    assert get(web, "/manifests", repository="plain")["rows"] == []
    one = get(web, f"/manifests/{PROD.id}")
    assert one["row"]["targets"][0]["revision"] == "77ab"
    assert one["repository"]["state"] == "ok"
    assert get(web, "/manifests/models/nothing.yaml", 404)["detail"].startswith("there is no manifest")


def test_it_tells_of_jobs_by_pages(web: Web) -> None:
    ids = [web.add().id for _ in range(5)]
    first = get(web, "/jobs", most=3)
    second = get(web, "/jobs", most=3, before=first["before"])
    rows = [*first["jobs"], *second["jobs"]]
    assert [row["id"] for row in rows[:5]] == ids[::-1]
    assert len({row["id"] for row in rows}) == 6
    assert get(web, "/jobs", manifest="models/other.yaml")["jobs"] == []


def test_it_tells_a_job_and_its_log(web: Web) -> None:
    log = web.parts.home.state / "serve" / "jobs" / "1.jsonl"
    log.parent.mkdir(parents=True)
    lines = [{"event": "step-said", "step": "layer science", "text": f"line {n}", "at": 1.0} for n in range(9)]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert get(web, "/jobs/1")["row"]["text"] == "done in 4.2 s: 3 made"
    page = get(web, "/jobs/1/log", most=4)
    assert [line["text"] for line in page["lines"]] == ["line 0", "line 1", "line 2", "line 3"]
    rest = get(web, "/jobs/1/log", offset=page["next"])
    assert [line["text"] for line in rest["lines"]][-1] == "line 8"
    text = web.at(token=LOOK).get("/api/v1/jobs/1/text")
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert text.text.endswith("line 8\n")
    assert get(web, "/jobs/99", 404) and get(web, "/jobs/99/log", 404)


def test_it_tells_what_waits_and_what_is_live(web: Web) -> None:
    waiting = get(web, "/waiting")
    assert [(one["row"]["state"], one["plan"]) for one in waiting] == [("approval", ["layer science"])]
    assert [one["target"] for one in get(web, "/live", manifest=PROD.id)] == ["aks"]
    assert [one["revision"] for one in get(web, "/revisions", manifest=PROD.id, target="aks")] == ["77ab", "3f9c"]
    assert [one["name"] for one in get(web, "/repositories")] == ["models", "plain"]
    assert get(web, "/runs") == [] and get(web, "/images") == []
    assert get(web, "/runs/7", 404) and get(web, "/images/diabetes/scoring", 404)
    assert get(web, "/health")[0]["name"] == "watch"


@pytest.mark.parametrize("text", ["1.5", "1e3", "true", "", "0", "-1", "9" * 30])
def test_numbers_are_as_described(web: Web, text: str) -> None:
    get(web, "/jobs", 422, before=text)
    get(web, f"/jobs/{text or '-'}", 422)


def test_health_says_more_to_those_who_may_look(web: Web) -> None:
    assert web.at().get("/healthz").json() == {"status": "ok"}
    web.health[:] = [Health("watch models", True, 1.0), Health("outbox", False, 2.0, "no answer")]
    assert web.at().get("/healthz").json() == {"status": "degraded"}
    told = web.at(token=LOOK).get("/healthz").json()
    assert told["duties"] == {"watch models": True, "outbox": False}
    assert get(web, "/health")[1]["error"] == "no answer"
    web.parts.database.close()
    assert web.at().get("/healthz").status_code == 503


# -- acting -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "action", "kept"),
    [
        ({"action": "run"}, "run", {}),
        ({"action": "plan"}, "plan", {}),
        ({"action": "rebuild"}, "rebuild", {}),
        ({"action": "rebuild", "upgrade": ["slim"]}, "rebuild", {"upgrade": ["slim"]}),
        ({"action": "rollback", "target": "aks"}, "rollback", {"target": "aks", "revision": ""}),
        ({"action": "rollback", "target": "aks", "revision": "3f"}, "rollback", {"target": "aks", "revision": "3f"}),
        ({"action": "pin", "target": "aks"}, "rollback", {"target": "aks", "revision": "77ab"}),
        ({"action": "lift", "target": "aks"}, "lift", {"target": "aks"}),
    ],
)
def test_each_act_becomes_a_job(web: Web, asked: dict[str, Any], action: str, kept: dict[str, Any]) -> None:
    told = post(web, "/jobs", {**asked, "manifest": PROD.id, "note": "after Monday"}, 201)
    job = web.parts.queue.job(told["id"])
    assert job and (job.action, dict(job.asked), job.state) == (action, kept, "waiting")
    assert (job.reason.cause, job.reason.text, job.reason.who) == ("hand", "by hand: after Monday", "ci")
    (act,) = get(web, "/audit")
    assert (act["at"], act["who"]) == (web.time, "ci")
    assert act["what"].startswith(f"{action} {PROD.id}") and act["what"].endswith(f"(job {job.id})")


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ({"action": "run", "manifest": "models/none.yaml"}, 404, "no manifest"),
        ({"action": "rollback", "manifest": PROD.id, "target": "here"}, 404, "it has aks"),
        ({"action": "rollback", "manifest": PROD.id, "target": "aks", "revision": "99"}, 409, "there are: 77ab, 3f9c"),
        ({"action": "rollback", "manifest": PROD.id}, 422, "target"),
        ({"action": "stop", "manifest": PROD.id}, 422, "action"),
        ({"action": "run", "manifest": PROD.id, "target": "aks"}, 422, "target"),
        ({"action": "run", "manifest": ["s3cret"]}, 422, "manifest"),
        ([], 422, "body"),
    ],
)
def test_what_cannot_be_done_is_said(web: Web, asked: Any, status: int, words: str) -> None:
    before = len(web.parts.queue.jobs(100))
    told = post(web, "/jobs", asked, status)
    assert words in told["detail"] and told["status"] == status
    assert "s3cret" not in json.dumps(told), "what was sent is not told back"
    assert len(web.parts.queue.jobs(100)) == before and web.parts.book.audited(9) == []


def test_who_approves_is_known_and_only_once(web: Web) -> None:
    (waiting,) = get(web, "/waiting")
    number = waiting["row"]["id"]
    told = post(web, f"/jobs/{number}/approve")
    assert (told["state"], told["approved_by"]) == ("waiting", "ci")
    assert "does not wait for approval" in post(web, f"/jobs/{number}/approve", status=409)["detail"]
    assert "does not wait for approval" in post(web, f"/jobs/{number}/reject", status=409)["detail"]


def test_only_what_was_shown_is_approved(web: Web) -> None:
    tools = Tracked("models", "manifests/tools.yaml")
    web.parts.book.put_entry(Entry(tools, "tools", "b2", commit="c" * 40))
    job = web.add(manifest=tools, state="approval", commit="c" * 40)
    assert "is not planned yet" in post(web, f"/jobs/{job.id}/approve", status=409)["detail"]
    taken = [web.parts.queue.take() for _ in range(2)]
    plan = next(one for one in taken if one and one.manifest == tools)
    web.parts.queue.end(plan.id, "failed", 4, {"text": "the registry does not answer", "remedy": "wait"})
    assert "does not answer" in post(web, f"/jobs/{job.id}/approve", status=409)["detail"]
    again = post(web, "/jobs", {"action": "plan", "manifest": tools.id}, status=201)
    assert again["commit"] == "c" * 40
    last = web.parts.queue.take()
    assert last and last.id == again["id"]
    web.parts.queue.end(last.id, "done", 0, {"text": "1 to make", "plan": ["layer code"]})
    assert post(web, f"/jobs/{job.id}/approve")["state"] == "waiting"


def test_what_is_rejected_keeps_its_plan(web: Web) -> None:
    (waiting,) = get(web, "/waiting")
    number = waiting["row"]["id"]
    told = post(web, f"/jobs/{number}/reject", {"note": "not on Friday"})
    assert (told["state"], told["text"]) == ("cancelled", "rejected by ci: not on Friday")
    assert get(web, f"/jobs/{number}")["plan"] == ["layer science"]


def test_a_job_is_cancelled_where_it_is(web: Web) -> None:
    waiting = web.add()
    assert post(web, f"/jobs/{waiting.id}/cancel")["state"] == "cancelled"
    running = web.add()
    while (taken := web.parts.queue.take()) and taken.id != running.id:
        web.parts.queue.end(taken.id, "done", 0, {})
    assert post(web, f"/jobs/{running.id}/cancel")["state"] == "running", "whoever performs it ends it"
    assert web.halted == [running.id]
    assert "cannot become cancelled" in post(web, f"/jobs/{waiting.id}/cancel", status=409)["detail"]
    assert post(web, "/jobs/999/cancel", status=404)


def test_a_diverged_commit_is_accepted_by_name(web: Web) -> None:
    other = "77ab" + "0" * 36
    assert "nothing to accept" in post(web, "/repositories/models/accept", {"commit": COMMIT}, 409)["detail"]
    web.parts.book.put_repository(RepositoryStatus("models", "diverged", other, COMMIT))
    assert "at 77ab00000000 now" in post(web, "/repositories/models/accept", {"commit": COMMIT}, 409)["detail"]
    assert post(web, "/repositories/models/accept", {"commit": "77ab"}, 422)
    assert post(web, "/repositories/models/accept", {"commit": other})["accepted"] == other
    assert web.parts.book.repository("models").accepted == other
    assert [name for name, _ in web.pushed] == ["models"]
    assert post(web, "/repositories/none/accept", {"commit": other}, 404)


def test_a_repository_is_looked_at_when_somebody_asks(web: Web) -> None:
    assert post(web, "/repositories/plain/refresh")["state"] == "new"
    ((name, event),) = web.pushed
    assert name == "plain" and isinstance(event, Nothing)


def test_asked_again_with_the_same_key_it_is_done_once(web: Web) -> None:
    asked = {"action": "run", "manifest": PROD.id}
    first = post(web, "/jobs", asked, 201, "k1")
    assert post(web, "/jobs", asked, 201, "k1") == first
    assert post(web, "/jobs", asked, 201, "k2")["id"] != first["id"]
    assert "used for something else" in post(web, "/jobs", {**asked, "note": "x"}, 409, "k1")["detail"]
    assert "used for something else" in post(web, f"/jobs/{first['id']}/cancel", None, 409, "k1")["detail"]
    assert len(web.parts.book.audited(9)) == 2
    web.time += 86401
    assert post(web, "/jobs", asked, 201, "k1")["id"] != first["id"]
    kept = web.parts.database.execute("SELECT count(*) FROM facts WHERE name LIKE 'once:%'")
    assert kept == [(1,)], "old keys are forgotten"


def test_asked_by_many_at_once_with_the_same_key_it_is_done_once(web: Web) -> None:
    asked = {"action": "run", "manifest": PROD.id}
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: post(web, "/jobs", asked, 201, "k1")["id"], range(8)))
    assert len(set(told)) == 1 and len(web.parts.book.audited(9)) == 1


# -- limits and errors ------------------------------------------------------------------------------------------------


def test_buckets_fill_again_and_are_bounded() -> None:
    time = [0.0]
    buckets = Buckets(2, lambda: time[0], most=2)
    assert [buckets.take("a") for _ in range(3)] == [0.0, 0.0, 30.0]
    time[0] = 31.0
    assert buckets.take("a") == 0.0 and buckets.take("a") == pytest.approx(29.0)
    assert buckets.wait("b") == 0.0
    buckets.take("b"), buckets.take("c")
    assert buckets.take("a") == 0.0, "it was forgotten"
    time[0] = -1000.0
    assert buckets.take("c") == 0.0, "a clock that was set back"


def test_who_asks_too_much_waits(tmp_path: Path) -> None:
    web = Web(tmp_path, rates=Rates(sign_in=3, calls=5, hooks=2))
    client = web.at(token=LOOK)
    assert [client.get("/api/v1/jobs").status_code for _ in range(6)] == [200] * 5 + [429]
    assert int(client.get("/api/v1/jobs").headers["retry-after"]) >= 12
    assert web.at(token=ACT).get("/api/v1/jobs").status_code == 200, "each has a measure of their own"
    web.time += 13
    assert client.get("/api/v1/jobs").status_code == 200


def test_tokens_cannot_be_guessed_quickly(tmp_path: Path) -> None:
    web = Web(tmp_path, rates=Rates(sign_in=3, calls=1e6, hooks=1e6))
    wrong = [web.at(token=f"guess-{n}").get("/api/v1/jobs").status_code for n in range(4)]
    assert wrong == [401, 401, 401, 429]
    assert web.at(token=ACT).get("/api/v1/jobs").status_code == 429, "even with the right one: else it could be told"
    assert web.at("192.0.2.1", token=ACT).get("/api/v1/jobs").status_code == 200
    tried = [web.at("192.0.2.1").post("/sign-in", data={"token": "x"}).status_code for _ in range(4)]
    assert tried == [303, 303, 303, 429]


def test_large_bodies_are_not_read(web: Web) -> None:
    client = web.at(token=ACT)
    assert client.post("/api/v1/jobs", content=b" " * (BODY + 1)).status_code == 413
    chunks = (b" " * 65536 for _ in range(32))
    assert client.post("/api/v1/jobs", content=chunks).status_code == 413


def test_strangers_send_little(web: Web) -> None:
    assert web.client.post("/sign-in", content=b"token=" + b"x" * (1 << 14)).status_code == 413
    assert web.client.post("/sign-in", content=b"token=" + b"x" * 1000).status_code == 303


def test_what_is_on_its_way_is_bounded_in_all() -> None:
    budget = Budget(10)
    assert budget.take(6) and not budget.take(5) and budget.take(4)
    budget.give(6)
    assert budget.take(6) and not budget.take(1)


def test_only_targets_that_are_known_are_asked(web: Web) -> None:
    assert "no target 'other'" in get(web, "/revisions", 404, manifest=PROD.id, target="other")["detail"]


def test_errors_are_problem_details_for_programs_and_pages_for_people(web: Web) -> None:
    client = web.at(token=ACT)
    for method, path, status in (("GET", "/api/v1/none", 404), ("DELETE", "/api/v1/jobs", 405), ("GET", "/none", 404)):
        answer = client.request(method, path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert set(answer.json()) == {"title", "status", "detail"}
    assert client.delete("/api/v1/jobs").headers["allow"]
    page = client.get("/none<script>", headers={"Accept": "text/html"})
    assert page.status_code == 404 and "<script>alert" not in page.text
    assert page.headers["content-type"].startswith("text/html")


def test_a_bug_has_a_reference_and_no_traceback(web: Web) -> None:
    def broken() -> None:
        raise ZeroDivisionError(f"with {ACT}")

    web.app.add_api_route("/api/v1/broken", broken)
    object.__setattr__(web.settings, "secrets", ())
    answer = web.at(token=ACT).get("/api/v1/broken")
    told = answer.json()
    assert answer.status_code == 500 and told["reference"] in told["detail"]
    assert "ZeroDivision" not in answer.text and "Traceback" not in answer.text
    log = (web.parts.home.state / "serve" / "errors.log").read_text(encoding="utf-8")
    assert told["reference"] in log and "ZeroDivisionError" in log and "GET /api/v1/broken" in log


# -- the description --------------------------------------------------------------------------------------------------


def test_the_description_is_current() -> None:
    made = json.dumps(described(), indent=2, ensure_ascii=False) + "\n"
    assert made == SCHEMA.read_text(encoding="utf-8"), (
        "python -m pipeline.serve.web.describe > schemas/serve-openapi.json"
    )


def test_each_operation_says_what_can_go_wrong(web: Web) -> None:
    for path, item in described()["paths"].items():
        for method, operation in item.items():
            there = set(operation["responses"])
            assert {"401", "403", "422", "429", "500"} <= there, (method, path)
            assert ("{" not in path and path != "/api/v1/revisions") or "404" in there, (method, path)
            assert method == "get" or {"404", "409", "413"} <= there, (method, path)
            assert operation["operationId"] and operation["description"]
    assert web.at(token=LOOK).get("/api/openapi.json").json()["paths"] == described()["paths"]
