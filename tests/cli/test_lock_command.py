"""`pipeline lock`, and what the other commands do with the lock: extend it, hold to it, or say all that is stale."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

MANIFEST = """\
version: 1
name: shop
bases:
  slim: {plain: [{from: base/, to: /usr/share/shop/}]}
layers:
  tools: {shelf: {packages: [ham, jam]}}
  more: {shelf: {packages: [jam, spam_er]}}
  code: {files: [{from: src/, to: /srv/app/}]}
  weights: {model: {name: m, path: model/}}
images:
  web:
    base: slim
    layers: [tools, more, code, weights]
    command: [/srv/app/start]
  small: {base: slim, layers: [tools], command: [/bin/true]}
"""


class Market:
    """A project with two layers of packages off a shelf."""

    def __init__(self, shop: Any) -> None:
        self.shop = shop
        shop.write("pipeline.yaml", MANIFEST)
        shop.write("model/a.bin", "weights")
        self.shelf(ham=["1"], jam=["1"], spam_er=["1"])

    def shelf(self, **versions: list[str]) -> None:
        self.shop.write("shelf.json", json.dumps(versions))

    def edit(self, old: str, new: str) -> None:
        text = Path("pipeline.yaml").read_text()
        assert old in text
        self.shop.write("pipeline.yaml", text.replace(old, new))

    def __call__(self, *args: str, **environ: str) -> Any:
        return self.shop(*args, environ=environ)

    def good(self, *args: str, **environ: str) -> str:
        ended = self(*args, **environ)
        assert ended.code == 0, ended.err
        return str(ended.out)

    @property
    def text(self) -> str:
        return Path("pipeline.lock").read_text()

    @property
    def versions(self) -> dict[str, str]:
        """`tools ham` → version."""
        entries = json.loads(self.text)["entries"]
        return {
            f"{id_.split()[0].partition('.')[2]} {package['name']}": package["version"]
            for id_, entry in entries.items()
            for package in entry["locked"]["packages"]
        }


@pytest.fixture
def market(shop: Any) -> Market:
    made = Market(shop)
    made.good("lock")
    made.shelf(ham=["1", "2"], jam=["1", "2"], spam_er=["1", "2"], eggs=["5"])
    return made


OLD = {"tools ham": "1", "tools jam": "1", "more jam": "1", "more spam_er": "1"}


def test_a_run_changes_nothing_that_still_answers(market: Market) -> None:
    before = market.text
    market.good("build")
    assert market.text == before
    assert market.good("lock") == "pipeline.lock is up to date\n"


def test_one_more_package_moves_no_other(market: Market) -> None:
    market.edit("[ham, jam]", "[eggs, ham, jam]")
    market.good("build")
    assert market.versions == {**OLD, "tools eggs": "5"}


def test_a_package_that_is_itself_asked_for_otherwise_is_taken_anew(market: Market) -> None:
    market.edit("[ham, jam]", "[ham, jam==1]")
    market.good("lock")
    assert market.versions == OLD
    ended = market("lock", "--upgrade", "tools:jam")
    assert (ended.code, ended.err) == (0, "warning: jam stays at 1: jam==1 is asked for\n")
    market.edit("jam==1", "jam")
    market.good("lock")
    assert market.versions == {**OLD, "tools jam": "2"}


def test_other_needs_move_no_package(market: Market) -> None:
    market.edit("packages: [ham, jam]", 'packages: [ham, jam], abi: "2.41"')
    out = market.good("lock")
    assert market.versions == OLD
    assert re.search(r"^layers.tools: was for abi=2.36$", out, re.M)


def test_another_name_for_a_layer_moves_no_package(market: Market) -> None:
    market.edit("  tools:", "  utensils:")
    market.edit("[tools, more,", "[utensils, more,")
    market.edit("layers: [tools]", "layers: [utensils]")
    market.good("lock")
    assert market.versions == {key.replace("tools", "utensils"): version for key, version in OLD.items()}


@pytest.mark.parametrize(
    ("names", "moved"),
    [
        ((), {"tools ham", "tools jam", "more jam", "more spam_er"}),
        (("tools",), {"tools ham", "tools jam"}),
        (("layers.tools",), {"tools ham", "tools jam"}),
        (("jam",), {"tools jam", "more jam"}),
        (("tools:jam",), {"tools jam"}),
        (("Spam-Er",), {"more spam_er"}),
        (("ham", "more:jam"), {"tools ham", "more jam"}),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_an_upgrade_moves_what_was_named_alone(
    market: Market, names: tuple[str, ...], moved: set[str], first: bool
) -> None:
    words = ("pipeline.yaml", "--upgrade", *names) if first else ("--upgrade", *names, "pipeline.yaml")
    market.good("lock", *words)
    assert {key for key, version in market.versions.items() if version == "2"} == moved
    assert market.good("lock") == "pipeline.lock is up to date\n"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tool", "'tool' is no base, no layer, and no package of the lock\n  did you mean 'tools'?"),
        ("tools:jaw", "the lock has no package 'jaw' in tools\n  did you mean 'jam'?"),
        ("tols:jam", "there is no base or layer 'tols'\n  did you mean 'tools'?"),
    ],
)
def test_an_unknown_name_is_a_mistake_that_is_told(market: Market, name: str, said: str) -> None:
    ended = market("lock", "--upgrade", name)
    assert (ended.code, ended.err) == (2, f"error: {said}\n")


def test_a_run_takes_anew_what_it_is_told_to_and_goes_on_from_there(market: Market) -> None:
    market.good("run", "--image", "small")
    market.shelf(ham=["1", "2"], jam=["1", "2"], spam_er=["1"])
    said = market.good("run", "--image", "small", "--upgrade", "ham")
    assert "ham 1 → 2" in said
    assert (market.versions["tools ham"], market.versions["tools jam"]) == ("2", "1")
    market.good("run", "--upgrade", "pipeline.yaml")
    assert set(market.versions.values()) == {"1", "2"} and market.versions["more jam"] == "2"
    assert "nothing to do" in market.good("run", "pipeline.yaml", "--upgrade")


@pytest.mark.parametrize("words", [("--frozen",), ("--plan", "plan.json")])
def test_a_run_that_may_resolve_nothing_takes_nothing_anew(market: Market, words: tuple[str, ...]) -> None:
    market.good("plan", "--save", "plan.json")
    before = market.text
    ended = market("run", *words, "--upgrade", "ham")
    assert (ended.code, market.text) == (2, before)
    assert "--upgrade" in ended.err


def test_a_name_without_upgrade_is_a_mistake_that_is_told(market: Market) -> None:
    ended = market("lock", "tools")
    assert ended.code == 2
    assert "--upgrade tools" in ended.err


def test_a_difference_is_shown_and_nothing_written(market: Market) -> None:
    before = market.text
    assert market.good("lock", "--diff") == "pipeline.lock is up to date\n"
    out = market.good("lock", "--diff", "--upgrade", "jam")
    assert [line.split(": ")[1] for line in out.splitlines()[:2]] == ["jam 1 → 2", "jam 1 → 2"]
    assert "would change: 2 changes" in out
    told = market("lock", "--diff", "--upgrade", "jam", "--output", "json").json
    assert (told["changed"], told["written"]) == (True, False)
    assert [(one["name"], one["old"], one["new"]) for one in told["differences"]] == [("jam", "1", "2")] * 2
    assert market.text == before


def test_locks_are_compared_with_a_file_and_with_a_revision(market: Market) -> None:
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com"]
    Path(".git/HEAD").unlink()
    for command in (["init", "-q", "."], ["add", "pipeline.lock"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    Path("old.lock").write_text(market.text)
    market.good("lock", "--upgrade", "ham")
    for old in ("HEAD", "old.lock"):
        (line,) = market.good("lock", "--diff", old).splitlines()
        assert line.endswith(": ham 1 → 2")
    assert market.good("lock", "--diff", "old.lock", "pipeline.lock").endswith(": ham 1 → 2\n")
    assert market.good("lock", "--diff", "pipeline.lock") == "nothing differs from pipeline.lock\n"
    for wrong in ("HEAD~9", "no.lock", "-x"):
        assert market("lock", f"--diff={wrong}").code == 2


def test_check_writes_nothing_and_says_whether_it_would(market: Market) -> None:
    before = market.text
    assert market("lock", "--check").code == 0
    market.edit("[ham, jam]", "[eggs, ham, jam]")
    ended = market("lock", "--check")
    assert ended.code == 3
    assert "asked: packages" not in ended.out
    assert "asked: eggs is new" in ended.out
    assert market.text == before


def test_frozen_tells_all_that_is_stale_at_once(market: Market) -> None:
    market.edit("[ham, jam]", "[eggs, jam==2]")
    market.edit("{shelf: {packages: [jam, spam_er]}}", '{shelf: {packages: [jam, spam_er], abi: "2.41"}}')
    market.edit("  code: {", "  new: {shelf: {packages: [ham]}}\n  code: {")
    market.edit("[tools, more, code", "[tools, more, new, code")
    market.shop.write("src/start", "changed")
    market.shop.write("src/other", "new")
    market.shop.write("model/a.bin", "heavier weights")
    before = market.text
    ended = market("build", "--frozen")
    assert ended.code == 3
    lines = [line.strip() for line in ended.err.splitlines()]
    assert lines[0] == "error: the lock pipeline.lock is out of date, and --frozen lets nothing be resolved"
    assert lines[1].startswith("run 'pipeline lock pipeline.yaml' and commit pipeline.lock")
    told = [line.partition(": ")[2] for line in lines[2:]]
    platform = r"linux/\S+"
    for pattern in (
        r"layers.tools is asked for otherwise: ham is gone, jam → jam==2, eggs is new",
        rf"layers.more {platform} abi=2.41 is not in the lock, which has it for {platform} abi=2.36",
        rf"layers.new {platform}.* is not in the lock",
        r"layers.code: src/ 1 file, 10 B, \w{12} → 2 files, 10 B, \w{12}",
        r"layers.weights: a.bin 7 B, \w{12} → 15 B, \w{12}",
    ):
        assert [line for line in told if re.fullmatch(pattern, line)], (pattern, told)
    assert lines[2].startswith("pipeline.yaml:6:")
    assert market.text == before
    assert market("plan", "--frozen", "--output", "json").code == 3


def test_ci_freezes_unless_told_otherwise(market: Market) -> None:
    for value in ("1", "true"):
        assert market("plan", CI=value).code == 0
    market.edit("[ham, jam]", "[eggs, ham, jam]")
    before = market.text
    for command in ("run", "build", "plan", "graph"):
        ended = market(command, CI="true")
        assert ended.code == 3, command
        assert "--no-frozen" in ended.err
    assert market.text == before
    assert market("plan", CI="").code == market("plan", CI="false").code == 0
    market.good("build", "--no-frozen", CI="true")
    assert market.versions["tools eggs"] == "5"


def test_frozen_without_a_lock_says_that_there_is_none(market: Market) -> None:
    Path("pipeline.lock").unlink()
    ended = market("build", "--frozen")
    assert ended.code == 3
    assert ended.err.startswith("error: there is no lock pipeline.lock, and --frozen")
    assert "layers.more" in ended.err


def test_the_projects_files_are_in_the_lock_and_followed(market: Market) -> None:
    files = json.loads(market.text)["files"]
    assert [row["from"] for row in files["layers.code"]] == ["src/"]
    assert [(row["file"], row["bytes"]) for row in files["layers.weights"]] == [("a.bin", 7)]
    assert files["bases.slim"][0]["files"] == 1
    market.shop.write("src/start", "changed")
    out = market.good("build")
    assert "lock" not in out
    assert json.loads(market.text)["files"] != files
    market.good("build", "--frozen")


def test_files_that_cannot_be_noted_stop_no_run(market: Market) -> None:
    market.good("build")
    market.shop.write("src/start", "changed")
    Path(".pipeline.lock.new").mkdir()
    ended = market("build")
    assert ended.code == 0
    assert re.search(r"^warning: the lock \S+/pipeline.lock cannot be written", ended.err)


def test_a_newer_packer_is_said(market: Market) -> None:
    market.shop.write("pipeline.lock", re.sub('"packer": "[^"]*"', '"packer": "0"', market.text))
    ended = market("build", "--frozen")
    assert ended.code == 3
    assert re.search(r"packer 0 → \d+: this pipeline makes other bytes of the same packages", ended.err)
    assert "packer: 0 → " in market.good("lock")
    market.good("build", "--frozen")


def test_one_image_alone_leaves_the_others_entries(market: Market) -> None:
    market.edit("[ham, jam]", "[eggs, ham, jam]")
    market.good("build", "--image", "small")
    assert market.versions == {**OLD, "tools eggs": "5"}
    assert "layers.code" in json.loads(market.text)["files"]
    market.good("build", "--frozen", "--image", "web")


def test_what_is_used_no_more_leaves_the_lock(market: Market) -> None:
    market.edit("  more: {shelf: {packages: [jam, spam_er]}}\n", "")
    market.edit("[tools, more,", "[tools,")
    market.good("build", "--image", "small")
    assert set(market.versions) == {"tools ham", "tools jam"}


def test_a_lock_of_the_first_version_is_taken_over(market: Market) -> None:
    data = json.loads(market.text)
    entries = {
        id_: {key: entry[key] for key in ("kind", "request", "locked")} for id_, entry in data["entries"].items()
    }
    old = {"version": 1, "entries": entries}
    market.shop.write("pipeline.lock", json.dumps(old))
    ended = market("build", "--frozen")
    assert ended.code == 3
    assert "of version 1" in ended.err
    market.good("lock")
    assert (json.loads(market.text), market.versions) == (data, OLD)


def test_an_export_of_what_the_lock_has_not_is_told(market: Market) -> None:
    ended = market("lock", "--export", "pylock")
    assert (ended.code, "no pip or conda layer" in ended.err) == (2, True)
    assert market("lock", "--layer", "tools").code == 2
    assert "did you mean 'tools'" in market("lock", "--export", "conda", "--layer", "tool").err
