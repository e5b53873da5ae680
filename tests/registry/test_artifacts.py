"""Records with their blobs under a tag: what is found is whole, ours, and what was put there."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from registry_doubles import opened

from pipeline.digest import canonical, digest_of
from pipeline.errors import OutOfReach, PipelineError
from pipeline.http import Body, Response
from pipeline.oci.descriptor import MANIFEST, Descriptor
from pipeline.registry.artifacts import Artifact, FromMemory, get, put
from pipeline.registry.memory import MemoryRegistry
from pipeline.registry.problems import Damaged
from pipeline.registry.repository import Repository

HOST = "registry.example.com"
TYPE = "application/vnd.example.record.v1+json"
LAYER = b"the bytes of a layer"
BLOB = Descriptor("application/octet-stream", digest_of(LAYER), len(LAYER))


@pytest.fixture
def registry() -> MemoryRegistry:
    return MemoryRegistry()


def repository(transport: object) -> Repository:
    return opened(HOST, transport).repository(f"{HOST}/cache")


def give(where: Repository, record: bytes = b'{"made": 1}', *blobs: Descriptor, **more: Repository) -> None:
    put(where, "tag", Artifact(record, blobs), TYPE, source=lambda _blob: FromMemory(LAYER), origins=more)


def test_a_record_and_its_blobs_come_back_in_one_request(registry: MemoryRegistry) -> None:
    where = repository(registry)
    give(where, b'{"made": 1}', BLOB)
    registry.seen.clear()
    assert get(where, "tag", TYPE) == Artifact(b'{"made": 1}', (BLOB,))
    assert registry.seen == ["GET /v2/cache/manifests/tag"]
    assert registry.held(HOST, "cache").blobs[BLOB.digest] == LAYER


def test_a_record_without_blobs_has_none(registry: MemoryRegistry) -> None:
    where = repository(registry)
    give(where)
    assert get(where, "tag", TYPE) == Artifact(b'{"made": 1}')
    _, data = registry.held(HOST, "cache").manifests[registry.held(HOST, "cache").tags["tag"]]
    assert json.loads(data)["layers"], "some registries refuse an image manifest without layers"


def test_a_large_record_is_read_from_its_blob(registry: MemoryRegistry) -> None:
    where, record = repository(registry), json.dumps("x" * (2 << 20)).encode()
    give(where, record, BLOB)
    _, data = registry.held(HOST, "cache").manifests[registry.held(HOST, "cache").tags["tag"]]
    assert len(data) < 1 << 20
    assert get(where, "tag", TYPE) == Artifact(record, (BLOB,))


def test_there_is_none_where_nothing_was_put(registry: MemoryRegistry) -> None:
    assert get(repository(registry), "tag", TYPE) is None


def test_an_image_is_no_record(registry: MemoryRegistry) -> None:
    where = repository(registry)
    give(where)
    with pytest.raises(Damaged, match="none of ours"):
        get(where, "tag", "application/vnd.oci.image.config.v1+json")


def test_what_the_descriptor_carries_is_held_against_its_digest(registry: MemoryRegistry) -> None:
    where = repository(registry)
    give(where, b'{"made": 1}', BLOB)
    held = registry.held(HOST, "cache")
    value = json.loads(held.manifests[held.tags["tag"]][1])
    value["config"]["data"] = "eyJtYWRlIjogMn0="
    altered = canonical(value)
    held.manifests[digest_of(altered)] = (MANIFEST, altered)
    held.tags["tag"] = digest_of(altered)
    assert get(where, "tag", TYPE) == Artifact(b'{"made": 1}', (BLOB,))
    held.blobs[digest_of(b'{"made": 1}')] = b'{"made": 2}'
    with pytest.raises(Damaged):
        get(where, "tag", TYPE)


def test_a_blob_that_another_repository_has_is_mounted(registry: MemoryRegistry) -> None:
    registry.held(HOST, "images").blobs[BLOB.digest] = LAYER
    where = repository(registry)
    origin = opened(HOST, registry).repository(f"{HOST}/images")
    put(where, "tag", Artifact(b"{}", (BLOB,)), TYPE, source=_nowhere, origins={BLOB.digest: origin})
    assert registry.held(HOST, "cache").blobs[BLOB.digest] == LAYER


def test_a_blob_that_was_lost_is_put_back_though_the_image_manifest_is_there(registry: MemoryRegistry) -> None:
    where = repository(registry)
    give(where, b'{"made": 1}', BLOB)
    del registry.held(HOST, "cache").blobs[BLOB.digest]
    give(repository(registry), b'{"made": 1}', BLOB)
    assert registry.held(HOST, "cache").blobs[BLOB.digest] == LAYER


def test_a_blob_that_a_registry_loses_sight_of_is_looked_at_again(registry: MemoryRegistry) -> None:
    """As docker-registry 2.8 answers while another client is just linking the same blob."""
    answers = iter([b'{"errors": [{"code": "DIGEST_INVALID"}, {"code": "MANIFEST_BLOB_UNKNOWN"}]}'])

    class Racing:
        @contextmanager
        def send(self, method: str, url: str, headers: Mapping[str, str], body: Body = None) -> Iterator[Response]:
            if method == "PUT" and "/manifests/" in url and (said := next(answers, b"")):
                yield Response(400, {"content-type": "application/json"}, lambda: iter((said,)))
                return
            with registry.send(method, url, headers, body) as response:
                yield response

    give(repository(Racing()), b'{"made": 1}', BLOB)
    assert get(repository(registry), "tag", TYPE) == Artifact(b'{"made": 1}', (BLOB,))


def test_nothing_is_found_of_what_broke_off(registry: MemoryRegistry) -> None:
    class Breaking:
        @contextmanager
        def send(self, method: str, url: str, headers: Mapping[str, str], body: Body = None) -> Iterator[Response]:
            if method == "PUT" and "/manifests/" in url:
                raise OutOfReach("the power is gone")
            with registry.send(method, url, headers, body) as response:
                yield response

    with pytest.raises(OutOfReach):
        give(repository(Breaking()), b'{"made": 1}', BLOB)
    assert get(repository(registry), "tag", TYPE) is None


def _nowhere(_blob: Descriptor) -> FromMemory:
    if _blob.digest == BLOB.digest:
        raise PipelineError("it was to be mounted")
    return FromMemory(b"")
