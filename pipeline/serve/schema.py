"""The JSON Schema (Draft 2020-12) of the server's config file; `python -m pipeline.serve.schema` prints it.

It uses the words of the manifest's: `writeOnly` for a secret, `x-secret-ok` for what may hold one, `x-hint` for what
would be right, `x-noun` for what a mapping's keys name.
"""

from __future__ import annotations

from typing import Any, cast

from pipeline.manifest.schema import admit_references
from pipeline.manifest.sections import entries
from pipeline.manifest.shapes import DURATION, Schema, mapping

TOLD = ("failed", "recovered", "done", "proposed", "approval", "drift", "repository")
"""What messages can be about."""
_SECRET_HINT = "a secret: give it as ${env:NAME} or ${file:PATH}"
_ROLES = ["look", "act"]
_PORT = "[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
_VARIABLE = r"^(?!PIPELINE_)[A-Za-z_][A-Za-z0-9_]*$"
_VARIABLE_HINT = "the name of an environment variable, as in REGISTRY_PASSWORD; PIPELINE_… are the server's own"


def schema() -> Schema:
    """The whole schema, for editors: it admits `${...}` wherever the file does."""
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings of pipeline serve",
        "description": "What the server watches, what it does by itself, who may come in, and whom it tells.",
    }
    return {**head, **cast(Schema, admit_references(settings()))}


def settings() -> Schema:
    """The schema that data must meet once its references are replaced."""
    return {
        "type": "object",
        "required": ["version", "repositories"],
        "additionalProperties": False,
        "patternProperties": {"^x-": {"description": "Anything: a place for YAML anchors."}},
        "properties": {
            "version": {"type": "integer", "const": 1, "description": "Version of the file's format: 1."},
            "url": _url("How people reach the server; links in statuses and messages begin with it."),
            "listen": _listen(),
            "runs": {
                "type": "integer",
                "minimum": 1,
                "maximum": 64,
                "default": 2,
                "description": "How many jobs are done at a time.",
            },
            "keep": {
                "type": ["integer", "string"],
                "minimum": 1,
                "pattern": r"^[0-9]+d?$",
                "default": "90d",
                "x-hint": "days, as in 90d",
                "description": "How long jobs that have ended are kept, with their logs.",
            },
            "repositories": {
                **entries("repository", repository(), "The watched repositories, by name."),
                "minProperties": 1,
            },
            "messages": entries("message", message(), "Whom to tell, by name."),
            "access": access(),
            "traces": _url("An OTLP endpoint (HTTP) for traces of jobs."),
        },
    }


def _listen() -> Schema:
    return {
        "type": "string",
        "pattern": rf"^(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+):({_PORT})$",
        "default": "127.0.0.1:8800",
        "x-hint": "address:port, as in 127.0.0.1:8800 or [::1]:8800; ports end with 65535",
        "description": "Where it listens; port 0 takes a free one.",
    }


def repository() -> Schema:
    return mapping("A watched repository.", {**_where(), **_credentials(), **_policies()}, ("url",))


def _where() -> Schema:
    folder = {"type": "string", "minLength": 1, "pattern": r"^(?!/)(?!.*(^|/)\.\.(/|$)).+$"}
    return {
        "url": {
            "type": "string",
            "minLength": 1,
            "examples": ["https://git.example.com/acme/models.git"],
            "description": "Its address: https://, ssh://, user@host:path, or a path of this machine.",
        },
        "branch": _text("The branch that is applied.", minLength=1, default="main"),
        "folders": {
            "type": "array",
            "items": {**folder, "x-hint": "a folder of the repository, as in manifests; '.' is all of it"},
            "minItems": 1,
            "uniqueItems": True,
            "default": ["manifests"],
            "description": "Where its manifests are (*.yaml, *.yml, in folders below, too).",
        },
        "poll": {**DURATION, "default": "60s", "description": "How often it is asked for new commits; 5s at least."},
        "host": mapping(
            "The API of its host: commit statuses, comments, pull requests, webhooks.",
            {
                "kind": {
                    "enum": ["github", "gitlab", "gitea", "azure-devops"],
                    "description": "Whose API it is; known by itself for github.com, gitlab.com and dev.azure.com.",
                },
                "api": _url("The API's root; by default that of the repository's host."),
                "project": _text("The repository's name there; by default what its address says.", minLength=1),
                "token": _secret("For the API; for Git over HTTPS, too, where the repository has no token of its own."),
                "webhook_secret": _secret("What webhooks are signed with."),
            },
        ),
    }


def _credentials() -> Schema:
    files = {
        "ssh": _text("Keys that count: a file of allowed signers (ssh-keygen(1))."),
        "openpgp": _text("Keys that count: a file of OpenPGP certificates."),
    }
    return {
        "username": _text("Who signs in for Git over HTTPS.", **{"x-secret-ok": True}),
        "token": _secret("Password or token for Git over HTTPS."),
        "ssh_key": _secret("A private key (its text) for Git over SSH."),
        "known_hosts": _text("Host keys for Git over SSH: lines as in known_hosts.", **{"x-secret-ok": True}),
        "signed": {
            **mapping("Apply only commits that are signed by these keys. The files are the server's own.", files),
            "minProperties": 1,
            "maxProperties": 1,
        },
        "environment": {
            "type": ["array", "object"],
            "items": {"type": "string", "pattern": _VARIABLE, "x-hint": _VARIABLE_HINT},
            "propertyNames": {"pattern": _VARIABLE, "x-hint": _VARIABLE_HINT, "x-noun": "variable"},
            "additionalProperties": {"type": ["string", "number", "boolean"], "x-secret-ok": True},
            "examples": [["REGISTRY", "REGISTRY_PASSWORD"]],
            "description": "What its manifests may read: names of the server's own variables, or names with values.",
        },
    }


def _policies() -> Schema:
    look = {**DURATION, "default": "10m", "description": "How often each service is looked at; 0 for never."}
    return {
        "rebuild": {
            "enum": ["propose", "apply"],
            "default": "propose",
            "description": "What becomes of a lock that came out otherwise: a branch and a pull request, or a run and "
            "a commit to the watched branch.",
        },
        "bases": {
            **DURATION,
            "default": 0,
            "description": "How often the digests behind base tags are looked up; 0 for never.",
        },
        "drift": mapping(
            "What others changed of a service.",
            {
                "look": look,
                "do": {
                    "enum": ["report", "mend"],
                    "default": "report",
                    "description": "Say so, or run the manifest again.",
                },
            },
        ),
        "approve": _flag("Whether commits wait for somebody's word before they are run."),
        "submodules": _flag("Whether submodules are checked out for its manifests.", True),
        "prune": _flag("Whether the services of a manifest that was deleted are stopped."),
        "pull_requests": mapping(
            "Pull requests into the branch.",
            {
                "plan": _flag("Whether each gets its plan, as a comment.", True),
                "forks": _flag("Whether those from other repositories do; their manifests can read `environment`."),
            },
        ),
    }


def message() -> Schema:
    on = {
        "type": "array",
        "items": {"enum": [*TOLD]},
        "minItems": 1,
        "uniqueItems": True,
        "default": [name for name in TOLD if name != "done"],
        "description": "What is told.",
    }
    return mapping(
        "Somebody to tell: one of webhook, slack and teams.",
        {
            "webhook": _secret("A URL that gets JSON; it may hold a secret."),
            "slack": _secret("The URL of a Slack incoming webhook: a secret."),
            "teams": _secret("The URL of a Teams workflow: a secret."),
            "on": on,
            "secret": _secret("What a webhook's body is signed with."),
        },
    )


def access() -> Schema:
    return mapping(
        "Who may come in. On loopback, without any of it, everybody may look and act.",
        {
            "tokens": entries("token", _token(), "Bearer tokens, by name."),
            "oidc": _oidc(),
            "tls": _tls(),
            "proxy": _proxy(),
            "metrics": {
                "enum": ["look", "loopback"],
                "default": "look",
                "description": "Who may read /metrics: who may look, or, too, whatever asks from this machine.",
            },
        },
    )


def _token() -> Schema:
    parts = {"role": _role("What it allows."), "token": _secret("The token.")}
    return mapping("A token, for the API and for signing in.", parts, ("role", "token"))


def _tls() -> Schema:
    certificate = _text("A file with the certificate and its chain (PEM).", minLength=1)
    key = _text("A file with the private key (PEM).", minLength=1)
    return mapping("Serve HTTPS itself.", {"certificate": certificate, "key": key}, ("certificate", "key"))


def _proxy() -> Schema:
    address = {"type": "string", "minLength": 1, "examples": ["10.0.0.0/8"]}
    parts = {
        "addresses": {"type": "array", "items": address, "minItems": 1, "description": "Its addresses (CIDR)."},
        "user": _text("The header in which it says who has signed in there.", minLength=1),
        "role": _role("What such a user may do."),
    }
    return mapping("A reverse proxy before it, whose X-Forwarded-… count.", parts, ("addresses",))


def _oidc() -> Schema:
    groups = {"type": "array", "items": {"type": "string", "minLength": 1}}
    return mapping(
        "Sign-in by OpenID Connect.",
        {
            "issuer": _url("The provider: a URL with a discovery document."),
            "client_id": _text("The server's name there.", minLength=1),
            "client_secret": _secret("The server's password there."),
            "claim": _text("The claim that has a user's groups.", minLength=1, default="groups"),
            "act": {**groups, "description": "Groups that may act."},
            "look": {**groups, "description": 'Groups that may look; "*" for everybody who can sign in.'},
        },
        ("issuer", "client_id", "client_secret"),
    )


def _text(description: str, **more: Any) -> Schema:
    return {"type": "string", "description": description, **more}


def _url(description: str) -> Schema:
    return _text(description, pattern=r"^https?://[^\s/?#]+[^\s?#]*$", **{"x-hint": "a URL, as in https://example.com"})


def _secret(description: str) -> Schema:
    return _text(description, writeOnly=True, minLength=1, **{"x-hint": _SECRET_HINT})


def _flag(description: str, default: bool = False) -> Schema:
    return {"type": "boolean", "default": default, "description": description}


def _role(description: str) -> Schema:
    return {"enum": _ROLES, "description": f"{description} look: read; act: run, roll back, approve, too."}


def text() -> str:
    """The schema as a file."""
    import json

    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Prints the schema, as it is kept in `schemas/serve.schema.json`."""
    print(text(), end="")


__all__ = ["TOLD", "access", "message", "repository", "schema", "settings", "text"]


if __name__ == "__main__":
    main()
