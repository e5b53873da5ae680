"""Says in a sentence why a service did not start or scored badly, from the last lines of its log."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple


class Cause(NamedTuple):
    """A fact and its remedy."""

    fact: str
    remedy: str


_PATTERNS: tuple[tuple[str, str, str], ...] = (
    # azureml-inference-server-http 1.5, server/user_script.py.
    (
        r"User script at (\S+) does not have (?:a|an) (run|init)\(\) function",
        "the entry script {0} has no {1}() function",
        "define init() and run(data) in it",
    ),
    (
        r"ModuleNotFoundError: No module named '([^'.]+)[^']*'",
        "the image lacks the Python module {0}",
        "add the package that has it to a pip layer of the image; a module of your own belongs in the files layer",
    ),
    (
        r"ImportError: (lib\S+?): cannot open shared object file",
        "the image lacks the shared library {0}",
        "add the Debian package that has it to the base or to a debs layer",
    ),
    (r"ImportError: (cannot import name .+)", "an import fails: {0}", "check the versions in the pip layer"),
    (r"((?:Syntax|Indentation)Error: .+)", "the entry script does not compile: {0}", "correct it"),
    (r"Address already in use|Connection in use: (.+)", "its port is already in use", "give the target another `port`"),
    (
        r"PermissionError: .*?'([^']+)'",
        "the image's user may not use {0}",
        "change its `mode` or `user` in the manifest",
    ),
    # gunicorn's arbiter, reap_workers(): it starts another one each time, so that the service itself never ends.
    (
        r"Worker \(pid:\d+\) exited with code (?!3\.)(\d+)",
        "its worker ends again and again, with exit code {0}",
        "see what init() and the modules that it imports do",
    ),
    (
        r"Worker \(pid:\d+\) was sent (SIG(?!KILL|TERM|INT|QUIT)[A-Z]+)",
        "its worker is ended again and again by {0}",
        "see what init() and the compiled modules that it imports do",
    ),
    (r"(?:MemoryError|Worker .* was sent SIGKILL)", "it ran out of memory", "use fewer `workers` or a smaller model"),
)


def explain(lines: Sequence[str], env: Mapping[str, str]) -> Cause | None:
    """The likeliest cause in a log, the last one that it tells of; `env` is the service's environment."""
    for line in reversed(lines):
        if missing := re.search(r"FileNotFoundError: .*?'([^']+)'", line):
            return _missing_file(missing.group(1), env)
        for pattern, fact, remedy in _PATTERNS:
            if found := re.search(pattern, line):
                return Cause(fact.format(*(group or "" for group in found.groups())), remedy)
    for line in reversed(lines):
        # Not the server's own exceptions, which only wrap the one that tells.
        if re.match(r"(?!azureml_inference_server_http)[\w.]+(?:Error|Exception): ", line):
            return Cause(line[:300], "correct the entry script")
    return None


def deaths(lines: Iterable[str]) -> int:
    """How many workers of a gunicorn a log says to have died (its arbiter, reap_workers()); not those it ended."""
    died = re.compile(r"Worker \(pid:\d+\) (?:exited with code|was sent SIG(?!TERM|INT|QUIT))")
    return sum(bool(died.search(line)) for line in lines)


def _missing_file(path: str, env: Mapping[str, str]) -> Cause:
    model = env.get("AZUREML_MODEL_DIR", "")
    if model and path.startswith(model):
        remedy = f"AZUREML_MODEL_DIR is {model}: check the name, version and path of the model layer"
        return Cause(f"the model file {path} is not in the image", remedy)
    if path.endswith(".py"):
        return Cause(f"{path} is not in the image", "check `entry_script` and where the files layer puts it")
    return Cause(f"{path} is not in the image", "add it by a files or a model layer")
