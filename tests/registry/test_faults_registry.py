"""What the client does when things break: on real sockets, before Debian's docker-registry."""

from __future__ import annotations

import itertools
import re
import time
from pathlib import Path

import pytest
from registry_doubles import (
    USERS,
    Exchange,
    Fault,
    FaultyProxy,
    altered,
    cut_answer,
    cut_upload,
    failing,
    in_memory,
    longer,
    lose_answer,
    opened,
    served,
    silent,
    status,
)
from registry_images import layer_bytes, make_image
from registry_server import RealRegistry

from pipeline.digest import digest_of
from pipeline.errors import Interrupted, Lost, OutOfReach, PipelineError, StoreError
from pipeline.http import Http
from pipeline.manifest.model import Registry, Retry, Secret
from pipeline.oci.descriptor import LAYER, Descriptor
from pipeline.registry import Registries
from pipeline.registry.memory import MemoryRegistry
from pipeline.registry.problems import Damaged, NotFound, Refused, Unauthorized
from pipeline.registry.transfers import copy, pull, push
from pipeline.store import Store

BIG = layer_bytes("big", 3_000_000)


def pushed(real: RealRegistry, name: str, store: Store) -> Descriptor:
    image = make_image(store, [BIG])
    push(store, image, opened(real.address).repository(f"{real.address}/{name}"))
    return image


def test_an_upload_that_breaks_off_is_ended(real: RealRegistry, name: str, store: Store) -> None:
    image = make_image(store, [BIG], note=name)
    fault = Fault("PUT", "/blobs/uploads/", cut_upload(1_000_000))
    with failing(real.address, fault) as (address, _proxy):
        done = push(store, image, opened(address).repository(f"{address}/{name}"), parallel=1)
    assert done.image == image
    assert fault.times == 0
    check = Store(store.folder.with_name("check"))
    pull(check, opened(real.address).repository(f"{real.address}/{name}"), image.digest)
    assert check.blobs.read(image.digest) == store.blobs.read(image.digest)


def test_an_upload_in_parts_goes_on_where_it_broke(real: RealRegistry, name: str) -> None:
    """docker-registry keeps what it answered for; of a request that broke off it keeps nothing."""
    from pipeline.registry.blobs import FromFile, upload

    file = Path(real.folder).parent / f"{name.replace('/', '-')}.blob"
    file.write_bytes(BIG)
    with failing(real.address, Fault("PUT", "/blobs/uploads/", status(503))) as (address, proxy):
        target = opened(address).repository(f"{address}/{name}")
        session = target.start_upload()
        assert session is not None
        session = target.patch_blob(session, 2_000_000, lambda: BIG[:2_000_000])
        blob = Descriptor(LAYER, digest_of(BIG), len(BIG))
        upload(target, blob, FromFile(file, len(BIG)), session)
        assert target.has_blob(blob.digest)
    assert len([line for line in proxy.seen if line.startswith("POST")]) == 1


def test_an_upload_goes_on_where_it_broke(name: str, store: Store) -> None:
    image = make_image(store, [BIG])
    memory = MemoryRegistry(USERS)
    fault = Fault("PUT", "/blobs/uploads/", cut_upload(1_000_000))
    with served(in_memory(memory)) as upstream, failing(upstream, fault) as (address, proxy):
        push(store, image, opened(address).repository(f"{address}/{name}"), parallel=1)
        assert len([line for line in proxy.seen if line.startswith("POST")]) == 2
        assert [line.split()[0] for line in proxy.seen if "uploads/upload-1" in line] == ["PUT", "GET", "PATCH", "PUT"]
        assert BIG in memory.held(address, name).blobs.values()


def test_an_upload_whose_answer_is_lost_is_not_sent_again(real: RealRegistry, name: str, store: Store) -> None:
    image = make_image(store, [BIG], note=name)
    with failing(real.address, Fault("PUT", "/blobs/uploads/", lose_answer, times=2)) as (address, proxy):
        done = push(store, image, opened(address).repository(f"{address}/{name}"))
    assert done.moved < 2 * len(BIG)
    assert len([line for line in proxy.seen if line.startswith("PUT") and "uploads" in line]) == 2


@pytest.mark.parametrize("code", [500, 502, 503])
def test_a_failing_registry_is_asked_again(real: RealRegistry, name: str, store: Store, code: int) -> None:
    image = make_image(store, [BIG], note=str(code))
    faults = [Fault(method, "/manifests/", status(code)) for method in ("HEAD", "PUT")]
    with failing(real.address, Fault("GET", "/v2/$", status(code)), *faults) as (address, _proxy):
        push(store, image, opened(address).repository(f"{address}/{name}"))
    assert [fault.times for fault in faults] == [0, 0]


def test_a_registry_that_keeps_failing_is_named(real: RealRegistry, name: str, store: Store) -> None:
    with failing(real.address, Fault("POST", "", status(507), times=9)) as (address, proxy):
        target = opened(address).repository(f"{address}/{name}")
        with pytest.raises(OutOfReach, match=f"{address}/{name}.*disk is full.*507") as caught:
            push(store, make_image(store, []), target)
    assert caught.value.transient
    assert len([line for line in proxy.seen if line.startswith("POST")]) == 3


def test_retry_after_is_obeyed(real: RealRegistry, name: str, store: Store) -> None:
    waits: list[float] = []
    with failing(real.address, Fault("HEAD", "/manifests/", status(429, Retry_After="7"), times=2)) as (address, _):
        registries = opened(address, sleep=waits.append)
        push(store, make_image(store, []), registries.repository(f"{address}/{name}"))
    assert waits == [7.0, 7.0]


def test_a_wait_too_long_ends_the_run(real: RealRegistry, name: str) -> None:
    waits: list[float] = []
    with (
        failing(real.address, Fault("HEAD", "", status(429, Retry_After="86400"), times=9)) as (address, _),
        pytest.raises(OutOfReach, match=r"asks to wait 24 h \(run again after 20") as caught,
    ):
        opened(address, sleep=waits.append).repository(f"{address}/{name}").resolve("v1")
    assert not caught.value.transient
    assert waits == []


def test_a_blob_that_breaks_off_is_read_on_from_there(real: RealRegistry, name: str, store: Store) -> None:
    image = pushed(real, name, store)
    other = Store(store.folder.with_name("other"))
    with failing(real.address, Fault("GET", "/blobs/", cut_answer(1_000_000))) as (address, _proxy):
        done = pull(other, opened(address).repository(f"{address}/{name}"), image.digest, parallel=1)
    assert other.blobs.read(image.digest)
    assert done.moved < len(BIG) + 10_000


def test_a_copy_goes_on_when_its_source_breaks_off(real: RealRegistry, name: str, store: Store) -> None:
    image = pushed(real, name, store)
    fault = Fault("GET", "/blobs/", cut_answer(1_000_000))
    with failing(real.address, fault) as (address, _proxy):
        source = opened(address).repository(f"{address}/{name}")
        target = opened(real.address).repository(f"{real.address}/{name}-copy")
        done = copy(source, image.digest, target, parallel=1)
    assert fault.times == 0
    assert done.copied == 2
    assert target.resolve(image.digest).digest == image.digest


def test_an_altered_blob_is_refused_and_not_kept(real: RealRegistry, name: str, store: Store) -> None:
    image = pushed(real, name, store)
    other = Store(store.folder.with_name("other"))
    for fault in (altered, longer):
        with (
            failing(real.address, Fault("GET", "/blobs/", fault, times=9)) as (address, _proxy),
            pytest.raises(Damaged, match=f"{address}/{name}@sha256:") as caught,
        ):
            pull(other, opened(address).repository(f"{address}/{name}"), image.digest, parallel=1)
        assert not caught.value.transient
    assert not other.blobs.has(image.digest)
    assert not [path for path in other.folder.rglob("*") if path.is_file() and path.stat().st_size > 2_000_000]


def test_bytes_that_were_altered_on_their_way_are_asked_for_once_more(
    real: RealRegistry, name: str, store: Store
) -> None:
    image = pushed(real, name, store)
    other = Store(store.folder.with_name("other"))
    faults = [Fault("GET", "/blobs/", altered), Fault("GET", "/manifests/", longer)]
    with failing(real.address, *faults) as (address, _proxy):
        pull(other, opened(address).repository(f"{address}/{name}"), image.digest, parallel=1)
    assert [fault.times for fault in faults] == [0, 0]
    assert other.blobs.has(image.digest)


def test_a_wait_beyond_the_deadline_ends_at_once_and_says_when_to_come_back(real: RealRegistry, name: str) -> None:
    waits: list[float] = []
    fault = Fault("HEAD", "", status(429, Retry_After="120"), times=9)
    with failing(real.address, fault) as (address, proxy), pytest.raises(OutOfReach) as caught:
        registries = Registries(
            {"PATH": ""},
            [Registry("prod", address, "bob", Secret(USERS["bob"]))],
            retry=Retry(5, 0.01, 0.02, deadline=60.0),
            sleep=waits.append,
            clock=lambda: 0.0,
        )
        registries.repository(f"{address}/{name}").resolve("v1")
    assert re.search(
        r"it asks to wait 2 min, longer than may be waited: run again after \d\d:\d\d UTC", str(caught.value)
    )
    assert waits == []
    assert len([line for line in proxy.seen if line.startswith("HEAD")]) == 1


def test_an_upload_that_the_registry_forgot_begins_anew(real: RealRegistry, name: str, store: Store) -> None:
    image = make_image(store, [BIG], note=name)
    gone = status(404)
    with failing(real.address, Fault("PUT", "/blobs/uploads/", gone)) as (address, proxy):
        push(store, image, opened(address).repository(f"{address}/{name}"), parallel=1)
    assert len([line for line in proxy.seen if line.startswith("POST")]) == 3


def test_a_registry_that_takes_no_pieces_gets_the_blob_whole(real: RealRegistry, name: str, store: Store) -> None:
    image = make_image(store, [layer_bytes("huge", 33 << 20)], note=name)
    with failing(real.address, Fault("PATCH", "", status(405), times=9)) as (address, proxy):
        push(store, image, opened(address).repository(f"{address}/{name}"), parallel=1)
    assert [line.split()[0] for line in proxy.seen if "uploads/" in line].count("PATCH") == 1


def test_an_upload_goes_on_in_the_next_run(real: RealRegistry, name: str, store: Store) -> None:
    data = layer_bytes("large", 40 << 20)
    image = make_image(store, [data], note=name)
    pieces = itertools.count()

    def first_alone(exchange: Exchange, proxy: FaultyProxy) -> None:
        if next(pieces):
            exchange.cut()
        else:
            exchange.reply(*proxy.forward(exchange, exchange.body()))

    with failing(real.address, Fault("PATCH", "", first_alone, times=7)) as (address, proxy):
        target = opened(address).repository(f"{address}/{name}")
        with pytest.raises(OutOfReach):
            push(store, image, target, parallel=1)
        first = len(proxy.seen)
        done = push(store, image, opened(address).repository(f"{address}/{name}"), parallel=1)
    assert done.moved < len(data) - (15 << 20), "what the registry had is not sent again"
    assert "PATCH" in "".join(proxy.seen[first:])
    check = Store(store.folder.with_name("check"))
    pull(check, opened(real.address).repository(f"{real.address}/{name}"), image.digest)


def test_an_altered_image_manifest_is_refused(real: RealRegistry, name: str, store: Store) -> None:
    image = pushed(real, name, store)
    with (
        failing(real.address, Fault("GET", "/manifests/", altered, times=2)) as (address, _proxy),
        pytest.raises(Damaged, match="are not those of"),
    ):
        opened(address).repository(f"{address}/{name}").manifest(image.digest)


def heads(proxy: FaultyProxy, least: int) -> int:
    """How many there were: the proxy may read the last ones when nobody waits for their answers any more."""
    end = time.monotonic() + 60
    while (count := len([line for line in proxy.seen if line.startswith("HEAD")])) < least and time.monotonic() < end:
        time.sleep(0.01)
    return count


def test_a_silent_registry_is_given_up(real: RealRegistry, name: str) -> None:
    with failing(real.address, Fault("HEAD", "", silent, times=9)) as (address, proxy):
        target = opened(address, Http({}, read_timeout=0.05)).repository(f"{address}/{name}")
        with pytest.raises(OutOfReach, match=f"http://{address} does not answer: no answer in time"):
            target.resolve("v1")
        assert heads(proxy, 3) == 3


def test_a_registry_that_was_given_up_is_asked_once_until_it_answers(real: RealRegistry, name: str) -> None:
    fault = Fault("HEAD", "", silent, times=4)
    with failing(real.address, fault) as (address, proxy):
        target = opened(address, Http({}, read_timeout=0.05)).repository(f"{address}/{name}")
        for _ in range(2):
            with pytest.raises(OutOfReach):
                target.resolve("v1")
        assert heads(proxy, 3 + 1) == 3 + 1
        with pytest.raises(NotFound):
            opened(address).repository(f"{address}/{name}").resolve("v1")


def test_nobody_there() -> None:
    with served(lambda _exchange: None) as address:
        pass
    with pytest.raises(OutOfReach, match=f"http://{address} does not answer: .*refused") as caught:
        opened(address).repository(f"{address}/a").resolve("v1")
    assert caught.value.exit_code == 4


def test_a_proxy_that_takes_small_requests_only(real: RealRegistry, name: str, store: Store) -> None:
    data = layer_bytes("large", 20 << 20)
    image = make_image(store, [data], note=name)

    def limit(exchange: Exchange, proxy: FaultyProxy) -> None:
        if int(exchange.headers["Content-Length"]) > 16 << 20:
            status(413)(exchange, proxy)
        else:
            exchange.reply(*proxy.forward(exchange, exchange.body()))

    with failing(real.address, Fault("PUT", "/blobs/", limit, times=99)) as (address, proxy):
        push(store, image, opened(address).repository(f"{address}/{name}"))
    assert any(line.startswith("PATCH") for line in proxy.seen)


def test_a_blob_removed_behind_our_back_is_sent_again(real: RealRegistry, name: str, store: Store) -> None:
    """What is remembered of a repository saves requests only."""
    first = make_image(store, [BIG, layer_bytes("second")])
    registries = opened(real.address)
    target = registries.repository(f"{real.address}/{name}")
    push(store, first, target)
    real.forget(name, target.manifest(first.digest).blobs[1].digest)
    image = make_image(store, [BIG, layer_bytes("second"), layer_bytes("third")])
    done = push(store, image, opened(real.address).repository(f"{real.address}/{name}"))
    assert done.image == image
    assert {blob.digest for blob in target.manifest(image.digest).blobs if not target.has_blob(blob.digest)} == set()


def test_a_file_of_the_store_cut_short(real: RealRegistry, name: str, store: Store) -> None:
    from pipeline.registry.blobs import FromFile, upload

    digest = store.blobs.put(BIG)
    target = opened(real.address).repository(f"{real.address}/{name}")
    source = FromFile(store.blobs.path(digest), len(BIG))
    store.blobs.path(digest).write_bytes(BIG[:1000])
    session = target.start_upload()
    assert session is not None
    with pytest.raises(StoreError, match="it is short"):
        upload(target, Descriptor(LAYER, digest_of(BIG), len(BIG)), source, session)


def test_a_file_of_the_store_with_other_bytes_is_removed(real: RealRegistry, name: str, store: Store) -> None:
    bad, good = layer_bytes(f"bad {name}"), layer_bytes(f"good {name}")
    image = make_image(store, [bad, good], note=name)
    store.blobs.place(digest_of(bad)).write_bytes(good)
    with pytest.raises(StoreError, match="damaged on disk, and is set aside") as caught:
        push(store, image, opened(real.address).repository(f"{real.address}/{name}"))
    assert isinstance(caught.value, Lost)
    assert not store.blobs.has(digest_of(bad))
    assert store.blobs.has(digest_of(good))


def test_a_blob_that_the_store_lacks(real: RealRegistry, name: str, store: Store) -> None:
    image = make_image(store, [BIG], note=name)
    digest = opened(real.address) and next(
        path for path in store.blobs.folder.rglob("*") if path.stat().st_size == len(BIG)
    )
    digest.unlink()
    with pytest.raises(PipelineError, match="not in the store"):
        push(store, image, opened(real.address).repository(f"{real.address}/{name}"))


def test_the_user_stops_a_transfer(real: RealRegistry, name: str, store: Store) -> None:
    def stop(_count: int) -> None:
        raise Interrupted("interrupted")

    image = make_image(store, [BIG, layer_bytes("other")], note=name)
    with pytest.raises(Interrupted):
        push(store, image, opened(real.address).repository(f"{real.address}/{name}"), progress=stop)


def test_a_server_that_is_no_registry() -> None:
    with (
        served(lambda exchange: exchange.reply(404, {}, b"<html>nothing here</html>")) as address,
        pytest.raises(PipelineError, match=f"{address} is no registry"),
    ):
        opened(address).repository(f"{address}/a").resolve("v1")
    with (
        served(lambda exchange: exchange.reply(200, {}, b"<html>welcome</html>")) as address,
        pytest.raises(Refused, match="no image manifest"),
    ):
        opened(address).repository(f"{address}/a").manifest("v1")


def test_a_wrong_password_is_named_and_never_shown(real: RealRegistry, name: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        opened(real.address, password="wr0ng-word").repository(f"{real.address}/{name}").resolve("v1")
    error = caught.value
    assert real.address in str(error)
    assert "user 'bob' from registries.prod of the manifest" in str(error)
    assert "wr0ng-word" not in repr(error) + str(error) + repr(error.__dict__)
    assert not error.transient
    assert USERS["bob"] != "wr0ng-word"
