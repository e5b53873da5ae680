"""The certificate bundle and OpenSSL's subject hashes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.assemble.deb_certs import certificates, subject_hash
from pipeline.assemble.deb_tree import Below, Tree

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def make(folder: Path, name: str, subject: str, *options: str) -> Path:
    path = folder / f"{name}.crt"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout"]
    command += [str(folder / "key"), "-out", str(path), "-subj", subject, "-utf8", *options]
    subprocess.run(command, check=True, capture_output=True)
    return path


def openssl_hash(path: Path) -> str:
    command = ["openssl", "x509", "-noout", "-subject_hash", "-in", str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@needs_openssl
@pytest.mark.parametrize(
    "subject", ["/CN=Plain", "/C=DE/O=  Two   Words /CN=UPPER lower", "/O=Ünïcode ÄÖ/CN=x", "/C=US/ST=A+L=B/CN=multi"]
)
def test_the_hash_is_openssls(tmp_path: Path, subject: str) -> None:
    path = make(tmp_path, "a", subject, "-multivalue-rdn") if "+" in subject else make(tmp_path, "a", subject)
    command = ["openssl", "x509", "-in", str(path), "-outform", "DER"]
    der = subprocess.run(command, check=True, capture_output=True).stdout
    assert f"{subject_hash(der):08x}" == openssl_hash(path)


@needs_openssl
def test_the_bundle_and_its_links(tmp_path: Path) -> None:
    one, two = make(tmp_path, "one", "/CN=Same"), make(tmp_path, "two", "/CN=same")
    folder = "usr/share/ca-certificates/mozilla"
    brought = {f"{folder}/One (x),y.crt": one.read_bytes(), f"{folder}/Two.crt": two.read_bytes()}
    found = {e.path: e for e in certificates(brought, Tree(Below()))}
    assert found["etc/ssl/certs/ca-certificates.crt"].source == one.read_bytes() + two.read_bytes()
    assert found["etc/ssl/certs/One_=x=_y.pem"].link == f"/{folder}/One (x),y.crt"
    digest = openssl_hash(one)
    assert [found[f"etc/ssl/certs/{digest}.{n}"].link for n in (0, 1)] == ["One_=x=_y.pem", "Two.pem"]
    assert found["etc/ca-certificates.conf"].source == b"mozilla/One (x),y.crt\nmozilla/Two.crt\n"


def test_no_certificates_no_bundle() -> None:
    assert list(certificates({"usr/share/ca-certificates/README": b"x"}, Tree(Below()))) == []


@pytest.mark.parametrize("der", [b"", b"\x30", b"\x30\x82\xff\xff", b"\x30\x02\x30\x00", b"\x04" * 40])
def test_what_is_no_certificate_has_no_hash(der: bytes) -> None:
    assert subject_hash(der) == 0
