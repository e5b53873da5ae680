"""The read models: how manifests stand, what made what is live so, pages of jobs, and images with what they share."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from webmaker import COMMIT, PROD, Web

from pipeline.home import Home
from pipeline.oci.descriptor import Descriptor
from pipeline.serve.model import Entry, Job, Live, Reason, RepositoryStatus, Tracked
from pipeline.serve.views_images import Images, held
from pipeline.store import Store
from pipeline.store.journal import Asked, Counts, Journal, Run, RunStep

NOW = 1_800_000_000.0


def utc(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


@pytest.fixture
def web(tmp_path: Path) -> Web:
    return Web(tmp_path)


def entry(web: Web, name: str, **values: Any) -> Tracked:
    manifest = Tracked("models", f"manifests/{name}.yaml")
    web.parts.book.put_entry(Entry(manifest, name, "b10b", commit=COMMIT, **values))
    return manifest


def live(web: Web, manifest: Tracked, **values: Any) -> None:
    seen = {"state": "running", "revision": "77ab", "image": "sha256:77", "since": utc(NOW), **values}
    web.parts.book.put_live(manifest, [Live(manifest, "aks", NOW, **seen)])


def ended(web: Web, manifest: Tracked, state: Any = "done", action: Any = "run", text: str = "commit 1") -> Job:
    web.parts.queue.add(Job(0, manifest, action, Reason("commit", text)))
    taken = web.parts.queue.take()
    assert taken
    return web.parts.queue.end(taken.id, state, 0, {"text": f"{state} it"})


def test_trouble_stands_first(web: Web) -> None:
    ended(web, entry(web, "fine"))
    live(web, entry(web, "changed"), drift=("replicas: 3 → 1",))
    ended(web, entry(web, "failed"), "failed")
    down = entry(web, "down")
    live(web, down, state="failed")
    ended(web, down)
    entry(web, "unread", error="line 3: no such key")
    entry(web, "unseen")
    web.parts.queue.add(Job(0, entry(web, "asks"), "run", Reason("commit", "commit 2"), "approval"))
    entry(web, "deleted", gone=True)
    page = web.parts.views.manifests()
    assert [(row.name, row.state) for row in page.rows] == [
        ("unread", "broken"),
        ("failed", "failed"),
        ("down", "down"),
        ("changed", "drift"),
        ("asks", "approval"),
        ("fine", "ok"),
        ("unseen", "new"),
        ("deleted", "gone"),
    ]
    assert page.counts["drift"] == 1
    assert web.parts.views.manifests(state="drift").total == 1


def test_a_failure_is_over_with_the_next_success_and_a_plan_is_none(web: Web) -> None:
    manifest = entry(web, "prod")
    ended(web, manifest, "failed")
    ended(web, manifest, "failed", "plan")
    ended(web, manifest, "done")
    ended(web, manifest, "failed", "plan")
    row = web.parts.views.manifests().rows[0]
    assert row.last
    assert (row.state, row.last.state) == ("ok", "done")


def test_what_is_live_is_so_because_of_the_job_that_began_before_it_did(web: Web) -> None:
    manifest = entry(web, "prod")
    web.time = NOW - 100
    ended(web, manifest, text="the first commit")
    web.time = NOW + 100
    ended(web, manifest, text="a later one that changed nothing")
    ended(web, manifest, "failed", text="one that failed")
    live(web, manifest, since=utc(NOW - 90))
    (target,) = web.parts.views.manifests().rows[0].targets
    assert (target.reason, target.since) == ("the first commit", NOW - 90)
    live(web, manifest, since="")
    (target,) = web.parts.views.manifests().rows[0].targets
    assert (target.reason, target.job, target.since) == ("", 0, 0.0)


def test_manifests_are_found_by_name_target_and_address_and_no_letter_is_special(web: Web) -> None:
    live(web, entry(web, "prod_1"), address="http://10.0.0.7")
    entry(web, "prodx1")
    views = web.parts.views
    assert [row.name for row in views.manifests(find="prod_").rows] == ["prod_1"]
    assert [row.name for row in views.manifests(find="10.0.0.7").rows] == ["prod_1"]
    assert [row.name for row in views.manifests(find="AKS").rows] == ["prod_1"]
    assert views.manifests(find="%").total == 0
    assert views.manifests(repository="model").total == 0


def test_manifests_come_in_pages(web: Web) -> None:
    for number in range(25):
        entry(web, f"m{number:02}")
    pages = [web.parts.views.manifests(skip=skip, most=10) for skip in (0, 10, 20, 30)]
    names = [row.name for page in pages for row in page.rows]
    assert names == [f"m{number:02}" for number in range(25)]
    assert {page.total for page in pages} == {25}


def test_jobs_come_in_pages_the_newest_first(web: Web) -> None:
    manifest, other = entry(web, "a"), entry(web, "b")
    ids = [ended(web, manifest).id for _ in range(5)]
    ended(web, other)
    first = web.parts.views.jobs(most=3, manifest=manifest.id)
    rest = web.parts.views.jobs(first.before, 3, manifest.id)
    assert [row.id for row in (*first.jobs, *rest.jobs)] == ids[::-1]
    assert rest.before is None


def test_the_pulse_moves_with_what_is_shown_and_rests_otherwise(web: Web) -> None:
    manifest = entry(web, "a")
    live(web, manifest)
    views = web.parts.views
    before = views.pulse()
    web.parts.book.put_live(manifest, [Live(manifest, "aks", NOW + 60, "running", "77ab", "sha256:77", since=utc(NOW))])
    assert views.pulse() == before, "that it was looked at again is no news"
    live(web, manifest, state="failed")
    assert views.pulse() != before
    before = views.pulse()
    job = web.parts.queue.add(Job(0, manifest, "run", Reason("hand", "by hand")))
    assert views.pulse()[f"job {job.id}"] == "waiting"
    web.parts.queue.take()
    (web.parts.home.state / "serve" / "jobs").mkdir(parents=True)
    (web.parts.home.state / "serve" / "jobs" / f"{job.id}.jsonl").write_text("{}\n")
    assert (views.pulse()[f"job {job.id}"], views.pulse()[f"log {job.id}"]) == ("running", 3)
    web.parts.book.put_repository(RepositoryStatus("models", "gone"))
    assert {"repository models"} <= {key for key, value in views.pulse().items() if before.get(key) != value}


def test_repositories_say_what_to_do(web: Web) -> None:
    web.parts.book.put_repository(RepositoryStatus("models", "diverged", "ab" * 20, "cd" * 20))
    entry(web, "prod")
    models, plain = web.parts.views.repositories()
    assert "somebody accepts it" in models.words
    assert (models.manifests, plain.manifests, plain.state) == (1, 0, "new")


def test_a_run_by_hand_is_read_from_the_journal(web: Web, tmp_path: Path) -> None:
    home = Home(tmp_path / "store", tmp_path / "cache", tmp_path / "state")
    journal = Journal(Store(home.store).database, home.state / "logs", lambda: NOW + 5)
    asked = Asked("/srv/prod.yaml", "prod", "run", "", "host", 1, "1/1")
    number = journal.begin(Run(0, asked, NOW, None, "running", Counts()))
    journal.step(number, RunStep("layer a", NOW + 1, NOW + 3, "made", title="1 file", size=7, why="first time"))
    journal.end(number, "done", Counts(3, 2, 1, 0, 0, 7), "")
    run = web.parts.views.run(number)
    assert run
    assert (run.outcome, run.counts["hits"], run.steps[0].seconds) == ("done", 2, 2.0)
    assert web.parts.views.runs()[0].id == number
    assert web.parts.views.run(99) is None
    # As long as its graph is kept, it has that, too.
    node = {"kind": "layer", "title": "", "hit": False, "why": ""}
    nodes = [{**node, "step": "base s", "kind": "base", "name": "s", "needs": [], "hit": True}]
    nodes += [{**node, "step": f"layer {name}", "name": name, "needs": ["base s"]} for name in "ab"]
    journal.log(number).write_graph(nodes)
    run = web.parts.views.run(number)
    assert run
    assert [(step.id, step.state, step.needs) for step in run.steps] == [
        ("base s", "hit", ()),
        ("layer a", "made", ("base s",)),
        ("layer b", "hit", ("base s",)),
    ]


# -- images -----------------------------------------------------------------------------------------------------------


def put_image(store: Store, name: str, *layers: tuple[str, int]) -> Descriptor:
    """An image whose layers are known by name, as its documents tell it."""

    def put(value: Any, media: str) -> dict[str, Any]:
        data = json.dumps(value).encode()
        kind = f"application/vnd.oci.image.{media}+json"
        return {"mediaType": kind, "digest": store.blobs.put(data), "size": len(data)}

    digests = [f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" for text, _ in layers]
    history = [{"created_by": f"pipeline: layer {text}"} for text, _ in layers]
    rootfs = {"type": "layers", "diff_ids": digests}
    settings = {"os": "linux", "architecture": "amd64", "config": {"User": "1000"}}
    settings |= {"rootfs": rootfs, "history": history}
    blobs = [
        {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": size}
        for digest, (_, size) in zip(digests, layers, strict=True)
    ]
    made = put({"schemaVersion": 2, "config": put(settings, "config.v1"), "layers": blobs}, "manifest.v1")
    image = Descriptor.from_json(made)
    store.name_image(name, image)
    return image


def test_layers_say_which_images_share_them(tmp_path: Path) -> None:
    store = Store(tmp_path)
    put_image(store, "a/web", ("base", 100), ("science", 300), ("code", 1))
    put_image(store, "b/web", ("base", 100), ("other", 50))
    images = Images(store)
    assert [(row.name, row.size, row.layers) for row in images.rows()] == [("a/web", 401, 3), ("b/web", 150, 2)]
    assert [row.name for row in images.rows("b")] == ["b/web"]
    image = images.image("a/web")
    assert image
    assert [(layer.words, layer.size, layer.shared) for layer in image.layers] == [
        ("layer base", 100, ("b/web",)),
        ("layer science", 300, ()),
        ("layer code", 1, ()),
    ]
    assert (image.size, image.shared, image.user) == (401, 100, "1000")
    put_image(store, "b/web", ("other", 50))
    image = images.image("a/web")
    assert image
    assert image.shared == 0


def test_an_image_that_is_not_there_or_damaged_is_none(tmp_path: Path) -> None:
    store = Store(tmp_path)
    image = put_image(store, "a/web", ("base", 100))
    assert Images(store).image("no/such") is None
    store.blobs.path(image.digest).unlink()
    assert Images(store).image("a/web") is None
    assert Images(store).rows()[0].size is None


def test_packages_are_named_by_their_files() -> None:
    owners = ["libc6_2.36-9+deb12u10_amd64.deb", "numpy-1.26.4-cp311-manylinux.whl", "py-lief-0.1-h1.conda", "", "x"]
    members = [["a", "file", 0o644, 0, 0, 10, "", owner] for owner in owners]
    assert held(members) == (50, ("libc6 2.36-9+deb12u10", "numpy 1.26.4", "py-lief 0.1", "x"))


def test_a_manifest_that_was_never_run_has_nothing_and_an_unknown_one_is_none(web: Web) -> None:
    entry(web, "prod")
    view = web.parts.views.manifest("models/manifests/prod.yaml")
    assert view
    assert (view.row.id, view.images, view.jobs.jobs) == ("models/manifests/prod.yaml", (), ())
    assert web.parts.views.manifest(PROD.id + "x") is None
