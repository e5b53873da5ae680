"""Bases from elsewhere: of a real registry, of OCI layouts, of docker save archives; good ones and hostile ones."""

from __future__ import annotations

import io
import json
import shutil
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from publishing import PASSWORD, PLUGIN, USER, Project
from registry_server import RealRegistry, running

from pipeline.digest import digest_of
from pipeline.facts import Platform
from pipeline.oci import image as documents
from pipeline.oci import layout
from pipeline.oci.descriptor import LAYER, Descriptor, Layer

BASIS = (
    "basis: {base: slim, layers: [code], command: [/srv/app/start], env: {A: below, B: below}, user: 7, "
    "labels: {of: base}, tags: [v1], push: {to: prod}}"
)
TOP = "top: {base: given, layers: [more], env: {B: above}, push: {to: prod}}"
DERIVED = """\
version: 1
name: derived
registries:
  prod: {{address: "{address}/ml", username: bob, password: "${{env:BOB_PASSWORD}}"}}
bases:
  given: {{{base}}}
layers:
  more: {{files: [{{from: src/, to: /srv/more/}}]}}
retry: {{attempts: 2, wait: 10ms}}
images:
  {image}
"""
FROM_REGISTRY = 'image: {reference: "basis:v1", registry: prod}'


@pytest.fixture(scope="module")
def registry() -> Iterator[RealRegistry]:
    with running({USER: PASSWORD}) as found:
        yield found


class Derived:
    """A project on top of an image that another one has made, pushed and exported."""

    def __init__(self, shop: Project) -> None:
        self.shop = shop
        self.folder = shop.folder / "project"
        self.manifest = self.folder / "derived.yaml"
        shop.images(BASIS)
        assert shop.run()[0] == 0
        self.base = shop.document("basis", "v1")

    def write(self, base: str, image: str = TOP) -> None:
        self.manifest.write_text(DERIVED.format(address=self.shop.address, base=base, image=image))

    def elsewhere(self) -> Path:
        """From here on another machine, with an empty store."""
        home = self.shop.folder / "elsewhere"
        self.shop.environ["PIPELINE_HOME"] = str(home)
        return home / "store" / "blobs" / "sha256"

    def run(self, *args: str) -> tuple[int, str]:
        code, out, err = self.shop("run", str(self.manifest), *args)
        return code, out + err

    def good(self, *args: str) -> None:
        code, said = self.run(*args)
        assert code == 0, said

    def bad(self, base: str, image: str = TOP) -> str:
        """The error of a run with such a base on another machine."""
        self.elsewhere()
        self.write(base, image)
        code, said = self.run()
        assert code == 3, said
        return said

    @property
    def layers(self) -> list[str]:
        return [layer["digest"] for layer in self.base["layers"]]


@pytest.fixture
def derived(tmp_path: Path, registry: RealRegistry, monkeypatch: pytest.MonkeyPatch) -> Derived:
    monkeypatch.syspath_prepend(str(PLUGIN))
    shutil.rmtree(registry.folder / "docker", ignore_errors=True)
    return Derived(Project(tmp_path, registry.address))


def test_a_base_of_the_same_registry_is_never_pulled_once_it_is_locked(derived: Derived) -> None:
    derived.write(FROM_REGISTRY)
    derived.good()
    first = derived.shop.remote("top", "latest")
    blobs = derived.elsewhere()
    derived.good("--frozen")
    assert derived.shop.remote("top", "latest") == first
    assert [layer["digest"] for layer in derived.shop.document("top", first)["layers"]][:2] == derived.layers
    assert not {digest[7:] for digest in derived.layers} & {path.name for path in blobs.iterdir()}
    assert "nothing to do" in derived.run("--frozen")[1]


def test_the_lock_names_no_host_of_a_registry_of_the_manifest(derived: Derived) -> None:
    derived.write(FROM_REGISTRY)
    derived.good()
    text = derived.manifest.with_suffix(".lock").read_text()
    assert derived.shop.address not in text
    assert '"reference": "basis:v1"' in text


def test_an_image_inherits_what_it_does_not_say_itself(derived: Derived) -> None:
    derived.write(FROM_REGISTRY)
    derived.good()
    shown = json.loads(derived.shop("image", "show", "top", "--output", "json")[1])["config"]
    assert {"A=below", "B=above"} <= set(shown["Env"])
    assert (shown["User"], shown["Entrypoint"], shown["Labels"]) == ("7", ["/srv/app/start"], {"of": "base"})


def test_layers_are_fetched_when_somebody_needs_their_bytes(derived: Derived, monkeypatch: pytest.MonkeyPatch) -> None:
    derived.write(FROM_REGISTRY)
    derived.good()
    blobs = derived.elsewhere()
    derived.good()
    shop = derived.shop
    code, _, err = shop("image", "export", "top", str(shop.folder / "top.tar"))
    assert code == 4 and f"pipeline login {shop.address}" in err
    shop.environ["DOCKER_CONFIG"] = str(shop.folder / "docker")
    monkeypatch.setattr(sys, "stdin", io.StringIO(PASSWORD))
    shop("login", shop.address, "-u", USER, "--password-stdin")
    code, _, err = shop("image", "export", "top", str(shop.folder / "top.tar"))
    assert code == 0, err
    assert {digest[7:] for digest in derived.layers} <= {path.name for path in blobs.iterdir()}


def test_a_tag_that_moved_is_followed_only_when_asked(derived: Derived) -> None:
    derived.write(FROM_REGISTRY)
    derived.good()
    first = derived.shop.remote("top", "latest")
    derived.shop.images(BASIS.replace("of: base", "of: newer"))
    assert derived.shop.run()[0] == 0
    derived.good()
    assert derived.shop.remote("top", "latest") == first
    code, out, err = derived.shop("lock", str(derived.manifest), "--update", "given")
    assert code == 0 and "image basis:v1@" in out, err
    derived.good()
    assert derived.shop.remote("top", "latest") != first


@pytest.mark.parametrize("form", ["folder", "tar", "docker"])
def test_exports_are_bases_and_give_the_same_image(derived: Derived, form: str) -> None:
    shop, kind = derived.shop, "archive" if form == "docker" else "layout"
    name = {"folder": "given", "tar": "given.oci.tar", "docker": "given.tar"}[form]
    more = ["--format", "oci-archive"] if form == "tar" else []
    assert shop("image", "export", "basis", str(derived.folder / name), *more)[0] == 0
    derived.write(FROM_REGISTRY)
    derived.good()
    wanted = shop.remote("top", "latest")
    derived.elsewhere()
    derived.write(f"{kind}: {name}")
    derived.good()
    assert shop.remote("top", "latest") == wanted
    assert "nothing to do" in derived.run()[1]


def test_names_choose_among_several_images(derived: Derived) -> None:
    shop = derived.shop
    shop("image", "export", "basis", str(derived.folder / "given"))
    shop("image", "export", "basis", str(derived.folder / "given"), "--tag", "v2")
    derived.write("layout: {path: given, name: v2}")
    derived.good()
    assert "say which: v1, v2" in derived.bad("layout: given")
    assert "holds no image 'v3'" in derived.bad("layout: {path: given, name: v3}")


def test_what_is_not_there_is_named(derived: Derived) -> None:
    address = derived.shop.address
    assert f"there is no image {address}/ml/basis:v2" in derived.bad(f'image: "{address}/ml/basis:v2"')
    assert "its tags: v1" in derived.bad(f'image: "{address}/ml/basis:v2"')
    assert f"there is no image {address}/ml/bases:v1" in derived.bad(f'image: "{address}/ml/bases:v1"')
    arm = TOP.replace("layers:", "platforms: [linux/arm64], layers:")
    assert "basis:v1 is for linux/amd64, and not for linux/arm64" in derived.bad(FROM_REGISTRY, arm)


@pytest.mark.parametrize("damage", ["cut short", "altered"])
def test_a_damaged_blob_of_a_registry_is_an_error_and_not_kept(
    derived: Derived, registry: RealRegistry, damage: str
) -> None:
    file = registry.blob_file(derived.layers[0])
    data = file.read_bytes()
    file.write_bytes(data[:-5] if damage == "cut short" else data[:-1] + bytes([data[-1] ^ 1]))
    derived.elsewhere()
    derived.write(FROM_REGISTRY)
    code, said = derived.run()
    assert code in (3, 4) and derived.layers[0] in said, said
    assert not derived.elsewhere().joinpath(derived.layers[0][7:]).exists()


def test_a_damaged_layout_is_an_error(derived: Derived) -> None:
    derived.shop("image", "export", "basis", str(derived.folder / "given"))
    given = derived.folder / "given"
    index = json.loads((given / "index.json").read_bytes())
    image = json.loads((given / layout.blob_path(index["manifests"][0]["digest"])).read_bytes())
    blob = given / layout.blob_path(image["layers"][0]["digest"])
    size = blob.stat().st_size
    blob.write_bytes(blob.read_bytes()[:-5])
    assert f"has {size - 5} of {size} bytes" in derived.bad("layout: given")
    blob.unlink()
    assert "is missing" in derived.bad("layout: given")


def test_a_path_that_climbs_out_of_its_layer_is_refused(derived: Derived) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("srv/../../../evil")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"evil"))
    write_layout(derived.folder / "hostile", buffer.getvalue())
    assert "'srv/../../../evil', a path that leaves the image" in derived.bad("layout: hostile")


def test_a_hard_link_out_of_its_layer_is_refused(derived: Derived) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("srv/evil")
        member.type, member.linkname = tarfile.LNKTYPE, "../../etc/shadow"
        tar.addfile(member)
    write_layout(derived.folder / "hostile", buffer.getvalue())
    assert "'../../etc/shadow', a path that leaves the image" in derived.bad("layout: hostile")


def write_layout(folder: Path, tar: bytes) -> None:
    """A layout of one image of one layer with these bytes."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    layer = Layer(Descriptor(LAYER, digest_of(tar), len(tar)), digest_of(tar))
    config, config_data = documents.described(documents.config(Platform(), {}, [layer]), documents.CONFIG)
    image, data = documents.described(documents.manifest(config, [layer], {}), documents.MANIFEST, Platform())
    for content in (tar, config_data, data):
        (blobs / digest_of(content)[7:]).write_bytes(content)
    (folder / "index.json").write_bytes(layout.index([image]))
    (folder / layout.LAYOUT_FILE).write_bytes(layout.LAYOUT)
