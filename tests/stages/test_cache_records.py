"""Records of the shared cache: what one store packs, another takes; what somebody forged, nobody does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.digest import Digest, canonical, digest_of
from pipeline.facts import Platform
from pipeline.oci import image as documents
from pipeline.oci.descriptor import LAYER_ZSTD, Descriptor, Layer
from pipeline.registry.artifacts import Artifact
from pipeline.registry.problems import Damaged
from pipeline.stages.cache_records import pack, unpack
from pipeline.store import Store

TAG = "v1-layer-0123"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def layer(store: Store) -> Layer:
    digest = store.blobs.put(b"compressed")
    made = Layer(Descriptor(LAYER_ZSTD, digest, 10), digest_of(b"plain"), "words")
    store.put_contents(made, {"members": [], "elf": {}})
    return made


def test_a_layer_comes_with_what_it_holds(store: Store) -> None:
    made = layer(store)
    artifact, data = pack(TAG, {"layers": [made.to_json()], "config": {}, "linked": True}, store)
    shared = unpack(TAG, artifact)
    assert shared.layers == (made,)
    assert shared.record["linked"] is True
    told = shared.contents[made.diff_id]
    assert data[told.digest] == store.contents_file(made.diff_id).read_bytes()
    assert {blob.digest for blob in artifact.blobs} == {made.blob.digest, told.digest}


def test_an_image_comes_with_its_documents_and_no_layer(store: Store) -> None:
    made = layer(store)
    config, data = documents.described(documents.config(Platform(), {}, [made]), documents.CONFIG)
    store.blobs.put(data)
    image, manifest = documents.described(documents.manifest(config, [made], {}), documents.MANIFEST)
    store.blobs.put(manifest)
    artifact, _ = pack(TAG, {"image": image.to_json(), "blobs": []}, store)
    assert set(unpack(TAG, artifact).documents) == {data, manifest}
    assert artifact.blobs == ()


def _moved(value: dict[str, Any]) -> None:
    value["tag"] = "v1-layer-4567"


def _outside(value: dict[str, Any]) -> None:
    value["record"]["layers"][0]["diff_id"] = "sha256:../../../etc/passwd"


def _foreign_layer(value: dict[str, Any]) -> None:
    value["record"]["layers"][0]["blob"]["digest"] = digest_of(b"another")


def _foreign_contents(value: dict[str, Any]) -> None:
    for blob in value["contents"].values():
        blob["digest"] = digest_of(b"another")


def _image_without_documents(value: dict[str, Any]) -> None:
    value["record"]["image"] = Descriptor("", Digest(digest_of(b"another")), 1).to_json()


def _of_no_form(value: dict[str, Any]) -> None:
    value["record"] = ["nothing"]


@pytest.mark.parametrize(
    "forge", [_moved, _outside, _foreign_layer, _foreign_contents, _image_without_documents, _of_no_form]
)
def test_what_does_not_hang_together_is_refused(store: Store, forge: Callable[[dict[str, Any]], None]) -> None:
    artifact, _ = pack(TAG, {"layers": [layer(store).to_json()], "config": {}}, store)
    value = json.loads(artifact.record)
    forge(value)
    with pytest.raises(Damaged, match=f"the record {TAG} of the cache is damaged"):
        unpack(TAG, Artifact(canonical(value), artifact.blobs))


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(Damaged):
        unpack(TAG, Artifact(b"\xff\x00"))
