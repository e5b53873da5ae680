"""The JSON Schema of the manifest's own sections: everything but the settings of kinds."""

from __future__ import annotations

from typing import Any

from pipeline.manifest import azure, requires
from pipeline.manifest.shapes import DURATION as _DURATION
from pipeline.manifest.shapes import Schema
from pipeline.manifest.shapes import mapping as _object

NAME = r"^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$"
_NAME_HINT = "lower-case letters and digits, with '-', '_' or '.' between them, as in my-model"
_TEXT_OR_NUMBER = {"type": ["string", "integer"]}


def name(description: str) -> Schema:
    return {"type": "string", "pattern": NAME, "maxLength": 63, "x-hint": _NAME_HINT, "description": description}


def entries(noun: str, entry: Schema, description: str) -> Schema:
    return {
        "type": "object",
        "description": description,
        "propertyNames": {"pattern": NAME, "maxLength": 63, "x-hint": _NAME_HINT, "x-noun": noun},
        "additionalProperties": entry,
    }


def _list(description: str, item: Schema, **more: Any) -> Schema:
    return {"type": "array", "description": description, "items": item, **more}


def _text(description: str, **more: Any) -> Schema:
    return {"type": "string", "description": description, **more}


def _size(description: str) -> Schema:
    return {
        "type": ["integer", "string"],
        "minimum": 1,
        "pattern": r"^[0-9]+(\.[0-9]+)? ?([kKMGT]i?)?B?$",
        "x-hint": "bytes, or a text such as 600MB or 1.5GiB",
        "description": description,
    }


def registry() -> Schema:
    address = _text("Host, port and path prefix, as in registry.example.com/ml.", minLength=1)
    address |= {"pattern": r"^[A-Za-z0-9.\[\]:-]+(/[a-z0-9._/-]+)?$", "x-hint": "host[:port][/path], without https://"}
    return _object(
        "An OCI registry.",
        {
            "address": {**address, "examples": ["registry.example.com/ml"]},
            "username": _text("Who signs in.", **{"x-secret-ok": True}),
            "password": _text("A secret: give it as ${env:NAME} or ${file:PATH}.", writeOnly=True),
            "ca": _text("A file of certificate authorities (PEM) to trust for it.", format="project-path"),
            "insecure": {
                "type": "boolean",
                "default": False,
                "description": "Use plain HTTP, not encrypted. A loopback address needs no such word.",
            },
            "compression": {
                "enum": ["auto", "zstd", "gzip"],
                "default": "auto",
                "description": "Of the layers pushed there: zstd where all readers are containerd 1.5, Docker 23 or "
                "later; auto: gzip, and a base image's own as they are.",
            },
            "azure": azure.sign_in(),
        },
    )


def build() -> Schema:
    engine = {"enum": ["auto", "docker", "podman", "none", "acr"], "default": "auto"}
    network = {"enum": ["default", "host", "none"], "default": "default"}
    bundle = "Certificates to trust while commands run: this machine's (auto), none, or a file; not left in the image."
    return _object(
        "How commands are executed.",
        {
            "engine": {
                **engine,
                "description": "The container engine; auto takes Docker, then Podman. acr: Azure builds Dockerfiles.",
            },
            "registry": _text("The name of the registry that builds, for `engine: acr`.", examples=["prod"]),
            "remote": azure.remote_build(),
            "network": {
                **network,
                "description": "The network of commands: the engine's own, this machine's, or none.",
            },
            "ca_bundle": _text(bundle, minLength=1, default="auto", examples=["auto", "/etc/ssl/corporate.pem"]),
            "layers": _budget(),
        },
    )


def _budget() -> Schema:
    """How entries are divided into layers (oci.budget); overlayfs and Docker take 127 of them."""

    def count(description: str, most: int, default: int) -> Schema:
        return {"type": "integer", "minimum": 1, "maximum": most, "default": default, "description": description}

    return _object(
        "How packages and files are divided into OCI layers.",
        {
            "own": {**_size("From this size on, a package or file has a layer of its own."), "default": "2MiB"},
            "group": {**_size("About the size of the layers that smaller ones share."), "default": "2MiB"},
            "parts": count("Most layers of one entry, its bytecode apart; 1: all in one.", 100, 30),
            "size": {**_size("Largest layer in a registry, where many refuse more than 8 to 10 GB."), "default": "8GB"},
            "number": count("Most layers of an image, its base included.", 127, 120),
        },
    )


def cache() -> Schema:
    def switch(description: str) -> Schema:
        return {"type": "boolean", "default": True, "description": description}

    return _object(
        "Where layers and what became of them are shared with other machines.",
        {
            "registry": _text("The name of a registry.", examples=["prod"]),
            "repository": _repository("Below the registry's address.", "ml/cache", default="cache"),
            "read": switch("Take from there what is not in this machine's store."),
            "write": switch("Put there what this machine makes."),
        },
        ("registry",),
    )


def _repository(description: str, example: str, **more: Any) -> Schema:
    # distribution-spec, "Pulling manifests": the grammar of a repository's name.
    part = "[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*"
    grammar = {"pattern": f"^{part}(/{part})*$", "maxLength": 200, "examples": [example], **more}
    hint = "lower-case letters and digits, joined by '.', '_' or '-', with '/' between parts"
    return {**_text(description, **grammar), "x-hint": hint}


def image() -> Schema:
    words: Schema = {"minItems": 1, "x-hint": "a list of words, as in [python3, app.py]"}
    return _object(
        "An image.",
        {
            "base": _text("The name of a base, or of an image to build on.", examples=["slim"]),
            "layers": _list("Names of layers, lowest first.", {"type": "string"}, examples=[["deps", "code"]]),
            "serve": _serve(),
            "env": _env(),
            "user": {
                "type": ["integer", "string"],
                "minimum": 0,
                "maximum": 4294967294,
                "pattern": r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?$",
                "x-hint": "as in 1000, '1000:1000' or app",
                "description": "User, and group, that the service runs as: 1000, '1000:1000' or app.",
            },
            "workdir": _text("Working directory of the service.", pattern="^/", **{"x-hint": "an absolute path"}),
            "command": _list("What runs, in place of the inference server.", {"type": "string"}, **words),
            "labels": {
                "type": "object",
                "description": "Labels of the image.",
                "propertyNames": {"minLength": 1, "x-noun": "label"},
                "additionalProperties": _TEXT_OR_NUMBER,
            },
            "platforms": _platforms(),
            "tags": _tags("Names of this version of the image.", default=["latest"]),
            "push": _push(),
            "checks": _checks(),
            "requires": requires.schema(),
        },
        ("base",),
    )


def _env() -> Schema:
    return {
        "type": "object",
        "description": "Environment variables of the service.",
        "propertyNames": {
            "pattern": "^[A-Za-z_][A-Za-z0-9_.-]*$",
            "x-hint": "letters, digits and '_', as in LOG_LEVEL",
            "x-noun": "environment variable",
        },
        "additionalProperties": _TEXT_OR_NUMBER,
    }


def _serve() -> Schema:
    relative = {"pattern": r"^(?!/)(?!(.*/)?\.\.(/|$)).+$", "x-hint": "a path below app_root, as in score.py"}
    port = {"type": "integer", "minimum": 1, "maximum": 65535, "default": 5001, "description": "Port in the container."}
    root = _text("Folder of the scripts in the image.", pattern="^/", default="/var/azureml-app")
    contract = _object(
        "The serving contract of azureml-inference-server-http.",
        {
            "entry_script": _text("The script with init() and run().", **relative, examples=["score.py"]),
            "port": port,
            "app_root": root,
            "stack": {
                "enum": ["azureml"],
                "description": "Adds azureml-inference-server-http where no layer has it, and keeps the layers off the "
                "stack's own ports and folders.",
            },
            "workers": {"type": "integer", "minimum": 1, "description": "Processes that score; a target may say more."},
            "scoring_timeout": {**_DURATION, "description": "The longest that one request may take: seconds, or 60s."},
            "worker_timeout": {**_DURATION, "description": "A process that is silent so long is started anew."},
        },
        ("entry_script",),
    )
    return {**contract, "examples": [{"entry_script": "score.py"}]}


def _platforms() -> Schema:
    item = {
        "type": "string",
        # The architectures that Go, and so every registry and runtime, names (image-index.md, "platform").
        "pattern": "^linux/(386|amd64|arm|arm64|loong64|mips64le|ppc64le|riscv64|s390x)(/v[0-9]+)?$",
        "x-hint": "as in linux/amd64, linux/arm64 or linux/arm/v7",
        "examples": ["linux/amd64", "linux/arm64"],
    }
    return _list("What the image is built for; this machine's platform when left out.", item, minItems=1)


def _push() -> Schema:
    return _object(
        "Where the image is published.",
        {
            "to": _text("The name of a registry.", examples=["prod"]),
            "repository": _repository(
                "Below the registry's address; the image's name if left out.", "diabetes/scoring"
            ),
            "tags": _tags("Names of this version there; the image's tags if left out."),
        },
        ("to",),
    )


def _tags(description: str, **more: Any) -> Schema:
    # distribution-spec, "Pulling manifests": the grammar of a tag.
    hint = "letters, digits, '_', '.' and '-', at most 128, not starting with '.' or '-'"
    item = {"type": "string", "pattern": "^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$", "x-hint": hint}
    return _list(description, item, minItems=1, **more, examples=[["latest", "v1"]])


def _checks() -> Schema:
    score = {
        "request": {"description": "What is sent to /score: any JSON."},
        "expect": {"type": ["object", "boolean"], "description": "JSON Schema of the answer."},
    }
    size = _size("Largest size, uncompressed: bytes, or 600MB, 1.5GiB.")
    ignore = _list(
        "Shared libraries that may be missing: globs of sonames.", {"type": "string"}, examples=[["libcuda.so.*"]]
    )
    return _object(
        "What the image must prove before it is used.",
        {
            "imports": _list(
                "Python modules that must import.", {"type": "string", "minLength": 1}, examples=[["sklearn"]]
            ),
            "score": _object("A scoring request that must succeed.", score, ("request",)),
            "size": size,
            "libraries": _object("The check for missing shared libraries.", {"ignore": ignore}),
        },
    )
