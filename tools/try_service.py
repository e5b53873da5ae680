"""Scores a manifest's own request at its running service and says how to go on: the end of `make run`."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.manifest.load import load


def ask(address: str, request: Any) -> str:
    """The service's answer to `request`, status first."""
    call = urllib.request.Request(
        f"{address}/score", json.dumps(request).encode(), headers={"Content-Type": "application/json"}
    )
    # The service is on this machine: a proxy would not find it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(call, timeout=60) as answer:
            return f"{answer.status} {answer.read().decode()}"
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read().decode(errors='replace')}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    arguments = parser.parse_args()
    sets = dict(item.split("=", 1) for item in arguments.set)
    try:
        manifest = load(arguments.manifest, environ=os.environ, sets=sets)
    except PipelineError as error:
        sys.exit(str(error))
    target = next(target for target in manifest.targets.values() if target.kind == "local")
    image = manifest.images[target.spec["image"]]
    assert image.checks.score is not None
    request, address = image.checks.score["request"], f"http://127.0.0.1:{target.spec['port']}"
    try:
        answer = ask(address, request)
    except OSError as error:
        sys.exit(f"{address} does not answer: {error}")
    print(f"\nPOST {address}/score {json.dumps(request)}\n{answer}\n")
    body, name = shlex.quote(json.dumps(request)), shlex.quote(str(arguments.manifest))
    command = os.path.relpath(Path(sys.executable).with_name("pipeline"))
    print(f"call it      curl -H 'Content-Type: application/json' -d {body} {address}/score")
    print(f"its log      {command} logs -f {name}")
    print(f"stop it      {command} stop {name}")
    print(f"look inside  {command} image files {image.name}")
    return 0 if answer.startswith("200 ") else 1


if __name__ == "__main__":
    sys.exit(main())
