"""References: the distribution grammar, Docker Hub's short names, and what a wrong one is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import reference
from pipeline.errors import Location, UsageError

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("ubuntu", "docker.io/library/ubuntu:latest"),
        ("ubuntu:22.04", "docker.io/library/ubuntu:22.04"),
        ("nvidia/cuda:12.4.1-cudnn-runtime-ubuntu22.04", "docker.io/nvidia/cuda:12.4.1-cudnn-runtime-ubuntu22.04"),
        ("docker.io/ubuntu", "docker.io/library/ubuntu:latest"),
        ("index.docker.io/library/ubuntu", "docker.io/library/ubuntu:latest"),
        ("localhost/a", "localhost/a:latest"),
        ("localhost:5000/a/b:v1", "localhost:5000/a/b:v1"),
        ("127.0.0.1:5000/a", "127.0.0.1:5000/a:latest"),
        ("[::1]:5000/a:v1", "[::1]:5000/a:v1"),
        ("Reg.Example.com/a", "reg.example.com/a:latest"),
        (f"reg.example.com/a@{DIGEST}", f"reg.example.com/a@{DIGEST}"),
        (f"reg.example.com/a:v1@{DIGEST}", f"reg.example.com/a:v1@{DIGEST}"),
        ("me.azurecr.io/ml/scoring__x/a--b.c_d:1", "me.azurecr.io/ml/scoring__x/a--b.c_d:1"),
    ],
)
def test_normalised(text: str, full: str) -> None:
    assert str(reference.parse(text)) == full
    assert reference.parse(full) == reference.parse(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names no repository"),
        ("reg.example.com/", "names no repository"),
        ("reg.example.com/Scoring", "write it as 'scoring'"),
        ("a:", "tag is empty"),
        ("a@", "digest is empty"),
        ("a:b c", "'b c' is no tag"),
        ("a:.x", "'.x' is no tag"),
        ("a@sha256:123", "'sha256:123' is no digest"),
        (f"a@{DIGEST.upper()}", "is no digest"),
        ("https://reg.example.com/a", "begins with a scheme"),
        ("reg.example.com:port/a", "no host name"),
        ("-reg.example.com/a", "no host name"),
        ("reg.example.com/a//b", "'' cannot be part"),
        ("reg.example.com/a_-b", "'a_-b' cannot be part"),
        ("reg.example.com/" + "a" * 256, "256 characters"),
    ],
)
def test_wrong_ones_say_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        reference.parse(text, Location("m.yaml", 3, 7))
    assert says in str(caught.value)
    assert str(caught.value).startswith("m.yaml:3:7: ")


def test_docker_hub_is_called_by_another_name() -> None:
    assert reference.api_host("docker.io") == "registry-1.docker.io"
    assert reference.api_host("reg.example.com:5000") == "reg.example.com:5000"


@pytest.mark.parametrize(
    "host", ["me.azureecr.io", "me.azurcr.io", "me.azurecr.com", "me.azureacr.io", "me.azurrecr.io"]
)
def test_a_mistyped_azure_host_is_pointed_out(host: str) -> None:
    assert "did you mean me.azurecr.io?" in reference.warnings(f"{host}/a:v1")[0]


def test_warnings() -> None:
    assert reference.warnings("me.azurecr.io/a:v1") == []
    assert reference.warnings(f"me.azurecr.io/a@{DIGEST}") == []
    assert "docker.io/library/ubuntu:latest is used" in reference.warnings("ubuntu")[0]
    assert len(reference.warnings("localhost:5000/a")) == 1


def test_other_images_of_the_same_repository() -> None:
    first = reference.parse("reg.example.com/a:v1")
    assert str(first.at(digest=DIGEST)) == f"reg.example.com/a@{DIGEST}"
    assert first.wanted == "v1"
    assert reference.parse(f"reg.example.com/a:v1@{DIGEST}").wanted == DIGEST
    with pytest.raises(UsageError, match="is no tag"):
        first.at(tag="not a tag")


@given(st.text(max_size=40))
def test_any_text_is_a_reference_or_a_usage_error(text: str) -> None:
    try:
        found = reference.parse(text)
    except UsageError:
        return
    assert reference.parse(str(found)) == found
