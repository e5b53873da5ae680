"""Two-phase publish to a real registry: by digest, then the checks, then every tag."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from publishing import PASSWORD, PLUGIN, USER, Project
from registry_server import RealRegistry, running

WEB = "web: {base: slim, layers: [code], command: [/srv/app/start], tags: [v1, latest], push: {to: prod}}"


@pytest.fixture(scope="module")
def registry() -> Iterator[RealRegistry]:
    with running({USER: PASSWORD}) as found:
        yield found


@pytest.fixture
def shop(tmp_path: Path, registry: RealRegistry, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.syspath_prepend(str(PLUGIN))
    shutil.rmtree(registry.folder / "docker/registry/v2/repositories", ignore_errors=True)
    return Project(tmp_path, registry.address)


def test_a_run_pushes_moves_tags_and_has_nothing_left_to_do(shop: Project) -> None:
    shop.images(WEB)
    code, said = shop.run()
    assert code == 0, said
    digest = shop.remote("web", "v1")
    assert digest and shop.remote("web", "latest") == digest
    assert f"push   web       {shop.address}/ml/web@{digest[:19]}" in said
    report = shop.report()
    assert (report["made"], report["pushed"]) == (0, {"web": f"{shop.address}/ml/web@{digest}"})


def test_with_one_of_five_images_failing_no_tag_moves(shop: Project) -> None:
    names = [f"web{number}" for number in range(5)]
    lines = [f"{name}: {{base: slim, layers: [code], env: {{N: {name}}}, push: {{to: prod}}}}" for name in names]
    shop.images("\n".join(lines))
    assert shop.run()[0] == 0
    before, here = {name: shop.remote(name, "latest") for name in names}, shop.tagged()
    lines = [line.replace("env: {N: ", "env: {N: new-") for line in lines]
    lines[3] = lines[3].replace("push:", "checks: {size: 1}, push:")
    shop.images("\n".join(lines))
    code, said = shop.run()
    assert code == 3
    assert "web3 is" in said and said.count("skipped") >= 5
    assert {name: shop.remote(name, "latest") for name in names} == before
    assert shop.tagged() == here, "the store's own tags have not moved either"


def test_a_tag_that_somebody_moved_is_put_back(shop: Project) -> None:
    shop.images(WEB.replace("tags: [v1, latest]", "tags: [other], env: {A: b}"))
    shop.run()
    shop.images(WEB)
    shop.run()
    digest, other = shop.remote("web", "v1"), shop.remote("web", "other")
    shop.registries().repository(f"{shop.address}/ml/web").for_push().tag(other, ["v1"])
    _, planned, _ = shop("plan", str(shop.manifest))
    assert f"{shop.address}/ml/web:v1 is {other[7:19]} now" in planned
    assert shop.report()["made"] == 1
    assert shop.remote("web", "v1") == digest


def test_an_image_that_the_registry_lost_is_pushed_again(shop: Project, registry: RealRegistry) -> None:
    shop.images(WEB)
    shop.run()
    digest = shop.remote("web", "v1")
    shutil.rmtree(registry.folder / "docker/registry/v2/repositories/ml")
    assert shop.report()["made"] == 2
    assert shop.remote("web", "v1") == digest


def test_building_asks_no_registry(shop: Project) -> None:
    shop.images(WEB)
    shop.run()
    shop.address = "127.0.0.1:1"
    shop.images(WEB)
    code, out, err = shop("build", str(shop.manifest))
    assert (code, err) == (0, "") and "nothing to do" in out


def test_layers_are_gzip_unless_all_readers_are_known_to_read_zstd(shop: Project) -> None:
    """A model is not compressed in the store, and some readers take layers of that kind for damaged ones."""
    shop.write("project/weights", "1 2 3")
    web = WEB.replace("layers: [code", "layers: [weights, code")
    model = "layers:\n  weights: {model: {name: m, path: weights}}\n"
    for text, more in ((web.replace("v1", "old"), ""), (web, ", compression: zstd")):
        shop.images(text, more)
        shop.manifest.write_text(shop.manifest.read_text().replace("layers:\n", model, 1))
        assert shop.run()[0] == 0
    old, modern = shop.document("web", "old"), shop.document("web", "v1")
    assert {layer["mediaType"][-5:] for layer in old["layers"]} == {"+gzip"}
    assert {layer["mediaType"][-5:] for layer in modern["layers"]} == {"+zstd", "1.tar"}
    assert old["config"] == modern["config"]
    assert shop.report()["made"] == 0


def test_what_a_base_of_the_registry_has_is_not_packed_anew(shop: Project) -> None:
    shop.images(WEB, more=", compression: zstd")
    assert shop.run()[0] == 0
    below = shop.document("web", "v1")["layers"]
    shop.images("top: {base: web, layers: [code], push: {to: prod}}")
    text = shop.manifest.read_text().replace(
        "bases:\n", "bases:\n  web: {image: {reference: 'web:v1', registry: prod}}\n"
    )
    shop.manifest.write_text(text.replace("to: /srv/app/", "to: /srv/top/"))
    code, said = shop.run()
    assert code == 0, said
    *kept, own = shop.document("top", "latest")["layers"]
    assert kept == below
    assert own["mediaType"].endswith("+gzip")


def test_a_wrong_password_is_named_as_that(shop: Project) -> None:
    shop.images(WEB)
    code, out, err = shop("run", str(shop.manifest), environ={"BOB_PASSWORD": "wr0ng-password"})
    assert code == 4
    assert f"{shop.address} refuses the name or the password of user 'bob' from registries.prod of the manifest" in err
    assert "wr0ng" not in out + err
    assert str(shop.manifest) in err


def test_a_registry_out_of_reach_moves_no_tag(shop: Project) -> None:
    shop.address = "127.0.0.1:1"
    shop.images(WEB)
    code, said = shop.run()
    assert code == 4
    assert "does not answer" in said
    _, listed, _ = shop("image", "ls", "--output", "json")
    assert '"tags": []' in listed


def test_a_registry_with_a_certificate_authority_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PLUGIN))
    with running({USER: PASSWORD}, tls=True) as registry:
        assert registry.ca
        shop = Project(tmp_path, registry.address)
        shop.images(WEB)
        code, said = shop.run()
        assert code == 4 and "is not trusted" in said
        shop.write("project/ca.pem", registry.ca.read_text())
        shop.images(WEB, more=", ca: ca.pem")
        code, said = shop.run()
        assert code == 0, said
        assert shop.report()["made"] == 0


def test_registries_that_are_not_there_and_clashes_are_errors_of_the_manifest(shop: Project) -> None:
    shop.images(f"{WEB}\n{WEB.replace('web:', 'two:').replace('to: prod', 'to: prod, repository: web')}")
    assert "the images 'web' and 'two' are both pushed as 'web:v1'" in shop("validate", str(shop.manifest))[2]
    shop.images(WEB.replace("to: prod", "to: prd"))
    assert "unknown registry 'prd' (did you mean 'prod'?)" in shop("validate", str(shop.manifest))[2]
