"""`pipeline image diff`, and entries in several layers, through the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def _manifest(shop: Any) -> str:
    return Path(shop.folder, "pipeline.yaml").read_text()


def _big(shop: Any, name: str, size: int = 17 << 20) -> None:
    path = Path(shop.folder, "src", name)
    path.touch()
    os.truncate(path, size)


def test_the_difference_of_two_tags_is_told_layer_by_layer(shop: Any) -> None:
    shop("run")
    shop.write("src/start", "#!/bin/sh\nexec true\n")
    shop.write("src/more", "x")
    text = _manifest(shop).replace("tags: [v1]", "tags: [v2]")
    shop.write("pipeline.yaml", text.replace("[/srv/app/start]", "[/bin/sh]"))
    shop("run")
    ended = shop("image", "diff", "web:v1", "web:v2")
    assert ended.out.splitlines() == [
        "layers",
        "  ~  layer code  125 B  156 B  files +1 ~1",
        "settings",
        "  Entrypoint  /srv/app/start → /bin/sh",
        "files",
        "  ~  20 B  /srv/app/start",
        "  +   1 B  /srv/app/more",
        "1 layer shared (128 B), 156 B new in shop/web:v2; files: 1 added, 1 changed",
    ]
    found = shop("image", "diff", "web:v2", "web:v1", "--output", "json").json
    assert [(one["path"], one["how"]) for one in found["files"]] == [
        ("srv/app/more", "removed"),
        ("srv/app/start", "changed"),
    ]
    assert found["new_size"] == 125


def test_many_differences_are_folded_unless_all_are_wanted(shop: Any) -> None:
    shop("run")
    for number in range(20):
        shop.write(f"src/file-{number:02}", "x")
    shop.write("pipeline.yaml", _manifest(shop).replace("tags: [v1]", "tags: [v2]"))
    shop("run")
    assert "  and 5 more (--all)" in shop("image", "diff", "web:v1", "web:v2").out
    told = shop("image", "diff", "web:v1", "web:v2", "--all").out
    assert told.count("/srv/app/file-") == 20
    assert "more" not in told


def test_an_image_and_itself_do_not_differ(shop: Any) -> None:
    shop("run")
    assert shop("image", "diff", "web", "web:v1").out == "shop/web:v1 and shop/web:v1 are the same image\n"
    assert shop("image", "diff", "web", "wep").code == 2


def test_big_files_have_layers_of_their_own_and_small_changes_leave_them(shop: Any) -> None:
    _big(shop, "table.bin")
    assert "code/srv/app/table.bin" in shop("build", "-v").out
    shop.write("src/start", "#!/bin/sh\nexec true\n")
    ended = shop("build")
    assert "layer  code/srv/app/table.bin  hit" in ended.out
    assert "code/small" in ended.out
    assert "done" in ended.out.splitlines()[-1]
    assert "2 made, 2 hits" in ended.out


def test_a_file_that_is_larger_than_a_layer_may_be_is_told_with_the_setting(shop: Any) -> None:
    _big(shop, "table.bin")
    shop.write("pipeline.yaml", _manifest(shop) + "build: {layers: {size: 16MB}}\n")
    ended = shop("build")
    assert ended.code != 0
    assert "srv/app/table.bin has 18 MB, and a layer may have 16 MB" in ended.err
    assert "build.layers.size" in ended.err


def test_an_image_of_more_layers_than_allowed_is_told_with_its_entries(shop: Any) -> None:
    shop.write("pipeline.yaml", _manifest(shop) + "build: {layers: {number: 1}}\n")
    ended = shop("build")
    assert ended.code == 3
    assert "image web would have 2 layers, and may have 1" in ended.out + ended.err
