"""What each command prints and how it exits, on a project that needs no network."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli._door import run

FIRST_PLAN = """\
base    slim  miss  1 file      first time
layer   code  miss  1 file      first time
image   web   miss              first time
check   web   miss              first time
tag     web   miss  v1          first time
target  here  miss  remembered  first time; starts
6 to make, 0 hits; here starts
"""

GRAPH = """\
base slim    miss
layer code   miss
image web    miss  ← base slim, layer code
check web    miss  ← image web
tag web      miss  ← check web
target here  miss  ← tag web
"""


def test_plan_says_for_each_step_hit_or_miss_and_does_nothing(shop: Any) -> None:
    assert (shop("plan").out, shop("plan").out) == (FIRST_PLAN, FIRST_PLAN)
    assert not (shop.folder / "pipeline.lock").exists()


def test_plan_as_json_has_keys_and_needs(shop: Any) -> None:
    plan = shop("plan", "--output", "json").json
    assert (plan["manifest"], plan["to_make"], plan["hits"]) == ("shop", 6, 0)
    image = next(step for step in plan["steps"] if step["step"] == "image web")
    assert image["needs"] == ["base slim", "layer code"]
    assert len(image["key"]) == 64
    assert image["why"] == "first time"


def test_a_run_says_what_it_made_and_how_to_use_it(shop: Any) -> None:
    ended = shop("run")
    lines = ended.steady.splitlines()
    assert sorted(lines[:2]) == [
        "base   slim      1 file                                0.0 s   128 B",
        "layer  code      1 file                                0.0 s   125 B",
    ]
    assert lines[2:] == [
        "image  web       sha256:<12 digits>…                  0.0 s",
        "check  web                                             0.0 s",
        "tag    web       v1                                    0.0 s",
        "target here      http://127.0.0.1:8890  healthy        0.0 s",
        "done in 0.0 s: 6 made, 253 B new",
        "try:  curl -s http://127.0.0.1:8890/",
        "logs: pipeline logs shop-here -f",
        "stop: pipeline stop shop-here",
        "look: pipeline image files shop/web",
    ]
    assert (ended.code, ended.err) == (0, "")


def test_hints_when_asked_for(shop: Any) -> None:
    assert "curl" not in shop("run", "--no-hints").out
    assert "curl" in shop("run", "--hints").out
    assert "curl" not in shop("run").out


def test_a_second_run_does_nothing_and_says_so(shop: Any) -> None:
    shop("run")
    ended = shop("run")
    assert ended.steady == "target here      http://127.0.0.1:8890  hit\nnothing to do in 0.0 s: 6 hits\n"
    assert shop("plan").out.splitlines()[-1] == "nothing to do: 6 hits"


def test_a_changed_file_is_named_by_the_plan(shop: Any) -> None:
    shop("run")
    shop.write("src/start", "#!/bin/sh\nexec true\n")
    lines = shop("plan").out.splitlines()
    assert "hit" in lines[0]
    assert lines[1].endswith("src/start changed")
    assert lines[2].endswith("because layer code changes")
    assert lines[-1] == "5 to make, 1 hit; here restarts"


def test_build_checks_tags_and_deploys_nothing(shop: Any) -> None:
    assert shop("build").steady.splitlines()[-1] == "done in 0.0 s: 3 made, 253 B new"
    assert shop("plan").out.splitlines()[-1] == "3 to make, 3 hits; here starts"


def test_one_image_alone_can_be_built(shop: Any) -> None:
    shop.write(
        "pipeline.yaml", Path("pipeline.yaml").read_text() + "  there: {remembered: {image: web2, port: 8891}}\n"
    )
    text = Path("pipeline.yaml").read_text()
    shop.write("pipeline.yaml", text.replace("targets:", "  web2: {base: slim, command: [/x]}\ntargets:"))
    assert shop("plan", "--image", "web2").out.splitlines()[-1] == "5 to make, 0 hits; there starts"
    wrong = shop("run", "--image", "wbe")
    assert wrong.code == 2
    assert wrong.err == "error: pipeline.yaml has no image 'wbe'\n  did you mean 'web'?\n"


def test_run_as_json_is_one_event_a_line_with_the_report_last(shop: Any) -> None:
    events = shop("run", "--output", "json").events
    started = {key: value for key, value in events[0].items() if key != "at"}
    assert started == {"event": "run-started", "manifest": "shop", "steps": 6, "entries": {}}
    graph = {one["step"]: one for one in events[1]["graph"]}
    assert events[1]["event"] == "planned"
    assert graph["image web"]["needs"] == ["base slim", "layer code"], graph
    assert not any(one["hit"] for one in graph.values())
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    assert events[-1]["event"] == "run-ended"
    assert events[-1]["report"]["made"] == 6
    assert events[-1]["report"]["services"] == {"here": "http://127.0.0.1:8890  healthy"}


def test_a_failed_step_is_shown_where_it_failed_and_once(shop: Any) -> None:
    ended = shop("run", "--set", "targets.here.remembered.broken=true")
    assert ended.code == 5
    assert ended.out.splitlines()[-1].startswith("failed in ")
    assert ended.out.splitlines()[-1].endswith(": 1 failed, 5 made")
    assert ended.err.count("did not become healthy") == 1
    assert "the service is stopped" in ended.err


def test_a_failed_run_as_json_ends_with_the_error(shop: Any) -> None:
    ended = shop("run", "--output", "json", "--set", "targets.here.remembered.broken=true")
    last = ended.events[-1]
    assert ended.code == last["exit_code"] == 5
    assert (last["event"], last["place"]["line"]) == ("error", 14)
    assert "did not become healthy" in last["message"]


def test_what_to_do_next_is_called_as_the_user_called_this(shop: Any) -> None:
    program = shop.folder / "env/bin/pipeline"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for path, called in (("/usr/bin", str(program)), (str(program.parent), "pipeline")):
        out = io.StringIO()
        environ = {**shop.environ, "PATH": path}
        run(
            ["run", "--set", f"targets.here.remembered.port={len(path)}"],
            environ=environ,
            out=out,
            err=out,
            program=str(program),
        )
        assert f"logs: {called} logs shop-here -f" in out.getvalue()


def test_graph_draws_text_mermaid_and_svg(shop: Any) -> None:
    assert shop("graph").out == GRAPH
    assert shop("graph", "--format", "mermaid").out.startswith("flowchart LR\n")
    assert shop("graph", "--format", "svg", "-o", "g.svg").out == ""
    assert (shop.folder / "g.svg").read_text().startswith("<svg ")


def test_graph_as_json_has_nodes_and_edges(shop: Any) -> None:
    drawn = shop("graph", "--output", "json").json
    assert drawn["nodes"][0] == {"step": "base slim", "kind": "base", "hit": False}
    assert {"from": "base slim", "to": "image web"} in drawn["edges"]


def test_graph_into_a_folder_that_is_not_there(shop: Any) -> None:
    ended = shop("graph", "-o", "no/g.txt")
    assert ended.code == 2
    assert ended.err == "error: no/g.txt cannot be written: No such file or directory\n  name another file with -o\n"


def test_validate_counts_what_is_there(shop: Any) -> None:
    assert shop("validate").out == "pipeline.yaml: ok, 1 base, 1 layer, 1 image, 1 target\n"


def test_validate_shows_every_mistake_of_every_manifest(shop: Any) -> None:
    shop.write("bad.yaml", Path("pipeline.yaml").read_text().replace("base: slim", "base: slmi").replace("8890", "x"))
    ended = shop("validate", "bad.yaml", "pipeline.yaml", "none.yaml")
    assert ended.code == 2
    assert ended.out == "pipeline.yaml: ok, 1 base, 1 layer, 1 image, 1 target\n"
    assert "error: bad.yaml:9:11: " in ended.err
    assert "did you mean 'slim'?" in ended.err
    assert "2 errors in bad.yaml\n" in ended.err
    assert "error: none.yaml: there is no such file" in ended.err


def test_validate_as_json_is_one_list(shop: Any) -> None:
    shop.write("bad.yaml", "version: 1\n")
    ok, bad = shop("validate", "pipeline.yaml", "bad.yaml", "--output", "json").json
    assert ok == {"manifest": "pipeline.yaml", "ok": True, "bases": 1, "layers": 1, "images": 1, "targets": 1}
    assert bad["ok"] is False
    assert bad["error"]["diagnostics"][0]["file"] == "bad.yaml"


def test_schema_is_json_with_the_kinds_that_are_installed(shop: Any) -> None:
    assert shop("schema", "--output", "json").json == (schema := shop("schema").json)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "remembered" in json.dumps(schema)


def test_version(shop: Any) -> None:
    from pipeline import __version__

    assert shop("version").out.startswith(f"pipeline {__version__} (Python 3.")
    assert shop("version", "--output", "json").json["version"] == __version__


def test_services_are_shown_and_stopped(shop: Any) -> None:
    shop("run")
    heads, row = shop("status", "pipeline.yaml").out.splitlines()
    assert heads.split() == ["SERVICE", "STATE", "ADDRESS", "REVISION", "IMAGE", "SINCE"]
    assert row.split()[:3] == ["shop-here", "running", "http://127.0.0.1:8890"]
    (facts,) = shop("status", "pipeline.yaml", "--output", "json").json
    assert (facts["service"], facts["state"], facts["image"][:7]) == ("shop-here", "running", "sha256:")
    assert shop("stop", "pipeline.yaml", "here").out == "shop-here is stopped\n"
    assert shop("stop", "pipeline.yaml").out == "shop-here was not running (stopped)\n"
    assert shop("stop").out == "shop-here was not running (stopped)\n"
    assert shop("run").steady.splitlines()[-5] == "done in 0.0 s: 1 made, 5 hits"


def test_where_no_manifest_is_a_service_has_to_be_named(shop: Any) -> None:
    (shop.folder / "pipeline.yaml").unlink()
    ended = shop("stop")
    assert (ended.code, ended.err) == (2, "error: no service is named\n  services here: none\n")


def test_logs_of_a_service(shop: Any) -> None:
    shop("run")
    shop("stop", "pipeline.yaml")
    assert shop("logs", "pipeline.yaml", "here").out.splitlines()[1] == "stop"
    assert shop("logs", "pipeline.yaml", "here", "-n", "1").out == "stop\n"
    assert shop("logs", "pipeline.yaml", "-n", "1", "--output", "json").json == {"line": "stop"}


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["shop-here"], "there is no service 'shop-here'\n  none is deployed: 'pipeline run' deploys targets"),
        (["pipeline.yaml", "hree"], "pipeline.yaml has no target 'hree'\n  did you mean 'here'?"),
        (["a", "b", "c"], "'c' is one word too many"),
    ],
)
def test_services_that_are_not_there(shop: Any, words: list[str], text: str) -> None:
    for command in ("logs", "stop", "score"):
        ended = shop(command, *words)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.startswith(f"error: {text}")


def test_nothing_to_list(shop: Any) -> None:
    assert shop("status").out == "no services: 'pipeline run' starts those of a manifest\n"
    assert shop("status", "--output", "json").json == []
    assert shop("image", "ls").out == "no images: 'pipeline build' makes those of a manifest\n"
    assert shop("image", "ls", "--output", "json").json == []


def test_a_service_that_does_not_run_is_not_asked_to_score(shop: Any) -> None:
    ended = shop("score", "pipeline.yaml", "--data", "{}")
    assert (ended.code, ended.err) == (5, "error: shop-here is absent\n  start it with 'pipeline run'\n")


class Scorer(BaseHTTPRequestHandler):
    """Answers every scoring request with what it was asked."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: Any) -> None:
        pass


@pytest.fixture
def scorer() -> Iterator[int]:
    """The port of a service that scores."""
    with HTTPServer(("127.0.0.1", 0), Scorer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_service_scores_the_manifests_request_or_another(shop: Any, scorer: int) -> None:
    text = Path("pipeline.yaml").read_text().replace("8890", str(scorer))
    shop.write(
        "pipeline.yaml", text.replace("tags: [v1]", "tags: [v1]\n    checks: {score: {request: {data: [1, 2]}}}")
    )
    ran = shop("run", "--home", "kept")
    assert "-d '{\"data\": [1, 2]}'\nlogs: pipeline logs shop-here -f --home kept" in ran.out
    ended = shop("score", "pipeline.yaml", "here")
    assert (ended.code, ended.out) == (0, '{"data": [1, 2]}\n')
    assert ended.err.startswith("scored in ")
    shop.write("request.json", "[3]")
    assert shop("score", "pipeline.yaml", "--data", "@request.json", "--output", "json").json["answer"] == [3]


@pytest.mark.parametrize(
    ("data", "text"), [("{", "--data is not JSON"), ("@none.json", "--data @none.json: No such file")]
)
def test_a_request_that_cannot_be_read(shop: Any, data: str, text: str) -> None:
    ended = shop("score", "pipeline.yaml", "--data", data)
    assert ended.code == 2
    assert ended.err.startswith(f"error: {text}")


def test_looking_inside_an_image(shop: Any) -> None:
    shop("run")
    heads, row = shop("image", "ls").out.splitlines()
    assert heads.split() == ["IMAGE", "TAGS", "DIGEST", "PLATFORMS", "SIZE", "UNPACKED", "MADE"]
    assert row.split()[:2] == ["shop/web", "v1"]
    shown = shop("image", "show", "web:v1").out.splitlines()
    assert "command   /srv/app/start" in shown
    assert shown[-1].endswith("pipeline: layer code, 1 file")
    assert shop("image", "files", "web", "/srv").out == "/srv/app\n/srv/app/start\n"
    long = shop("image", "files", "web", "*.txt", "-l").out
    assert long == "1  -rw-r--r--  0:0  5  /usr/share/shop/etc.txt\n"
    assert shop("image", "files", "web", "/nothing").code == 1
    assert [m["path"] for m in shop("image", "files", "web", "*.txt", "--output", "json").json] == [
        "usr/share/shop/etc.txt"
    ]


def test_an_image_is_exported(shop: Any) -> None:
    shop("run")
    assert shop("image", "export", "web:v1", "layout").out.startswith("layout: shop/web:v1, oci, ")
    assert json.loads((shop.folder / "layout/oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    done = shop("image", "export", "web", "web.tar", "--output", "json").json
    assert (done["format"], done["reference"]) == ("docker-archive", "shop/web:v1")


def test_wrong_words_for_images(shop: Any) -> None:
    shop("build")
    unknown = shop("image", "show", "wbe")
    assert (unknown.code, "did you mean 'web'?" in unknown.err) == (2, True)
    platform = shop("image", "show", "web", "--platform", "amd64")
    assert platform.err == "error: 'amd64' is not a platform\n  write it as in linux/amd64\n"
