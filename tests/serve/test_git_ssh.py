"""Git over SSH, by a real sshd: keys, host keys, refusals."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from gitmaker import Origin, cloned

from pipeline.errors import OutOfReach
from pipeline.manifest.model import Secret
from pipeline.serve.git.errors import Gone, Refused

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
pytestmark = pytest.mark.skipif(not SSHD, reason="sshd is not installed")

CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
PidFile {folder}/pid
AuthorizedKeysFile {folder}/authorized
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
"""


def key(path: Path) -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)], check=True)
    return path.with_name(f"{path.name}.pub").read_text()


class Sshd:
    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.host, user = key(folder / "host"), key(folder / "user")
        (folder / "authorized").write_text(user)
        self.key = Secret((folder / "user").read_text())
        self.known = f"[127.0.0.1]:{self.port} {' '.join(self.host.split()[:2])}\n"
        (folder / "config").write_text(CONFIG.format(port=self.port, folder=folder))
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        assert SSHD
        self._process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "config")], stderr=subprocess.PIPE)
        assert self._process.stderr
        line = b""
        while b"listening" not in line:
            line = self._process.stderr.readline()
            if not line:
                pytest.skip("sshd does not start here")

    def url(self, repository: Path) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{repository}"

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    made = Sshd(tmp_path / "sshd")
    yield made
    made.close()


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    made = Origin(tmp_path / "origin")
    made.commit({"manifests/a.yaml": "one"})
    return made


def test_commits_are_fetched_and_pushed_by_a_key(sshd: Sshd, origin: Origin, tmp_path: Path) -> None:
    clone = cloned(sshd.url(origin.folder), tmp_path / "state", ssh_key=sshd.key, known_hosts=sshd.known)
    tip = clone.tip()
    assert tip == origin.head
    with clone.at(tip, "a") as folder:
        (folder / "lock").write_text("l")
        made = clone.push(folder, ["lock"], "Lock", "proposed")
    assert origin.git("rev-parse", "proposed") == made
    kept = tmp_path / "state/git/models/key"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.parent.stat().st_mode & 0o777 == 0o700


def test_a_host_that_is_not_known_is_refused_with_the_remedy(sshd: Sshd, origin: Origin, tmp_path: Path) -> None:
    other = sshd.known.replace("127.0.0.1", "192.0.2.1")
    clone = cloned(sshd.url(origin.folder), tmp_path / "state", ssh_key=sshd.key, known_hosts=other)
    with pytest.raises(Refused, match=r"host key .* is not known") as refused:
        clone.tip()
    assert "ssh-keyscan" in refused.value.remedy


def test_a_host_with_another_key_than_before_is_refused(sshd: Sshd, origin: Origin, tmp_path: Path) -> None:
    other = key(tmp_path / "other").split()[1]
    known = f"[127.0.0.1]:{sshd.port} ssh-ed25519 {other}\n"
    clone = cloned(sshd.url(origin.folder), tmp_path / "state", ssh_key=sshd.key, known_hosts=known)
    with pytest.raises(Refused, match="another SSH host key"):
        clone.tip()


def test_a_key_that_is_not_let_in(sshd: Sshd, origin: Origin, tmp_path: Path) -> None:
    key(tmp_path / "stranger")
    stranger = Secret((tmp_path / "stranger").read_text())
    clone = cloned(sshd.url(origin.folder), tmp_path / "state", ssh_key=stranger, known_hosts=sshd.known)
    with pytest.raises(Refused, match="Permission denied"):
        clone.tip()


def test_a_repository_that_is_not_there(sshd: Sshd, tmp_path: Path) -> None:
    clone = cloned(sshd.url(tmp_path / "no"), tmp_path / "state", ssh_key=sshd.key, known_hosts=sshd.known)
    with pytest.raises(Gone):
        clone.tip()


def test_a_host_that_does_not_answer(sshd: Sshd, origin: Origin, tmp_path: Path) -> None:
    clone = cloned(sshd.url(origin.folder), tmp_path / "state", ssh_key=sshd.key, known_hosts=sshd.known)
    sshd.close()
    with pytest.raises(OutOfReach):
        clone.tip()
