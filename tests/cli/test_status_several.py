"""`pipeline status` of several manifests: all in one table, and one that is wrong does not keep the others back."""

from __future__ import annotations

from typing import Any


def second(shop: Any) -> None:
    text = (shop.folder / "pipeline.yaml").read_text()
    shop.write("second.yaml", text.replace("name: shop", "name: second", 1))
    shop("run", "pipeline.yaml")


def test_all_are_in_one_table(shop: Any) -> None:
    second(shop)
    ended = shop("status", "pipeline.yaml", "second.yaml")
    assert ended.code == 0
    assert [line.split()[:2] for line in ended.out.splitlines()[1:]] == [
        ["shop-here", "running"],
        ["second-here", "absent"],
    ]


def test_as_json_each_row_says_whose_it_is(shop: Any) -> None:
    second(shop)
    rows = shop("status", "pipeline.yaml", "second.yaml", "--output", "json").json
    assert [(row["manifest"], row["service"], row["target"], row["kind"], row["state"]) for row in rows] == [
        ("pipeline.yaml", "shop-here", "here", "remembered", "running"),
        ("second.yaml", "second-here", "here", "remembered", "absent"),
    ]


def test_one_that_is_wrong_is_told_among_the_others(shop: Any) -> None:
    second(shop)
    shop.write("bad.yaml", "version: 1\n")
    ended = shop("status", "bad.yaml", "pipeline.yaml", "--output", "json")
    assert ended.code == 2
    bad, good = ended.json
    assert bad["manifest"] == "bad.yaml" and "bad.yaml:1:1: missing key 'name'" in bad["error"]
    assert (good["manifest"], good["state"]) == ("pipeline.yaml", "running")
    ended = shop("status", "bad.yaml", "pipeline.yaml")
    assert (ended.code, len(ended.out.splitlines())) == (2, 2)
    assert ended.err.startswith("bad.yaml:1:1: ")


def test_check_holds_for_all(shop: Any) -> None:
    second(shop)
    assert shop("status", "pipeline.yaml", "pipeline.yaml", "--check").code == 0
    assert shop("status", "pipeline.yaml", "second.yaml", "--check").code == 10
