"""Which values are secret, and how they are kept out of what people see."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.manifest.findings import Finding
from pipeline.manifest.model import Path_, Secret

# Word ends, so that TOKENIZERS_PARALLELISM and PWD, which tools set, stay plain.
_NAME = re.compile(
    r"(?:PASSWORD|PASSWD|PASSPHRASE|SECRETS?|TOKEN|API[_-]?KEY|PRIVATE[_-]?KEY|ACCESS[_-]?KEY|CREDENTIALS?)[0-9]*(?![A-Z0-9])"
    r"|(?:^|[_-])PASS(?![A-Z0-9])|[_-]PWD(?![A-Z0-9])",
    re.IGNORECASE,
)
_KEY = re.compile(r"([A-Za-z_][\w-]*)[\"']?\s*:\s+")
_REFERENCE = re.compile(r"[\"']?\$\{[^}]*\}[\"']?\s*(?:[,}#]|$)")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^/@\s:]*:([^/@\s]+)@", re.IGNORECASE)


def names_a_secret(name: str) -> bool:
    """Whether a variable or a file is called as secrets are."""
    return bool(_NAME.search(name))


def secret_column(line: str) -> int | None:
    """Where, from 0, a line of a manifest goes on after a key that is called as secrets are, if it is not a reference.

    For text that cannot be parsed, and so has no values that could be marked.
    """
    for key in _KEY.finditer(line):
        if names_a_secret(key.group(1)) and not _REFERENCE.match(line, key.end()):
            return key.end()
    return None


def password_in(text: str) -> str:
    """The password of a URL that holds one, else nothing."""
    found = _URL.search(text) if "://" in text else None
    return found.group(1) if found else ""


def reveal(text: str) -> str:
    """Plain text, whether secret or not."""
    return text.reveal() if isinstance(text, Secret) else text


def mask(text: str, secrets: Iterable[str]) -> str:
    """`text` with *** in place of every secret, the longest first."""
    for secret in sorted({reveal(s) for s in secrets}, key=len, reverse=True):
        if secret:
            text = text.replace(secret, "***")
            if "\n" in secret:
                for line in secret.splitlines():
                    text = text.replace(line, "***") if line.strip() else text
    return text


def without_secrets(value: Any) -> Any:
    """JSON data with every secret blanked out, to be hashed or shown."""
    if isinstance(value, Secret):
        return "***"
    if isinstance(value, dict):
        return {key: without_secrets(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_secrets(item) for item in value]
    return value


# An address; or a line for pip that has one: --extra-index-url ADDRESS, name @ ADDRESS.
_ADDRESS = re.compile(
    r"(?:(?:--(?:extra-)?index-url|--find-links|-[if])[ =]\s*|[\w.-]+(?:\[[^\]]*\])?\s*@\s*)?[A-Za-z][A-Za-z0-9+.-]*://"
)


def out_of_place(path: Path_, value: str, schemas: Sequence[Mapping[str, Any]]) -> Finding | None:
    """A secret that would get into an image, a name or onto the screen. A package index's URL may hold one, and so may
    what a target gives to its service.
    """
    if not isinstance(value, Secret) or not value.reveal():
        return None
    if any(schema.get("writeOnly") or schema.get("x-secret-ok") for schema in schemas):
        return None
    section = path[0] if path else ""
    if section in ("bases", "layers") and _ADDRESS.match(value.reveal()):
        return None
    if section == "targets" and "env" in path[3:]:
        return None
    keys = [str(key) for key in path if isinstance(key, str)]
    where = f"'{keys[-1]}'" if keys else "the manifest"
    if section == "images":
        message, remedy = f"a secret would be baked into the image by {where}", "give it to the target's env"
    else:
        message, remedy = f"a secret would be shown or kept by {where}", "give this setting a value that is not secret"
    return Finding(path, message, remedy)
