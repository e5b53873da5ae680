"""Loading a manifest: values put in, secrets kept, paths guarded, all errors at once."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ManifestError
from pipeline.manifest.load import load
from pipeline.manifest.model import Manifest, Secret

HEAD = "version: 1\nname: test\nbases: {slim: {debian: {suite: bookworm, packages: [python3]}}}\n"
IMAGES = "images: {scoring: {base: slim}}\n"


def write(folder: Path, text: str, name: str = "m.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def loaded(folder: Path, text: str, environ: Mapping[str, str] | None = None, **sets: str) -> Manifest:
    return load(
        write(folder, HEAD + text), environ=environ or {}, sets={k.replace("__", "."): v for k, v in sets.items()}
    )


def errors(folder: Path, text: str, environ: Mapping[str, str] | None = None, **sets: str) -> str:
    with pytest.raises(ManifestError) as caught:
        loaded(folder, text, environ, **sets)
    return str(caught.value)


def test_defaults(tmp_path: Path) -> None:
    manifest = loaded(tmp_path, IMAGES)
    image = manifest.images["scoring"]
    assert (image.tags, image.platforms, image.layers, image.user, image.serve) == (("latest",), (), (), "", None)
    assert (manifest.retry.attempts, manifest.secrets, manifest.root) == (3, (), tmp_path)
    assert str(image.location) == f"{tmp_path}/m.yaml:4:10"
    assert manifest.bases["slim"].kind == "debian"


def test_units(tmp_path: Path) -> None:
    text = "retry: {wait: 250ms, max_wait: 2m}\nimages:\n"
    sizes = {"600MB": 600 * 10**6, "1.5GiB": 3 << 29, "7": 7, "2 kB": 2000, "1K": 1000}
    text += "".join(f"  i{n}: {{base: slim, checks: {{size: {size}}}}}\n" for n, size in enumerate(sizes))
    manifest = loaded(tmp_path, text)
    assert [image.checks.size for image in manifest.images.values()] == list(sizes.values())
    assert (manifest.retry.wait, manifest.retry.max_wait) == (0.25, 120.0)


def test_timeouts_are_for_all_steps_and_otherwise_for_one_kind(tmp_path: Path) -> None:
    text = "timeouts: {connect: 500ms, read: 1m, step: 2h, steps: {push: 10m, lock: 0}}\n"
    found = loaded(tmp_path, f"{text}{IMAGES}").timeouts
    assert (found.connect, found.read) == (0.5, 60.0)
    assert [found.of(kind) for kind in ("tag", "push", "lock")] == [7200.0, 600.0, 0.0]


@pytest.mark.parametrize("wrong", ["read: 0", "connect: 0s", "read: 0.0", "steps: {nothing: 1s}", "step: soon"])
def test_a_timeout_that_nothing_could_keep_is_refused(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(ManifestError, match=r"timeouts|kind of step|seconds"):
        loaded(tmp_path, f"timeouts: {{{wrong}}}\n{IMAGES}")


def test_retry_is_for_all_steps_and_otherwise_for_one_kind(tmp_path: Path) -> None:
    steps = "{layer: {on: [passing, command]}, push: {attempts: 9, jitter: 0}}"
    retry = loaded(tmp_path, f"retry: {{attempts: 5, deadline: 10m, steps: {steps}}}\n{IMAGES}").retry
    assert (retry.of("tag").attempts, retry.of("tag").deadline, retry.of("tag").on) == (5, 600.0, ("passing",))
    assert (retry.of("layer").attempts, retry.of("layer").on) == (5, ("passing", "command"))
    assert (retry.of("push").attempts, retry.of("push").jitter, retry.of("push").deadline) == (9, 0.0, 600.0)


def test_values_from_outside(tmp_path: Path) -> None:
    write(tmp_path, "from a file\n", "note.txt")
    text = """images:
  scoring:
    base: ${base}
    serve: {entry_script: "${env:SCRIPT:-score.py}", port: "${env:PORT}"}
    labels: {file: "${file:note.txt}", part: "a-${env:PORT}-b", literal: "$${env:PORT} $PORT", empty: "${env:E:-x}"}
    user: ${env:USER_ID}
"""
    image = loaded(tmp_path, text, {"PORT": "5002", "USER_ID": "1000", "E": ""}, base="slim").images["scoring"]
    assert image.serve
    assert (image.serve.port, image.serve.entry_script, image.user, image.base) == (5002, "score.py", "1000", "slim")
    labels = {"file": "from a file", "part": "a-5002-b", "literal": "${env:PORT} $PORT", "empty": "x"}
    assert image.labels == labels


def test_a_value_is_not_expanded_again(tmp_path: Path) -> None:
    text = "images: {scoring: {base: slim, labels: {a: '${env:A}'}}}\n"
    image = loaded(tmp_path, text, {"A": "${env:B} ${x"}).images["scoring"]
    assert image.labels["a"] == "${env:B} ${x"


@pytest.mark.parametrize("value", ["a\0b", os.fsdecode(b"\xff")])
def test_a_variable_that_is_no_text(tmp_path: Path, value: str) -> None:
    text = "images: {scoring: {base: slim, labels: {a: '${env:A}'}}}\n"
    assert "environment variable A" in errors(tmp_path, text, {"A": value})


def test_values_from_files_are_bounded(tmp_path: Path) -> None:
    write(tmp_path, "x" * 1_000_000, "big.txt")
    os.mkfifo(tmp_path / "fifo")
    text = "images: {scoring: {base: slim, labels: {a: '" + "${file:big.txt}" * 50 + "', b: '${file:fifo}'}}}\n"
    message = errors(tmp_path, text)
    assert "characters are put in" in message
    assert "named pipe" in message


def test_set_replaces_and_adds(tmp_path: Path) -> None:
    text = """layers: {v1.2: {pip: {packages: [a]}}}
images:
  scoring: {base: slim, layers: [v1.2], user: 1000, serve: {entry_script: score.py}}
"""
    manifest = loaded(
        tmp_path, text, name="other", images__scoring__serve__port="8000", layers__v1__2__pip__pre="true",
        layers__v1__2__pip__packages__0="3.10", images__second__base="slim", images__scoring__tags="[a, b]",
        images__scoring__user="1e3", images__scoring__labels__version="3.10", retry__wait="2",
    )  # fmt: skip
    image = manifest.images["scoring"]
    assert image.serve
    assert (manifest.name, image.serve.port, image.tags, image.user) == ("other", 8000, ("a", "b"), "1e3")
    assert manifest.layers["v1.2"].spec == {"packages": ["3.10"], "pre": True}
    assert image.labels == {"version": "3.10"}
    assert (manifest.images["second"].base, manifest.retry.wait) == ("slim", 2.0)


def test_set_errors_name_the_option(tmp_path: Path) -> None:
    text = "layers: {a: {pip: {packages: [x]}}}\nimages: {scoring: {base: '${base_name}', layers: [a]}}\n"
    message = errors(
        tmp_path, text, base_name="slim", base_nam="x", images__scoring__layers__7="a", images__scoring__bse="slim",
        images__scoring__serve__port="80x", images__scoring__base__deeper="1",
    )  # fmt: skip
    for line in (
        "--set base_nam: 'base_nam' is not used by the manifest (did you mean 'base_name'?)",
        "--set images.scoring.layers.7: '7' is no position of a list of 1 (0 to 0, or 1 to add one)",
        "--set images.scoring.bse: unknown key 'bse' (did you mean 'base'?)",
        "--set images.scoring.serve.port: 'port' should be a whole number, and is the text '80x'",
        "--set images.scoring.base.deeper: there is a single value where 'deeper' is looked for (shorten the path)",
    ):
        assert line in message


SECRETS = """registries:
  a: {address: a.example.com, username: "${env:THE_TOKEN}", password: "${env:REGISTRY_LOGIN}"}
  b: {address: b.example.com, password: written-out}
layers: {deps: {pip: {packages: [x], index: "https://me:${env:INDEX_PASSWORD}@example.com/simple"}}}
images: {scoring: {base: slim, layers: [deps], labels: {plain: "${env:TOKENIZERS_PARALLELISM}"}}}
targets: {here: {local: {image: scoring, port: 8890, env: {DSN: "x${file:%s}y"}}}}
"""
ENVIRON = {
    "THE_TOKEN": "tok-1",
    "REGISTRY_LOGIN": "login-2",
    "INDEX_PASSWORD": "index-3",
    "TOKENIZERS_PARALLELISM": "false",
}


def test_secrets_are_marked_masked_and_left_out_of_the_digest(tmp_path: Path) -> None:
    outside = write(tmp_path / "run", "file-4\n", "dsn")
    project = tmp_path / "project"
    manifest = loaded(project, SECRETS % outside, ENVIRON)
    revealed = {secret.reveal() for secret in manifest.secrets}
    assert {"tok-1", "login-2", "written-out", "index-3", "file-4", "xfile-4y"} <= revealed
    assert "false" not in revealed
    password = manifest.registries["b"].password
    assert isinstance(password, Secret)
    assert password.reveal() == "written-out"
    assert manifest.layers["deps"].spec["index"].reveal() == "https://me:index-3@example.com/simple"
    assert not any(secret in repr(manifest) for secret in revealed)
    again = loaded(project, SECRETS % outside, {**ENVIRON, "THE_TOKEN": "tok-9"})
    assert again.digest == manifest.digest
    changed = loaded(project, SECRETS % outside, {**ENVIRON, "TOKENIZERS_PARALLELISM": "true"})
    assert changed.digest != manifest.digest


def test_errors_show_no_secret(tmp_path: Path) -> None:
    outside = write(tmp_path / "run", "file-4\n", "dsn")
    text = SECRETS.replace("b.example.com, password", "b.example.com, usrname: x, password") % outside
    text = text.replace("plain:", "written-out: 3.10, leak: '${env:THE_TOKEN}', plain:")
    message = errors(
        tmp_path / "project", text, ENVIRON, registries__a__password="from-set", registries__a__usr="index-3"
    )
    for secret in ("tok-1", "from-set", "written-out", "index-3", "file-4"):
        assert secret not in message
    assert "a secret would be baked into the image by 'leak'" in message


@pytest.mark.parametrize(
    "text",
    [
        'registries: {a: {address: x, password: "hunter2}}\n',
        "registries:\n  a:\n    password: hunter2: x\n",
        "registries: {a: {address: x, password: x, password: hunter2}}\n",
        "registries: {a: {address: x, password: !!binary hunter2}}\n",
        "registries: {a: {address: x, password: [hunter2]}}\n",
        "registries: {a: {address: x, pasword: x, api_key: hunter2}}\n",
    ],
)
def test_text_that_is_wrong_shows_no_secret(tmp_path: Path, text: str) -> None:
    assert "hunter2" not in errors(tmp_path, text + IMAGES)


@pytest.mark.parametrize(
    "images",
    [
        "{scoring: {base: slim, env: {A: '${env:DB_PASSWORD}'}}}",
        "{scoring: {base: slim, tags: ['${env:DB_PASSWORD}']}}",
        "{scoring: {base: slim, command: [run, '--key=${env:DB_PASSWORD}']}}",
        "{scoring: {base: slim, labels: {a: '${env:PLAIN_URL}'}}}",
        "{scoring: {base: slim, labels: {a: '${my_api_key}'}}}",
        "{scoring: {base: slim, checks: {score: {request: {deep: ['${env:DB_PASSWORD}']}}}}}",
    ],
)
def test_a_secret_does_not_get_into_an_image(tmp_path: Path, images: str) -> None:
    environ = {"DB_PASSWORD": "s3cret", "PLAIN_URL": "https://me:s3cret@example.com/"}
    sets = {"my_api_key": "s3cret"} if "my_api_key" in images else {}
    message = errors(tmp_path, f"images: {images}\n", environ, **sets)
    assert "a secret would be baked into the image" in message
    assert "s3cret" not in message


def test_the_project_folder(tmp_path: Path) -> None:
    def root(name: str) -> Path:
        return load(write(tmp_path, HEAD + IMAGES, name), environ={}).root

    assert root("alone/m.yaml") == tmp_path / "alone"
    assert root("gitops/manifests/prod/m.yaml") == tmp_path / "gitops"
    (tmp_path / "repo" / ".git").mkdir(parents=True)
    assert root("repo/a/manifests/m.yaml") == tmp_path / "repo"


def test_a_symbolic_link_does_not_lead_out(tmp_path: Path) -> None:
    write(tmp_path, "x", "outside/weights.bin")
    project = tmp_path / "project"
    write(project, "x", "real/weights.bin")
    (project / "out").symlink_to("../outside")
    (project / "in").symlink_to("real")
    layers = "layers: {{w: {{model: {{name: m, path: {}}}}}}}\n"
    assert loaded(project, layers.format("in/weights.bin") + IMAGES).layers
    assert "by the symbolic link 'out'" in errors(project, layers.format("out/weights.bin") + IMAGES)
    assert "by the symbolic link 'out'" in errors(project, layers.format("in/../out/../project/real") + IMAGES)


def test_a_project_that_is_itself_reached_by_a_link(tmp_path: Path) -> None:
    write(tmp_path, "x", "real/models/m.bin")
    write(tmp_path, HEAD + "layers: {w: {model: {name: m, path: ../models/m.bin}}}\n" + IMAGES, "real/manifests/m.yaml")
    (tmp_path / "link").symlink_to("real")
    manifest = load(tmp_path / "link" / "manifests" / "m.yaml", environ={})
    assert manifest.root == tmp_path / "real"


SERVE = """layers: {code: {files: [{from: src/, to: /var/azureml-app}]}}
images: {scoring: {base: slim, layers: [code], serve: {entry_script: score.py}}}
"""


def test_the_entry_script_is_read_each_time(tmp_path: Path) -> None:
    known: set[str] = set()

    def again() -> Manifest:
        return load(tmp_path / "m.yaml", environ={}, schema_known=known.__contains__, remember=known.add)

    write(tmp_path, HEAD + SERVE)
    script = write(tmp_path, "def init(): pass\ndef run(data): return data\n", "src/score.py")
    again()
    assert len(known) == 1
    script.write_text("def init(): pass\n")
    with pytest.raises(ManifestError, match=r"src/score\.py:1:1: the entry script has no run\(\)"):
        again()


def test_data_known_to_be_right_is_not_validated_again(tmp_path: Path) -> None:
    write(tmp_path, HEAD + IMAGES)
    code = (
        "import sys; from pathlib import Path; from pipeline.manifest.load import load\n"
        "load(Path(sys.argv[1]), environ={}, schema_known=lambda key: True)\n"
        "print([name for name in ('jsonschema', 'networkx', 'tenacity', 'httpx', 'rich') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code, tmp_path / "m.yaml"], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_what_was_remembered_does_not_stand_for_other_data(tmp_path: Path) -> None:
    known: set[str] = set()
    options: dict[str, Any] = {"environ": {}, "schema_known": known.__contains__, "remember": known.add}
    load(write(tmp_path, HEAD + IMAGES), **options)
    with pytest.raises(ManifestError):
        load(write(tmp_path, HEAD + IMAGES.replace("slim", "slum")), **options)
    with pytest.raises(ManifestError):
        load(write(tmp_path, HEAD + IMAGES), sets={"images.scoring.usr": "1"}, **options)


def test_many_errors_are_counted(tmp_path: Path) -> None:
    text = "images:\n" + "".join(f"  i{n}: {{base: nothing}}\n" for n in range(80))
    assert "30 more errors are not shown" in errors(tmp_path, text)


WORDS = "version name bases layers images targets retry registries scoring slim debian pip files base serve checks tags"
KEYS = st.sampled_from([*WORDS.split(), "env", "x-a", "local", "image"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | KEYS
    | st.sampled_from(["${env:A}", "${x}", "$${", "${file:m.yaml}", "${file:/}", "../..", "/etc"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=25,
)  # fmt: skip


SET_NAMES = st.sampled_from(["a", "x", "images.a", "name", "a..b", "images.scoring.tags.0"])
SETS = st.dictionaries(SET_NAMES, st.text(max_size=6), max_size=2)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(KEYS, VALUES, max_size=6), SETS)
def test_any_data_gives_a_manifest_or_errors(tmp_path: Path, data: dict[str, Any], sets: dict[str, str]) -> None:
    path = write(tmp_path, "# a manifest\n" + json.dumps({"version": 1, "name": "x", **data}))
    try:
        assert load(path, environ={"A": "1"}, sets=sets).version == 1
    except ManifestError as caught:
        assert caught.diagnostics
