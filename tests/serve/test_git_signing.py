"""Signed commits, by real ssh-keygen and gpg: whose signatures count, and what that keeps from being applied."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from gitmaker import ENVIRON, Origin, cloned
from watchlab import TWO_SOURCES, Lab, manifest

from pipeline.errors import UsageError
from pipeline.serve.settings import Signed
from pipeline.serve.watch import accept

needs_ssh = pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="ssh-keygen is not installed")
needs_gpg = pytest.mark.skipif(not shutil.which("gpg"), reason="gpg is not installed")


def signing(fmt: str, key: str, more: Mapping[str, str] | None = None) -> dict[str, str]:
    pairs = {"gpg.format": fmt, "user.signingKey": key, "commit.gpgSign": "true", **(more or {})}
    env = {"GIT_CONFIG_COUNT": str(len(pairs))}
    for number, (name, value) in enumerate(pairs.items()):
        env |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return env


def ssh_key(folder: Path, name: str) -> tuple[str, dict[str, str]]:
    """A line of allowed signers, and what makes commits be signed by it."""
    path = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)], check=True)
    kind, public = path.with_suffix(".pub").read_text().split()[:2]
    return f"{name}@example.com {kind} {public}\n", signing("ssh", str(path))


def gpg_key(folder: Path, name: str) -> tuple[str, dict[str, str]]:
    """A certificate, and what makes commits be signed by it."""
    home = folder / f"home-{name}"
    home.mkdir(mode=0o700)
    env = {**ENVIRON, "GNUPGHOME": str(home), "HOME": str(home)}
    words = ["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]
    user = f"{name} <{name}@example.com>"
    subprocess.run([*words, "--quick-generate-key", user, "ed25519", "sign"], env=env, check=True, capture_output=True)
    public = subprocess.run(["gpg", "--armor", "--export", user], env=env, check=True, capture_output=True, text=True)
    return public.stdout, {**signing("openpgp", user), "GNUPGHOME": str(home)}


def stop_agents(folder: Path) -> None:
    for home in folder.glob("home-*"):
        subprocess.run(["gpgconf", "--kill", "all"], env={**ENVIRON, "GNUPGHOME": str(home)}, check=False)


@needs_ssh
def test_whose_ssh_signatures_count(tmp_path: Path) -> None:
    origin = Origin(tmp_path / "origin")
    line, ada = ssh_key(tmp_path, "ada")
    _, eve = ssh_key(tmp_path, "eve")
    (tmp_path / "signers").write_text(line)
    clone = cloned(origin.folder, tmp_path / "state", signed=Signed(ssh=str(tmp_path / "signers")))
    first = origin.commit({"a": "1"}, **ada)
    plain, foreign, last = origin.commit({"a": "2"}), origin.commit({"a": "3"}, **eve), origin.commit({"a": "4"}, **ada)
    clone.fetch(last)
    assert clone.signer(first) == "ada@example.com"
    assert clone.signers(first, last) == [(last, "ada@example.com"), (foreign, ""), (plain, "")]


@needs_ssh
@needs_gpg
def test_whose_openpgp_signatures_count(tmp_path: Path) -> None:
    origin = Origin(tmp_path / "origin")
    certificate, ada = gpg_key(tmp_path, "ada")
    _, eve = gpg_key(tmp_path, "eve")
    _, by_ssh = ssh_key(tmp_path, "mallory")
    second, bob = gpg_key(tmp_path, "bob")
    (tmp_path / "keys.asc").write_text(f"Ada's\n{certificate}\nBob's\n{second}")
    clone = cloned(origin.folder, tmp_path / "state", signed=Signed(openpgp=str(tmp_path / "keys.asc")))
    first, foreign, other = origin.commit({}, **ada), origin.commit({}, **eve), origin.commit({}, **by_ssh)
    clone.fetch(other)
    assert clone.signer(first).startswith("ada")
    assert clone.signers(first, other) == [(other, ""), (foreign, "")]
    last = origin.commit({}, **bob)
    clone.fetch(last)
    assert clone.signer(last).startswith("bob")
    stop_agents(tmp_path)


@needs_gpg
def test_a_file_that_holds_no_certificates(tmp_path: Path) -> None:
    origin = Origin(tmp_path / "origin")
    tip = origin.commit({})
    (tmp_path / "keys.asc").write_text("nothing")
    clone = cloned(origin.folder, tmp_path / "state", signed=Signed(openpgp=str(tmp_path / "keys.asc")))
    clone.fetch(tip)
    with pytest.raises(UsageError, match="no OpenPGP certificates"):
        clone.signer(tip)


@needs_ssh
def test_a_commit_changed_after_it_was_signed_does_not_count(tmp_path: Path) -> None:
    origin = Origin(tmp_path / "origin")
    line, ada = ssh_key(tmp_path, "ada")
    (tmp_path / "signers").write_text(line)
    signed = origin.commit({"a": "1"}, "Good", **ada)
    text = origin.git("cat-file", "commit", signed).replace("Good", "Evil")
    forged = origin.git("hash-object", "-t", "commit", "-w", "--stdin", input=f"{text}\n")
    origin.git("reset", "--hard", "--quiet", forged)
    clone = cloned(origin.folder, tmp_path / "state", signed=Signed(ssh=str(tmp_path / "signers")))
    clone.fetch(forged)
    assert clone.signer(forged) == ""


@needs_ssh
def test_what_nobody_signed_is_not_applied_until_somebody_accepts_it(tmp_path: Path) -> None:
    line, ada = ssh_key(tmp_path, "ada")
    (tmp_path / "signers").write_text(line)
    lab = Lab(tmp_path, signed=Signed(ssh=str(tmp_path / "signers")))
    good = lab.origin.commit({"manifests/a.yaml": manifest("a"), **TWO_SOURCES}, **ada)
    assert lab.look().state == "ok"
    lab.finish()
    lab.commit({"src/x": "evil"})
    assert (lab.look().state, lab.book.repository("models").applied) == ("unsigned", good)
    # Somebody who did not notice goes on from it: his signature does not speak for what lies below.
    tip = lab.origin.commit({"README.md": "x"}, **ada)
    status = lab.look()
    assert (status.state, status.applied) == ("unsigned", good)
    assert lab.jobs() == []
    accept(lab.book, "models", tip)
    assert lab.look().applied == tip
    assert lab.jobs() == ["run manifests/a.yaml"]


@needs_ssh
def test_a_signed_merge_speaks_for_what_it_merges(tmp_path: Path) -> None:
    line, ada = ssh_key(tmp_path, "ada")
    (tmp_path / "signers").write_text(line)
    lab = Lab(tmp_path, signed=Signed(ssh=str(tmp_path / "signers")))
    lab.origin.commit({"manifests/a.yaml": manifest("a"), **TWO_SOURCES}, **ada)
    lab.look()
    lab.origin.git("checkout", "--quiet", "-b", "feature")
    lab.commit({"src/x": "better"})
    lab.origin.git("checkout", "--quiet", "main")
    lab.origin.git("merge", "--quiet", "--no-ff", "-m", "Merge", "feature", env=ada)
    assert lab.look().state == "ok"


@needs_ssh
def test_a_merge_that_nobody_signed_is_not_applied(tmp_path: Path) -> None:
    line, ada = ssh_key(tmp_path, "ada")
    (tmp_path / "signers").write_text(line)
    lab = Lab(tmp_path, signed=Signed(ssh=str(tmp_path / "signers")))
    lab.origin.commit({"manifests/a.yaml": manifest("a"), **TWO_SOURCES}, **ada)
    lab.look()
    lab.origin.git("checkout", "--quiet", "-b", "feature")
    lab.origin.commit({"src/x": "better"}, **ada)
    lab.origin.git("checkout", "--quiet", "main")
    lab.origin.git("merge", "--quiet", "--no-ff", "-m", "Merge", "feature")
    assert lab.look().state == "unsigned"
