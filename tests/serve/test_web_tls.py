"""The server's own certificate: files that cannot be used are told before anything starts, renewed ones are used."""

from __future__ import annotations

import io
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from test_web_listen import certified

from pipeline.cli._door import run
from pipeline.errors import UsageError
from pipeline.serve.settings import Access
from pipeline.serve.web.tls import Renewal, check


def of(files: tuple[Path, Path]) -> Access:
    return Access(certificate=files[0], key=files[1])


def test_a_pair_can_be_used(tmp_path: Path) -> None:
    check(of(certified(tmp_path)))
    check(Access())


def encrypted(key: Path) -> Path:
    made = serialization.load_pem_private_key(key.read_bytes(), None)
    hidden = serialization.BestAvailableEncryption(b"abc")
    pem = made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden)
    path = key.with_name("hidden.key")
    path.write_bytes(pem)
    return path


def test_what_cannot_be_used_is_told(tmp_path: Path) -> None:
    (certificate, key), other = certified(tmp_path / "one"), certified(tmp_path / "two")
    (empty := tmp_path / "empty").write_bytes(b"")
    for pair, why in (
        ((certificate, other[1]), "do not belong together"),
        ((key, certificate), "no PEM"),
        ((certificate, empty), "no PEM"),
        ((certificate, encrypted(key)), "is encrypted"),
        ((certificate, tmp_path / "none"), "No such file"),
    ):
        with pytest.raises(UsageError, match=why):
            check(of(pair))


def test_a_check_of_the_settings_tells_it(tmp_path: Path) -> None:
    certified(tmp_path / "one"), certified(tmp_path / "two")
    (tmp_path / "repo").mkdir()
    text = (
        "version: 1\nrepositories: {models: {url: repo}}\naccess: {tls: {certificate: one/tls.crt, key: two/tls.key}}\n"
    )
    (tmp_path / "serve.yaml").write_text(text)
    error = io.StringIO()
    environ = {"HOME": str(tmp_path)}
    assert run(["serve", str(tmp_path / "serve.yaml"), "--check"], environ=environ, out=error, err=error) == 2
    assert "do not belong together" in error.getvalue()


class Wire:
    """Two ends of TLS without a network: the certificate that a server would show now."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    def shown(self) -> bytes:
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
        client, server = trusting.wrap_bio(down, up), self._context.wrap_bio(up, down, server_side=True)
        for end in (client, server, client):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
        return client.getpeercert(binary_form=True) or b""


def test_a_renewed_certificate_is_used_once_it_is_whole(tmp_path: Path) -> None:
    files, other = certified(tmp_path), certified(tmp_path / "new")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    said: list[str] = []
    renewal, wire = Renewal(context, of(files), said.append), Wire(context)
    first = wire.shown()
    renewal.look()
    assert first and said == []
    other[0].replace(files[0])
    renewal.look()
    assert wire.shown() == first and "stays as it was" in said[0]
    other[1].replace(files[1])
    renewal.look()
    renewal.look()
    assert wire.shown() != first and said[1:] == ["the certificate was renewed"]
