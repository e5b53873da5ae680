"""Registries that answer nonsense: every answer is an error that names them, or is put right."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pytest
from registry_doubles import opened

from pipeline.digest import digest_of
from pipeline.errors import OutOfReach, PipelineError
from pipeline.http import Body, Response
from pipeline.oci.descriptor import LAYER, Descriptor
from pipeline.registry.blobs import upload
from pipeline.registry.repository import Repository, UploadSession

HOST = "reg.example.com"
DIGEST = digest_of(b"blob")
MANIFEST = b'{"schemaVersion":2,"config":{"digest":"%s","size":4,"mediaType":"x"},"layers":[]}' % DIGEST.encode()
TYPE = {"content-type": "application/vnd.oci.image.manifest.v1+json"}


class Answers:
    """A transport that answers from a table, by method and path; `sent` are the requests."""

    def __init__(self, table: Mapping[str, tuple[int, Mapping[str, str], bytes]]) -> None:
        self.table = {"GET /v2/": (200, {}, b""), **table}
        self.sent: list[str] = []

    @contextmanager
    def send(self, method: str, url: str, headers: Mapping[str, str], body: Body = None) -> Iterator[Response]:
        path = url.removeprefix(f"https://{HOST}").partition("?")[0]
        self.sent.append(f"{method} {path} {headers.get('Content-Length', '')}".strip())
        for _ in body or ():
            pass
        status, found, data = self.table[f"{method} {path}"]
        yield Response(status, found, lambda: iter([data]))


def repository(**table: tuple[int, Mapping[str, str], bytes]) -> tuple[Repository, Answers]:
    names = {"head": "HEAD /v2/a/manifests/v1", "get": "GET /v2/a/manifests/v1", "tags": "GET /v2/a/tags/list"}
    names |= {"start": "POST /v2/a/blobs/uploads/", "state": "GET /up", "put": "PUT /up"}
    transport = Answers({names[name]: answer for name, answer in table.items()})
    return opened(HOST, transport).repository(f"{HOST}/a"), transport


@pytest.mark.parametrize("size", ["\u00b2", "9" * 5000, "-1", ""])
@pytest.mark.parametrize("digest", ["sha256:../../x", DIGEST])
def test_a_tag_is_what_its_image_manifest_says(size: str, digest: str) -> None:
    head = {"docker-content-digest": digest, "content-length": size, **TYPE}
    found, _ = repository(head=(200, head, b""), get=(200, TYPE, MANIFEST))
    assert found.resolve("v1") == Descriptor(TYPE["content-type"], digest_of(MANIFEST), len(MANIFEST))


def test_a_digest_that_is_none_is_not_believed() -> None:
    head = {"docker-content-digest": "sha256:../../x", "content-length": "5", **TYPE}
    found, _ = repository(head=(200, head, b""), get=(200, TYPE, MANIFEST))
    assert found.resolve("v1").digest == digest_of(MANIFEST)


@pytest.mark.parametrize(
    "ask",
    [
        lambda there: there.manifest("v1"),
        lambda there: there.tags(),
    ],
)
def test_json_that_nests_too_deep(ask: Callable[[Repository], object]) -> None:
    deep = b'{"tags":' + b"[" * 100_000
    found, _ = repository(get=(200, TYPE, deep), tags=(200, {}, deep))
    with pytest.raises(PipelineError, match=f"{HOST}/a"):
        ask(found)


def test_tags_that_are_none_and_pages_that_go_in_circles() -> None:
    circle = {"link": '</v2/a/tags/list?last=1>; rel="next"'}
    found, transport = repository(tags=(200, circle, b'{"tags": ["b", 1, null, "a"]}'))
    assert found.tags() == ["a", "b"]
    assert len(transport.sent) == 3


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("http://[", f"{HOST} leads to an address that is none"),
        ("http://elsewhere.example.com/up", "elsewhere.example.com/up, which is not encrypted"),
    ],
)
def test_a_place_to_upload_to_that_is_none(location: str, why: str) -> None:
    found, _ = repository(start=(202, {"location": location}, b""), get=(307, {"location": location}, b""))
    with pytest.raises(OutOfReach, match=why.replace("[", r"\[")):
        found.start_upload()
    with pytest.raises(OutOfReach, match=why.replace("[", r"\[")):
        found.manifest("v1")


@pytest.mark.parametrize("last", ["\u00b2", "9" * 5000, "999"])
def test_an_upload_that_cannot_have_got_so_far_begins_anew(last: str) -> None:
    state = (204, {"range": f"0-{last}", "location": "/up"}, b"")
    found, transport = repository(start=(202, {"location": "/up"}, b""), state=state, put=(503, {}, b""))
    transport.table[f"HEAD /v2/a/blobs/{DIGEST}"] = (404, {}, b"")
    with pytest.raises(OutOfReach):
        upload(found, Descriptor(LAYER, DIGEST, 4), _Bytes(), UploadSession(f"https://{HOST}/up"))
    assert {line for line in transport.sent if line.startswith("PUT")} == {"PUT /up 4"}
    assert transport.sent.count("POST /v2/a/blobs/uploads/ 0") == 2


class _Bytes:
    @contextmanager
    def open(self, offset: int) -> Iterator[Iterator[bytes]]:
        yield iter([b"blob"[offset:]])
