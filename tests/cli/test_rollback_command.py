"""`pipeline rollback` on any target, and `pipeline render` where there is something to render."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

import registry_server
from registry_server import RealRegistry

from pipeline.cli._door import run


def live(shop: Any) -> str:
    (row,) = shop("status", "pipeline.yaml", "--output", "json").json
    assert row["state"] == "running"
    return str(row["revision"])


def deploy(shop: Any, text: str) -> str:
    shop.write("src/start", text)
    ended = shop("run")
    assert ended.code == 0, ended.out
    return live(shop)


def test_it_goes_back_one_by_one_and_stays_until_it_is_lifted(shop: Any) -> None:
    one, two, three = (deploy(shop, f"#!/bin/sh\n# {n}\n") for n in range(3))
    listing = shop("rollback", "--list", "--output", "json").json
    assert [row["revision"] for row in listing] == [three, two, one]
    assert listing[0]["marks"] == "live"
    ended = shop("rollback")
    assert ended.code == 0, ended.err
    assert f"revision {two} is live and pinned" in ended.out
    assert live(shop) == two
    assert f"shop-here is pinned to revision {two}" in shop("status", "pipeline.yaml").out
    shop.write("src/start", "#!/bin/sh\n# another\n")
    ended = shop("run")
    assert ended.code == 0
    assert f"is pinned to revision {two}" in ended.err
    assert live(shop) == two
    assert shop("rollback", "here").code == 0
    assert live(shop) == one
    assert "is lifted" in shop("rollback", "--lift").out
    assert shop("run").code == 0
    assert live(shop) not in (one, two, three)


def test_it_goes_to_a_revision_by_the_beginning_of_its_name(shop: Any) -> None:
    one = deploy(shop, "#!/bin/sh\n# 1\n")
    deploy(shop, "#!/bin/sh\n# 2\n")
    assert shop("rollback", "pipeline.yaml", "here", "--to", one[:6]).code == 0
    assert live(shop) == one


def test_there_is_nothing_to_go_back_to(shop: Any) -> None:
    ended = shop("rollback")
    assert ended.code == 2
    assert "no earlier release" in ended.err
    one = deploy(shop, "#!/bin/sh\n# 1\n")
    ended = shop("rollback", "--to", "ffff")
    assert ended.code == 2
    assert f"there are: {one}" in ended.err
    assert "do not go together" in shop("rollback", "--to", one, "--lift").err
    assert "has no target 'there'" in shop("rollback", "there").err


def test_a_local_target_has_nothing_to_render(shop: Any) -> None:
    ended = shop("render", "here")
    assert ended.code == 2
    assert "nothing to render" in ended.err


@pytest.fixture(scope="module")
def registry() -> Iterator[RealRegistry]:
    with registry_server.running() as found:
        yield found


def test_a_cluster_is_told_what_was_pushed(shop: Any, registry: RealRegistry) -> None:
    text = (shop.folder / "pipeline.yaml").read_text()
    text = text.replace(
        "    tags: [v1]\n", "    tags: [v1]\n    user: 1000\n    push: {to: here, repository: shop/web}\n"
    )
    text = text.replace("remembered: {image: web, port: 8890}", "kubernetes: {image: web, namespace: ml, port: 80}")
    shop.write("pipeline.yaml", f'{text}registries:\n  here: {{address: "{registry.address}"}}\n')
    ended = shop("render")
    assert ended.code == 2
    assert "is not in its registry as it is now" in ended.err
    ended = shop("run", "--no-deploy")
    assert ended.code == 0, ended.out
    assert "target" not in ended.out
    ended = shop("render", "pipeline.yaml", "here")
    assert ended.code == 0, ended.err
    service, deployment = yaml.safe_load_all(ended.out)
    assert service["metadata"]["namespace"] == "ml"
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image.startswith(f"{registry.address}/shop/web@sha256:")
    assert json.loads(shop("render", "--output", "json").out)["target"]


def test_a_plan_needs_no_cluster(shop: Any, registry: RealRegistry) -> None:
    text = (shop.folder / "pipeline.yaml").read_text()
    text = text.replace("    tags: [v1]\n", "    tags: [v1]\n    push: {to: here, repository: shop/plan}\n")
    text = text.replace("remembered: {image: web, port: 8890}", "kubernetes: {image: web, kubeconfig: nowhere}")
    shop.write("pipeline.yaml", f'{text}registries:\n  here: {{address: "{registry.address}"}}\n')
    ended = shop("plan")
    assert ended.code == 0, ended.err
    assert "target here cannot be rolled out as things are: there is no kubeconfig" in ended.err
    assert "to make" in ended.out
    ended = shop("run")
    assert ended.code == 2
    assert "there is no kubeconfig" in ended.err
    assert "made" not in ended.out


def test_an_image_that_is_not_pushed_cannot_go_elsewhere(shop: Any) -> None:
    text = (shop.folder / "pipeline.yaml").read_text()
    shop.write("pipeline.yaml", text.replace("remembered: {image: web, port: 8890}", "kubernetes: {image: web}"))
    out, err = io.StringIO(), io.StringIO()
    assert run(["validate", "pipeline.yaml"], environ=shop.environ, out=out, err=err) == 2
    said = out.getvalue() + err.getvalue()
    assert "a kubernetes target gets its image from a registry, and the image 'web' is pushed to none" in said
