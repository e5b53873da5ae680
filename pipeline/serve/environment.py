"""What the server's commands get of its environment: what every program needs, and what a repository is given."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.manifest.secrets import reveal
from pipeline.serve.model import Job
from pipeline.serve.settings import Repository

_NEEDED = """
PATH HOME USER LOGNAME SHELL LANG LANGUAGE TZ TMPDIR PIPELINE_HOME LD_LIBRARY_PATH PYTHONDONTWRITEBYTECODE
REQUESTS_CA_BUNDLE CURL_CA_BUNDLE SSL_CERT_FILE SSL_CERT_DIR HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY
DOCKER_HOST DOCKER_CONTEXT DOCKER_CONFIG DOCKER_CERT_PATH DOCKER_TLS_VERIFY DOCKER_API_VERSION CONTAINER_HOST KUBECONFIG
PIP_CONFIG_FILE UV_CONFIG_FILE UV_CACHE_DIR
"""
_NAMES = frozenset(_NEEDED.split())
"""No more of pip's and uv's: variables of theirs may hold the password of an index."""
_BEGINNINGS = ("LC_", "XDG_")
_LENGTH = 300
TRIGGER = "PIPELINE_TRIGGER"
"""Says in the journal what started a run (pipeline.stages.recording)."""


def environment(environ: Mapping[str, str], repository: Repository, job: Job | None = None) -> dict[str, str]:
    """For the commands of a job, or for one that only looks. Manifests get nothing else of the server's environment."""
    kept = {name: value for name, value in environ.items() if _is_kept(name)}
    given = {name: reveal(value) for name, value in repository.environment.items()}
    return {**kept, "NO_COLOR": "1", **given, **({TRIGGER: trigger(job)} if job else {})}


def _is_kept(name: str) -> bool:
    return name in _NAMES or name.startswith(_BEGINNINGS) or (name.islower() and name.upper() in _NAMES)


def trigger(job: Job) -> str:
    """What the journal is to say of the runs of a job: its number finds them again."""
    text = "".join(letter if letter.isprintable() else " " for letter in job.reason.text)
    return f"{trigger_of(job.id)}: {text[:_LENGTH]}"


def trigger_of(id_: int) -> str:
    return f"serve, job {id_}"


__all__ = ["TRIGGER", "environment", "trigger", "trigger_of"]
