"""Whose signatures commits have, of those that count: SSH by allowed signers, OpenPGP by certificates of a file."""

from __future__ import annotations

import os
import shutil
from hashlib import sha256
from pathlib import Path

from pipeline import programs
from pipeline.errors import UsageError
from pipeline.serve.git.command import Command
from pipeline.serve.settings import Signed

_GOOD = "G"
"""git-log(1), PRETTY FORMATS, %G?: a good signature of a key that counts, neither expired nor revoked."""


class Signers:
    """Checks commits' signatures. `folder` is for the keys."""

    def __init__(self, git: Command, signed: Signed | None, folder: Path) -> None:
        self._git, self._signed, self._folder = git, signed, folder

    def of(self, old: str, new: str) -> list[tuple[str, str]]:
        """(commit, whose signature, or nothing) of the commits that led from one to the other along the branch itself,
        the newest first; of the newest alone where `old` is empty.
        """
        signed = self._signed or Signed()
        env = {"GNUPGHOME": str(self._keys(signed.openpgp))} if signed.openpgp else {}
        # What is not set must verify nothing: not by the user's keyring, and not by gpgsm.
        programs_ = ["-c", "gpg.x509.program=false", *([] if signed.openpgp else ["-c", "gpg.program=false"])]
        programs_ += ["-c", f"gpg.ssh.allowedSignersFile={signed.ssh or os.devnull}"]
        which = ["--first-parent", f"{old}..{new}"] if old else ["-1", new]
        said = self._git.local(*programs_, "log", "--format=%H%x00%G?%x00%GS", *which, env=env)
        found = []
        for line in said.lines:
            commit, state, name = line.split("\0")
            found.append((commit, (name or "a key that counts") if state == _GOOD else ""))
        return found

    def _keys(self, file: str) -> Path:
        """A GnuPG home with the certificates of a file, all of them trusted; made once for what the file holds."""
        try:
            data = Path(file).read_bytes()
        except OSError as error:
            remedy = "see `signed:` in the server's settings"
            raise UsageError(f"the certificates {file} cannot be read: {error.strerror}", remedy=remedy) from None
        home = self._folder / f"gnupg-{sha256(data).hexdigest()[:12]}"
        if not (home / "made").exists():
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir(parents=True, mode=0o700)
            # A keyring as it is (gpg(1), --keyring): to import it would want an agent, which nobody needs here.
            (home / "keys.gpg").write_bytes(b"".join(self._plain(block) for block in _blocks(data)))
            options = f"no-default-keyring\nkeyring {home / 'keys.gpg'}\ntrust-model always\nno-autostart\n"
            (home / "gpg.conf").write_text(f"{options}no-auto-key-retrieve\nno-auto-check-trustdb\n", encoding="utf-8")
            if b"\npub:" not in b"\n" + self._gpg(home, b"", "--with-colons", "--list-keys"):
                remedy = "export them with 'gpg --armor --export KEY'"
                raise UsageError(f"{file} holds no OpenPGP certificates", remedy=remedy)
            (home / "made").touch()
        return home

    def _plain(self, block: bytes) -> bytes:
        return self._gpg(None, block, "--dearmor") if block.startswith(_BEGIN) else block

    def _gpg(self, home: Path | None, data: bytes, *words: str) -> bytes:
        env = {**self._git.environ, **({"GNUPGHOME": str(home)} if home else {})}
        try:
            return programs.run_bytes(["gpg", "--batch", "--no-tty", "--quiet", *words], input=data, env=env).stdout
        except FileNotFoundError:
            raise UsageError("the program gpg is not there", remedy="install gnupg, or sign by SSH keys") from None


_BEGIN = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"


def _blocks(data: bytes) -> list[bytes]:
    """Armored certificates one by one (RFC 9580, 6.2), or what is not armored as it is."""
    if _BEGIN not in data:
        return [data]
    return [_BEGIN + block for block in data.split(_BEGIN)[1:]]


__all__ = ["Signers"]
