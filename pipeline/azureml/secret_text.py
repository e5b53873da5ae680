"""Secrets of Azure ML's files: kept in memory, and written as a reference to an environment variable."""

from __future__ import annotations

import re

from pipeline.manifest.model import Secret
from pipeline.manifest.secrets import names_a_secret, password_in, reveal

# Connection strings (Azure Storage, Service Bus, SQL) and shared access signatures (the `sig` of a query).
_CONNECTION = re.compile(
    r"(?:^|;)\s*(?:AccountKey|SharedAccessKey|SharedAccessSignature|Password|Pwd)\s*=\s*[^;\s]|[?&]sig=[^&\s]",
    re.IGNORECASE,
)
_VARIABLE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)(?::-[^}]*)?\}")


def is_reference(text: str) -> bool:
    """Whether a text only says where a secret is: ${env:NAME} or ${file:PATH}."""
    return re.fullmatch(r"\$\{(env|file):[^}]+\}", reveal(text)) is not None


def as_secret(text: str) -> str:
    """A Secret, unless it is a reference."""
    return text if is_reference(text) else Secret(reveal(text))


def reference(text: str, variable: str) -> str:
    """What stands for a secret in a file: the reference that it is, or one to `variable`."""
    return text if is_reference(text) else f"${{env:{variable}}}"


def variable_of(text: str) -> str:
    """The environment variable that a reference names, or nothing."""
    found = _VARIABLE.fullmatch(reveal(text))
    return found[1] if found else ""


def is_secret_variable(name: str, value: str) -> bool:
    """Whether an environment variable is called as secrets are, or holds one: an address with a password, a
    connection string, a shared access signature.
    """
    return names_a_secret(name) or bool(password_in(value)) or _CONNECTION.search(value) is not None
