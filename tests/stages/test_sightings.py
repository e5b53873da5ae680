"""What tags are in registries now: one question each, all at once, and failures that stay with their tag."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from pipeline.errors import OutOfReach
from pipeline.http import Body, Response
from pipeline.manifest.model import Retry
from pipeline.reference import repository
from pipeline.registry import Registries
from pipeline.stages.sightings import Sightings

TAGS = [repository("reg.example.com/a").at(tag=f"v{number}") for number in range(40)]
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Answers:
    """A registry that has the tags of even numbers, and is out of order for v13; `asked` are the paths."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    @contextmanager
    def send(self, _method: str, url: str, _headers: Mapping[str, str], _body: Body = None) -> Iterator[Response]:
        self.asked.append(url.removeprefix("https://reg.example.com/v2/"))
        tag = url.rpartition("/")[2]
        if tag == "v13":
            raise OutOfReach("out of order")
        digest = f"sha256:{tag.removeprefix('v'):0>64}"
        found = {"docker-content-digest": digest, "content-type": MANIFEST, "content-length": "2"}
        even = not tag or int(tag.removeprefix("v")) % 2 == 0
        yield Response(200 if even else 404, found if even and tag else {})


def test_every_tag_that_is_expected_is_asked_for_once() -> None:
    answers = Answers()
    registries = Registries({"HOME": "/nonexistent"}, transport=answers, retry=Retry(1))
    sightings = Sightings(registries.repository)
    sightings.expect(TAGS[:30])
    assert answers.asked == []
    assert sightings.digest(TAGS[4]) == f"sha256:{4:064}"
    assert sorted(answers.asked[1:]) == sorted(f"a/manifests/v{number}" for number in range(30))
    assert sightings.digest(TAGS[5]) == ""
    assert len(answers.asked) == 31
    assert sightings.digest(TAGS[38]) == f"sha256:{38:064}"
    assert len(answers.asked) == 32
    for _ in range(2):
        with pytest.raises(OutOfReach, match="out of order"):
            sightings.digest(TAGS[13])
    assert len(answers.asked) == 32


def test_a_bug_comes_through() -> None:
    def broken(_where: object) -> object:
        raise ZeroDivisionError

    sightings = Sightings(broken)  # type: ignore[arg-type]
    sightings.expect(TAGS)
    with pytest.raises(ZeroDivisionError):
        sightings.digest(TAGS[0])


def test_a_registry_that_does_not_answer_is_not_asked_for_each_tag() -> None:
    asked = []

    class Dead:
        @contextmanager
        def send(self, _method: str, url: str, _headers: Mapping[str, str], _body: Body = None) -> Iterator[Response]:
            asked.append(url)
            raise OutOfReach("no answer", transient=True)
            yield

    registries = Registries({"HOME": "/nonexistent"}, transport=Dead(), retry=Retry(1))
    sightings = Sightings(registries.repository)
    sightings.expect(TAGS[:2])
    for _ in range(2):
        for tag in TAGS[:2]:
            with pytest.raises(OutOfReach, match="no answer"):
                sightings.digest(tag)
    assert len(asked) == 1
    sightings.forget()
    with pytest.raises(OutOfReach, match="no answer"):
        sightings.digest(TAGS[1])
    assert len(asked) == 2


def test_what_is_forgotten_is_asked_again() -> None:
    answers = Answers()
    sightings = Sightings(Registries({"HOME": "/nonexistent"}, transport=answers, retry=Retry(1)).repository)
    sightings.digest(TAGS[4])
    before = len(answers.asked)
    sightings.forget()
    sightings.digest(TAGS[4])
    assert len(answers.asked) == before
    sightings.forget([TAGS[4]])
    sightings.digest(TAGS[4])
    assert len(answers.asked) == before + 1
