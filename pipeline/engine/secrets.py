"""Hands secrets to a command through its standard input, so that they are on no disk and in no engine's records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SECRETS = "/run/secrets"

# For each secret a line with its name, one with its number of lines, then those; an empty name ends the list.
_SCRIPT = f"""\
mask=$(umask); umask 077
while IFS= read -r name && [ -n "$name" ]; do
  IFS= read -r count; : > "{SECRETS}/$name"
  number=0
  while [ $number -lt $count ]; do
    IFS= read -r line
    [ $number -eq 0 ] || echo >> "{SECRETS}/$name"
    printf %s "$line" >> "{SECRETS}/$name"
    number=$((number + 1))
  done
done
umask $mask
exec "$@" < /dev/null
"""


def script(argv: Sequence[str]) -> list[str]:
    """The command that writes the secrets below /run/secrets and then becomes `argv`; it needs a POSIX shell."""
    return ["/bin/sh", "-c", _SCRIPT, "sh", *argv]


def stdin(secrets: Mapping[str, str]) -> bytes:
    """What that command is to read: each secret as it is, without a newline added. No secret may hold a NUL."""
    parts = [f"{name}\n{len(text.split(chr(10)))}\n{text}\n" for name, text in secrets.items()]
    return ("".join(parts) + "\n").encode()
