"""No secret in a page, an answer of the API, a metric, or a log: planted wherever one could be, and looked for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from webmaker import ACT, HOOK, LOOK, PROD, Web

from pipeline.manifest.model import Secret
from pipeline.serve.model import Entry, Live, RepositoryStatus
from pipeline.serve.settings import Messages, Repository
from pipeline.serve.web.describe import described

GIT, PASSWORD, SLACK = "git-token-77ab12cd", "registry-password-9f8e", "https://hooks.example.com/T000/s3cret-of-slack"
JOB = 6
PLANTED = (ACT, LOOK, HOOK, GIT, PASSWORD, SLACK)


@pytest.fixture
def web(tmp_path: Path) -> Web:
    """Secrets in the settings, and in what commands, hosts and clusters said."""
    made = Web(tmp_path, secrets=tuple(map(Secret, PLANTED)), messages=(Messages("team", "slack", Secret(SLACK)),))
    repositories = made.settings.repositories
    closed = Repository("closed", "https://git.example.com/acme/closed.git", token=Secret(GIT))
    repositories["closed"] = replace(closed, environment={"REGISTRY_PASSWORD": Secret(PASSWORD)})  # type: ignore[index]
    made.fill()
    said = f"refused: password {PASSWORD} for ada:{GIT}"
    made.parts.book.put_repository(RepositoryStatus("closed", "unreachable", detail=said))
    made.parts.book.put_entry(Entry(PROD, "diabetes", "b10b", error=said))
    made.parts.book.put_live(PROD, [Live(PROD, "aks", 1.0, "failed", "77ab", detail=said, drift=(said,))])
    made.add(state="approval")
    job = made.add(told={"text": said, "plan": [said], "lock": [said], "url": f"https://x/?t={GIT}"})
    assert job.id == JOB
    log = made.parts.home.state / "serve" / "jobs" / f"{job.id}.jsonl"
    log.parent.mkdir(parents=True, exist_ok=True)
    events = [{"event": "step-said", "step": "layer a", "text": said}, {"event": "error", "message": said}]
    log.write_text("".join(json.dumps(event) + "\n" for event in events) + said + "\n", encoding="utf-8")
    return made


def paths() -> list[str]:
    filled = {"{id}": PROD.id, "{number}": str(JOB), "{reference}": "diabetes/scoring"}
    api = []
    for path, item in described()["paths"].items():
        for name, value in filled.items():
            path = path.replace(name, value)
        api += [path] if "get" in item else []
    api += [f"/api/v1/revisions?manifest={PROD.id}&target=aks", "/api/v1/repositories/none", "/api/openapi.json"]
    pages = [
        "/",
        f"/manifests/{PROD.id}",
        "/jobs",
        f"/jobs/{JOB}",
        f"/jobs/{JOB}/log",
        f"/jobs/{JOB}/lines",
        "/waiting",
        "/runs",
    ]
    pages += ["/images", "/repositories", "/sign-in", f"/rollback?manifest={PROD.id}&target=aks", "/none"]
    return [*api, *pages, "/metrics", "/healthz"]


@pytest.mark.parametrize("path", paths())
def test_no_secret_is_told(web: Web, path: str) -> None:
    for accepts in ("application/json", "text/html"):
        answer = web.at(token=ACT).get(path, headers={"Accept": accepts})
        assert answer.status_code < 500
        told = answer.text + str(dict(answer.headers))
        assert not [one for one in PLANTED if one in told]


def test_what_is_around_a_secret_is_told(web: Web) -> None:
    text = web.at(token=ACT).get(f"/api/v1/jobs/{JOB}/text").text
    assert text.count("refused: password *** for ada:***") == 3


def test_no_secret_is_kept_of_what_was_asked(web: Web) -> None:
    client = web.at(token=ACT)
    answer = client.post("/api/v1/jobs", json={"action": "run", "manifest": PROD.id, "note": f"with {PASSWORD}"})
    assert PASSWORD not in answer.text
    kept = (web.parts.home.state / "serve" / "serve.db").read_bytes()
    assert not [one for one in PLANTED if one.encode() in kept]
    assert ACT not in client.get("/api/v1/audit").text
