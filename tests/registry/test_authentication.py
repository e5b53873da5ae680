"""Tokens and passwords: what is asked of whom, how often, and what nobody else is ever told."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from registry_doubles import USERS, Exchange, Recorder, TokenRegistry, opened, served
from registry_images import layer_bytes, make_image
from registry_server import running

from pipeline.errors import OutOfReach, PipelineError
from pipeline.http import Http
from pipeline.manifest.model import Retry, Secret
from pipeline.registry import Registries
from pipeline.registry.credentials import Credential
from pipeline.registry.problems import Denied, Unauthorized
from pipeline.registry.transfers import pull, push, tag
from pipeline.store import Store

ZEROS = "00000000-0000-0000-0000-000000000000"
RIGHTS = {"bob": {"pull", "push"}, "reader": {"pull"}, "": {"pull"}}
LAYERS = [layer_bytes("a"), layer_bytes("b")]


@contextmanager
def tokens(**more: object) -> Iterator[tuple[str, TokenRegistry]]:
    server = TokenRegistry({**USERS, "reader": "reads"}, RIGHTS, **more)  # type: ignore[arg-type]
    with served(server.answer) as address:
        yield address, server


def as_user(address: str, **credential: object) -> Registries:
    who = [Credential(address, "the test", **credential)] if credential else []  # type: ignore[arg-type]
    return Registries({"HOME": "/nonexistent"}, extra=who, retry=Retry(1))


def test_one_token_for_a_whole_push(store: Store) -> None:
    with tokens() as (address, server):
        registries = opened(address)
        image = make_image(store, LAYERS)
        push(store, image, registries.repository(f"{address}/a"))
        assert server.asked == [("GET", "basic", frozenset({"repository:a:pull,push"}))]
        # Mounting needs the right to read the other repository, in the same token.
        done = push(store, image, registries.repository(f"{address}/b"))
        assert done.mounted == 3
        assert server.asked[1:] == [("GET", "basic", frozenset({"repository:b:pull,push", "repository:a:pull"}))]


def test_a_sibling_that_may_not_be_read_is_done_without(store: Store) -> None:
    with tokens() as (address, server):
        image = make_image(store, LAYERS)
        push(store, image, opened(address).repository(f"{address}/a"))
        server.private = "a"
        done = push(store, image, opened(address).repository(f"{address}/b"))
        assert (done.mounted, done.copied) == (0, 3)


def test_a_new_layer_and_its_tag_take_ten_requests_at_most(store: Store) -> None:
    with tokens() as (address, _server):
        push(store, make_image(store, LAYERS), opened(address).repository(f"{address}/a"))
        registries = opened(address)
        image = make_image(store, [*LAYERS, layer_bytes("new", 500_000)])
        push(store, image, registries.repository(f"{address}/a"))
        tag(store, image, registries.repository(f"{address}/a"), ["v1"])
        assert registries.client(address).tally.requests <= 10
        assert registries.repository(f"{address}/a").resolve("v1").digest == image.digest


def test_anonymous_reading(store: Store) -> None:
    with tokens() as (address, server):
        image = make_image(store, LAYERS)
        push(store, image, opened(address).repository(f"{address}/a"))
        server.asked.clear()
        pull(Store(store.folder.with_name("o")), as_user(address).repository(f"{address}/a"), image.digest)
        assert server.asked == [("GET", "anonymous", frozenset({"repository:a:pull"}))]
        with pytest.raises(Unauthorized, match=f"log in: pipeline login {address}"):
            push(store, make_image(store, [layer_bytes("x")]), as_user(address).repository(f"{address}/a"))


def test_a_reader_may_not_push(store: Store) -> None:
    with tokens() as (address, _server):
        image = make_image(store, LAYERS)
        push(store, image, opened(address).repository(f"{address}/a"))
        reader = as_user(address, username="reader", password=Secret("reads"))
        assert pull(Store(store.folder.with_name("o")), reader.repository(f"{address}/a"), image.digest).copied == 3
        with pytest.raises(Denied, match=f"{address}/a.*for user 'reader' from the test.*ask whoever runs"):
            push(store, make_image(store, [layer_bytes("y")]), reader.repository(f"{address}/a"))


def test_a_token_that_ran_out_is_renewed() -> None:
    now = [1000.0]
    with tokens(life=60) as (address, server):
        target = opened(address, clock=lambda: now[0]).repository(f"{address}/a")
        target.has_manifest("sha256:" + "0" * 64)
        target.has_manifest("sha256:" + "0" * 64)
        assert len(server.asked) == 1
        now[0] += 55
        target.has_manifest("sha256:" + "0" * 64)
        assert len(server.asked) == 2
        server.tokens.clear()  # The server forgot them all: the client hears it by a 401.
        target.has_manifest("sha256:" + "0" * 64)
        assert len(server.asked) == 3


def test_a_wrong_password_at_the_token_server() -> None:
    with tokens() as (address, server):
        with pytest.raises(Unauthorized) as caught:
            as_user(address, username="bob", password=Secret("wr0ng")).repository(f"{address}/a").resolve("v1")
        assert f"{address} refuses the name or the password of user 'bob' from the test" in str(caught.value)
        assert "wr0ng" not in str(caught.value)
        assert len(server.asked) == 1


def test_refresh_tokens() -> None:
    with tokens(refresh_tokens={"r1": "bob"}) as (address, server):
        for credential in ({"identity_token": Secret("r1")}, {"username": ZEROS, "password": Secret("r1")}):
            as_user(address, **credential).repository(f"{address}/a").tags()
        assert {(method, how) for method, how, _ in server.asked} == {("POST", "refresh_token")}
        with pytest.raises(Unauthorized, match="refuses"):
            as_user(address, identity_token=Secret("old")).repository(f"{address}/a").tags()


def test_a_server_that_takes_posts_only() -> None:
    with tokens(get_allowed=False) as (address, server):
        as_user(address, username="bob", password=Secret(USERS["bob"])).repository(f"{address}/a").tags()
        assert [how for _, how, _ in server.asked] == ["basic", "password"]


def test_azure_exchanges_an_entra_token_once() -> None:
    with tokens(entra_tokens={"e1": "bob"}) as (address, server):
        registries = as_user(address, entra=lambda: Secret("e1"), tenant="t1")
        registries.repository(f"{address}/a").tags()
        registries.repository(f"{address}/b").tags()
        assert [how for _, how, _ in server.asked] == [f"exchange t1 {address}", "refresh_token", "refresh_token"]


def test_secrets_go_to_the_registry_only(store: Store) -> None:
    """Blobs are redirected to storage hosts: these get the signed address, and no credential."""
    data = layer_bytes("stored")

    def storage(exchange: Exchange) -> None:
        assert exchange.headers["Authorization"] is None
        exchange.reply(200, {}, data)

    image = make_image(store, [data])
    with tokens() as (address, server), served(storage) as elsewhere:
        push(store, image, opened(address).repository(f"{address}/a"))
        passing = server.answer

        def redirecting(exchange: Exchange) -> None:
            if exchange.command == "GET" and "/blobs/" in exchange.path:
                exchange.reply(307, {"Location": f"http://{elsewhere}/signed?sig=s1gnature"})
            else:
                passing(exchange)

        with served(redirecting) as front:
            recorder = Recorder(Http({}))
            source = opened(front, recorder).repository(f"{front}/a")
            server.memory.repositories[front, "a"] = server.memory.repositories[address, "a"]
            with source.open_blob(source.manifest(image.digest).blobs[1].digest) as chunks:
                assert b"".join(chunks) == data
    told = {url for _, url, headers in recorder.seen if "Authorization" in headers}
    assert told
    assert all(url.startswith(f"http://{front}/") for url in told)
    assert any(url.startswith(f"http://{elsewhere}/signed") for _, url, _ in recorder.seen)


def test_a_token_server_in_the_clear_is_told_nothing() -> None:
    """A registry reached by TLS may not send its users' passwords over plain HTTP."""
    from pipeline.registry.authentication import Authentication

    def send(*_: object, **__: object) -> object:
        raise AssertionError("nothing may be sent")

    who = Credential("reg.example.com", "the test", "bob", Secret("secret"))
    work = Authentication("reg.example.com", who, send, lambda: 0.0)  # type: ignore[arg-type]
    with pytest.raises(OutOfReach, match="https addresses only"):
        work.learn('Bearer realm="http://tokens.example.com/"', "https://reg.example.com")
    assert work.learn('Bearer realm="https://tokens.example.com/"', "https://reg.example.com")
    with pytest.raises(OutOfReach, match="an address that is none"):
        work.learn('Bearer realm="http://["', "https://reg.example.com")


def test_a_registry_of_this_machine_sends_no_password_out_in_the_clear() -> None:
    """Plain HTTP is good enough within this machine; where a manifest allows it elsewhere, for a token server, too."""
    from pipeline.registry.authentication import Authentication

    work = Authentication("localhost:5000", None, None, lambda: 0.0)  # type: ignore[arg-type]
    assert work.learn('Bearer realm="http://127.0.0.1:5001/"', "http://localhost:5000")
    assert work.learn('Bearer realm="http://tokens.example.com/"', "http://reg.example.com")
    with pytest.raises(OutOfReach, match="https addresses only"):
        work.learn('Bearer realm="http://tokens.example.com/"', "http://localhost:5000")


def test_no_secret_in_any_log(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), tokens() as (address, server):
        push(store, make_image(store, LAYERS), opened(address).repository(f"{address}/a"))
        issued = list(server.tokens)
    basic = base64.b64encode(f"bob:{USERS['bob']}".encode()).decode()
    assert issued
    for secret in (*issued, USERS["bob"], basic):
        assert secret not in caplog.text


# -- TLS ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def encrypted() -> Iterator[tuple[str, Path]]:
    with running(USERS, tls=True) as registry:
        assert registry.ca
        yield registry.address, registry.ca


def test_a_certificate_authority_of_ones_own(encrypted: tuple[str, Path], store: Store) -> None:
    address, ca = encrypted
    image = make_image(store, LAYERS)
    done = push(store, image, opened(address, ca_files={address: ca}).repository(f"{address}/a"))
    assert done.copied == 3
    assert opened(address, ca_files={address: ca}).client(address).ping() == f"https://{address}"
    by_environment = opened(address, Http({"SSL_CERT_FILE": str(ca)}))
    assert by_environment.repository(f"{address}/a").has_manifest(image.digest)


def test_a_certificate_that_nobody_vouches_for(encrypted: tuple[str, Path]) -> None:
    with pytest.raises(OutOfReach, match=f"https://{encrypted[0]} is not trusted: .*certificate") as caught:
        opened(encrypted[0]).repository(f"{encrypted[0]}/a").tags()
    assert not caught.value.transient


def test_a_certificate_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    for file in (tmp_path / "ca.pem", tmp_path / "missing.pem"):
        with pytest.raises(OutOfReach, match=f"cannot read {file}"):
            opened("reg.example.com", Http({}, file)).repository("reg.example.com/a").tags()


def test_plain_http_only_where_it_is_allowed(tmp_path: Path) -> None:
    from pipeline.manifest.model import Registry

    recorder = Recorder(_Nothing())
    registries = Registries({"HOME": str(tmp_path)}, transport=recorder, retry=Retry(1))
    with pytest.raises(PipelineError):
        registries.repository("reg.example.com/a").tags()
    assert recorder.seen[0][1] == "https://reg.example.com/v2/"
    plain = Registries(
        {"HOME": str(tmp_path)}, [Registry("p", "http://reg.example.com/ml")], transport=recorder, retry=Retry(1)
    )
    with pytest.raises(PipelineError):
        plain.repository("reg.example.com/ml/a").tags()
    assert recorder.seen[-1][1] == "http://reg.example.com/v2/"


class _Nothing:
    def send(self, *_: object) -> object:
        raise OutOfReach("nobody there")


def test_a_mistyped_azure_host_is_pointed_out() -> None:
    registries = Registries({"HOME": "/nonexistent"}, transport=_Nothing(), retry=Retry(1))  # type: ignore[arg-type]
    with pytest.raises(OutOfReach, match=r"did you mean me\.azurecr\.io\?"):
        registries.repository("me.azureecr.io/a").tags()
