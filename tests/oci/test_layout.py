"""Documents of image layouts: entries are added and replaced, the rest is kept."""

from __future__ import annotations

import json

import pytest

from pipeline.digest import digest_of
from pipeline.oci import layout
from pipeline.oci.descriptor import MANIFEST, Descriptor
from pipeline.reference import parse


def entry(name: str, content: str) -> Descriptor:
    return layout.named(Descriptor(MANIFEST, digest_of(content.encode()), len(content)), parse(name))


def refs(index: bytes) -> list[tuple[str, str]]:
    found = json.loads(index)["manifests"]
    return [(one["annotations"][layout.REF_NAME], one["annotations"][layout.IMAGE_NAME]) for one in found]


def test_an_entry_replaces_the_one_with_its_tag() -> None:
    index = layout.index([entry("a:1", "x"), entry("a:2", "y")])
    index = layout.with_entry(index, entry("b:1", "z"))
    assert refs(index) == [("2", "docker.io/library/a:2"), ("1", "docker.io/library/b:1")]
    assert layout.name_under(index, "1") == "docker.io/library/b:1"
    assert layout.name_under(index, "3") is None


def test_the_same_entry_twice_changes_nothing() -> None:
    index = layout.index([entry("a:1", "x")])
    assert layout.with_entry(index, entry("a:1", "x")) == index


@pytest.mark.parametrize("annotations", [None, {}, {layout.REF_NAME: 5}, {"other": "x"}])
def test_entries_of_other_tools_stay(annotations: object) -> None:
    theirs = {"mediaType": "x", "digest": "sha256:0", "size": 0, "annotations": annotations}
    index = layout.with_entry(json.dumps({"schemaVersion": 2, "manifests": [theirs]}).encode(), entry("a:1", "x"))
    assert json.loads(index)["manifests"][0] == theirs
    assert len(json.loads(index)["manifests"]) == 2


def test_names_are_short_for_people() -> None:
    assert layout.familiar(parse("scoring:v1")) == "scoring:v1"
    assert layout.familiar(parse("me/scoring:v1")) == "me/scoring:v1"
    assert layout.familiar(parse("ghcr.io/library/scoring:v1")) == "ghcr.io/library/scoring:v1"


def test_manifest_json_points_at_blobs() -> None:
    config, layer = digest_of(b"config"), digest_of(b"layer")
    (found,) = json.loads(layout.docker_manifest(config, [layer], ["a:1"]))
    assert found["Config"] == "blobs/sha256/" + config.removeprefix("sha256:")
    assert found["Layers"] == ["blobs/sha256/" + layer.removeprefix("sha256:")]
    assert found["RepoTags"] == ["a:1"]
