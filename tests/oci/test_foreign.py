"""Images from elsewhere: their media types, their history, and what they hand down."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.errors import AssembleError
from pipeline.oci.descriptor import LAYER_GZIP
from pipeline.oci.foreign import handed_down, layers, read_config

DOCKER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64


def manifest(*media_types: str) -> dict[str, Any]:
    return {"layers": [{"mediaType": kind, "digest": ONE, "size": 3} for kind in media_types]}


def test_dockers_media_types_become_those_of_oci() -> None:
    history = [{"created_by": "ADD rootfs"}, {"created_by": "ENV A=b", "empty_layer": True}]
    (layer,) = layers(manifest(DOCKER), {"rootfs": {"diff_ids": [TWO]}, "history": history}, "base")
    assert (layer.blob.media_type, layer.blob.digest, layer.diff_id) == (LAYER_GZIP, ONE, TWO)
    assert layer.created_by == "ADD rootfs"


def test_layers_that_cannot_be_had_or_counted_are_errors() -> None:
    with pytest.raises(AssembleError, match="which is no layer of an image for Linux"):
        layers(
            manifest("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"), {"rootfs": {"diff_ids": [TWO]}}, "b"
        )
    with pytest.raises(AssembleError, match="b has 1 layers, and its config tells of 0"):
        layers(manifest(DOCKER), {}, "b")


def test_what_belongs_to_the_machine_that_built_an_image_is_not_handed_down() -> None:
    config = {"Env": ["A=b"], "Hostname": "6c9ab1", "Image": ONE, "User": "", "Entrypoint": None}
    assert handed_down({"config": config}) == {"Env": ["A=b"]}
    assert handed_down({}) == {}


GOOD = {"config": {"Env": ["A=b"], "Labels": {"a": "b"}, "Cmd": None}, "rootfs": {"diff_ids": [ONE]}, "history": [{}]}


@pytest.mark.parametrize(
    "more",
    [
        {"config": 5},
        {"config": {"Env": "A=b"}},
        {"config": {"Env": [1]}},
        {"config": {"Cmd": {"a": 1}}},
        {"config": {"User": 5}},
        {"config": {"Labels": ["a"]}},
        {"config": {"Labels": {"a": 1}}},
        {"config": {"ExposedPorts": "80"}},
        {"rootfs": 7},
        {"rootfs": {"diff_ids": [None]}},
        {"rootfs": {"diff_ids": "sha256"}},
        {"history": ["a"]},
    ],
)
def test_a_config_of_other_types_is_none(more: dict[str, Any]) -> None:
    assert read_config(json.dumps(GOOD).encode(), "b") == GOOD
    with pytest.raises(AssembleError, match="b: its config is none of an image"):
        read_config(json.dumps(GOOD | more).encode(), "b")


@pytest.mark.parametrize("data", [b"[]", b"5", b"{", b"[" * 100_000])
def test_a_config_that_is_no_object(data: bytes) -> None:
    with pytest.raises(AssembleError, match="b: its config is none of an image"):
        read_config(data, "b")
