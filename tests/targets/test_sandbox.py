"""Commands in an image: what they see, as whom they run, and what stays of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.errors import CheckError
from pipeline.store.roots import overlay_ready
from pipeline.targets._copy import merge
from pipeline.targets._sandbox import SandboxError, command, run

if TYPE_CHECKING:
    from conftest import Shelf

PYTHON = str(Path(sys.executable).resolve())


def told(image: Shelf, tmp_path: Path, code: str, layers: list[Path] | None = None, **config: Any) -> Any:
    """What Python code prints as JSON in the image."""
    argv = [PYTHON, "-I", "-S", "-c", f"import json, os\nprint(json.dumps({code}))"]
    done = run(layers or image.unpacked(), {"config": config}, argv, scratch=tmp_path / "scratch")
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@pytest.fixture
def strict() -> Iterator[None]:
    """As users have it who let nobody else read what they make."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("strict")
def test_any_user_may_enter_its_root(image: Shelf, tmp_path: Path) -> None:
    assert told(image, tmp_path, "[os.stat('/').st_mode & 0o777, os.umask(0)]", User="1000") == [0o755, 0o022]


def test_it_sees_the_image_and_not_the_host(image: Shelf, tmp_path: Path) -> None:
    here = tmp_path / "secret"
    here.write_text("x")
    assert told(image, tmp_path, f"os.path.exists({str(here)!r})") is False
    assert "opt" in told(image, tmp_path, "os.listdir('/')")
    assert not [name for name in told(image, tmp_path, "os.listdir('/')") if name.startswith(".")]


def test_it_has_processes_devices_and_memory_of_its_own(image: Shelf, tmp_path: Path) -> None:
    assert told(image, tmp_path, "sorted(p for p in os.listdir('/proc') if p.isdigit())") == ["1", "2"]
    assert told(image, tmp_path, "open('/dev/null', 'w').write('x')") == 1
    assert told(image, tmp_path, "len(open('/dev/urandom', 'rb').read(4))") == 4
    assert told(image, tmp_path, "open('/dev/shm/x', 'w').write('x')") == 1
    assert told(image, tmp_path, "open('/tmp/x', 'w').write('x')") == 1
    assert told(image, tmp_path, "len(os.listdir('/sys'))") > 0
    assert told(image, tmp_path, "open('/etc/resolv.conf').read()") == Path("/etc/resolv.conf").read_text()


def test_it_has_no_descriptor_of_the_host_and_no_way_to_more_rights(image: Shelf, tmp_path: Path) -> None:
    assert told(image, tmp_path, "sorted(os.listdir('/proc/self/fd'))") == ["0", "1", "2", "3"]
    status = told(image, tmp_path, "open('/proc/self/status').read()", User="1000")
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert facts["NoNewPrivs"].strip() == "1"
    assert int(facts["CapEff"], 16) == 0
    # sys_admin (21), sys_ptrace (19), mknod (27) and sys_module (16) are out of reach for the image's root too.
    status = told(image, tmp_path, "open('/proc/self/status').read()", User="0")
    effective = int(dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)["CapEff"], 16)
    assert effective & (1 << 21 | 1 << 19 | 1 << 27 | 1 << 16) == 0


@pytest.mark.parametrize(
    ("user", "uid", "gid"),
    [
        ("", 0, 0),
        ("1000", 1000, 1000),
        ("serve", 1000, 1000),
        ("4242", 4242, 0),
        ("serve:models", 1000, 2000),
        ("5:6", 5, 6),
    ],
)
def test_it_runs_as_the_images_user(image: Shelf, tmp_path: Path, user: str, uid: int, gid: int) -> None:
    assert told(image, tmp_path, "[os.getuid(), os.getgid()]", User=user) == [uid, gid]


def test_groups_and_home_come_from_the_image(image: Shelf) -> None:
    found = command(image.unpacked(), {"config": {"User": "serve"}}, ["x"])
    assert found.groups == (1000, 2000)
    assert found.env["HOME"] == "/home/serve"


@pytest.mark.parametrize("user", ["nobody-here", "serve:nogroup-here"])
def test_an_unknown_user_is_an_error(image: Shelf, user: str) -> None:
    with pytest.raises(SandboxError, match="is not in its /etc"):
        command(image.unpacked(), {"config": {"User": user}}, ["x"])


def test_environment_folder_and_input_reach_it(image: Shelf, tmp_path: Path) -> None:
    config = {"config": {"Env": ["A=image", "B=image"], "WorkingDir": "/made/here"}}
    done = run(
        image.unpacked(), config, ["sh", "-c", "read line; echo $A $B $line $PWD >&2; exit 3"],
        scratch=tmp_path, env={"B": "call"}, stdin=b"typed\n",
    )  # fmt: skip
    assert (done.returncode, done.stderr, done.stdout) == (3, b"image call typed /made/here\n", b"")


def test_what_it_writes_is_gone_and_the_layers_are_untouched(image: Shelf, tmp_path: Path) -> None:
    layers = image.unpacked()
    done = run(layers, {}, ["sh", "-c", "echo x > /opt/new; echo x > /opt/server.py"], scratch=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    assert not (layers[-1] / "opt/new").exists()
    assert (layers[-1] / "opt/server.py").read_text() != "x\n"
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_is_not_there_is_an_error(image: Shelf, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="no-such-program cannot be run: the image has no such program"):
        run(image.unpacked(), {}, ["no-such-program"], scratch=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_image_without_a_command_is_an_error(image: Shelf) -> None:
    with pytest.raises(SandboxError, match="no command"):
        command(image.unpacked(), {})


def test_what_takes_too_long_is_ended(image: Shelf, tmp_path: Path) -> None:
    with pytest.raises(CheckError, match=r"within 0\.2 s"):
        run(image.unpacked(), {}, ["sh", "-c", "while :; do :; done"], scratch=tmp_path, timeout=0.2)
    assert list(tmp_path.iterdir()) == []


def test_the_code_of_a_command_that_a_signal_ended(image: Shelf, tmp_path: Path) -> None:
    assert run(image.unpacked(), {}, ["sh", "-c", "kill -9 $$"], scratch=tmp_path).returncode == 137


def layered(tmp_path: Path) -> list[Path]:
    """Two layers, of which the upper one hides and replaces, as an ordinary file system can hold them."""
    files = {"low/gone/f": "1", "low/opaque/old": "1", "low/file": "1", "low/both/a": "1", "low/turned": "1"}
    files |= {"high/.wh.gone": "", "high/opaque/.wh..wh..opq": "", "high/opaque/new": "2", "high/file": "2"}
    files |= {"high/both/b": "2", "high/turned/x": "2"}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "low/link").symlink_to("file")
    (tmp_path / "low/same").hardlink_to(tmp_path / "low/file")
    return [tmp_path / "low", tmp_path / "high"]


def test_layers_are_merged_by_copying_where_there_is_no_overlay(tmp_path: Path) -> None:
    target = tmp_path / "merged"
    target.mkdir()
    merge(layered(tmp_path), target)
    found = {str(p.relative_to(target)): p.read_text() for p in target.rglob("*") if p.is_file()}
    assert found == {
        "opaque/new": "2", "file": "2", "both/a": "1", "both/b": "2", "turned/x": "2", "link": "2", "same": "1"
    }  # fmt: skip
    assert (target / "link").is_symlink()
    assert (tmp_path / "low/file").read_text() == "1"


def test_a_copy_serves_as_well_as_an_overlay(image: Shelf, tmp_path: Path) -> None:
    layers = []
    for layer in image.unpacked():
        copy = tmp_path / layer.name
        shutil.copytree(layer, copy, symlinks=True)
        copy.with_name(copy.name + ".copy-only").touch()
        assert not overlay_ready(copy)
        layers.append(copy)
    assert told(image, tmp_path, "[os.getuid(), os.path.exists('/opt/server.py')]", layers, User="1000") == [1000, True]


def test_a_hundred_layers_fit(image: Shelf, tmp_path: Path) -> None:
    layers = [tmp_path / ("l" * 100 + str(number)) for number in range(120)]
    for number, layer in enumerate(layers):
        (layer / "many").mkdir(parents=True)
        (layer / "many" / str(number)).write_text("x")
    assert len(told(image, tmp_path, "os.listdir('/many')", [*image.unpacked(), *layers])) == 120


def test_links_in_the_image_lead_nowhere_on_the_host(image: Shelf, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    trap = tmp_path / "trap"
    (trap / "etc").mkdir(parents=True)
    (trap / "sys").symlink_to(outside)
    (trap / "etc/resolv.conf").symlink_to(outside / "made")
    (trap / "etc/hosts").symlink_to(outside / "made too")
    done = run([*image.unpacked(), trap], {}, ["sh", "-c", "exit 7"], scratch=tmp_path / "scratch")
    assert done.returncode == 7
    assert list(outside.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests already run as an ordinary user")
def test_an_ordinary_user_can_do_it_too(image: Shelf, tmp_path: Path) -> None:
    """In a user namespace without rights: what is root here is nobody in particular there."""
    user = ["unshare", "--user", "--map-user=1234", "--map-group=1234"]
    if subprocess.run([*user, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this system makes no user namespaces")
    blobs = {layer.diff_id: str(image.path(layer.diff_id)) for layer in image.layers}
    program = f"""
import os, pathlib
from pipeline.oci.descriptor import Layer, Descriptor, LAYER
from pipeline.store.roots import Roots
from pipeline.targets._sandbox import run
assert os.geteuid() == 1234
blobs = {blobs!r}
here = pathlib.Path({str(tmp_path)!r})
roots = Roots(here / "roots", lambda digest: pathlib.Path(blobs[digest]))
layers = [roots.layer(Layer(Descriptor(LAYER, digest, 0), digest)) for digest in blobs]
for user in ("0", "1000"):
    argv = ["sh", "-c", "echo x > /opt/new && exit 7"]
    done = run(layers, {{"config": {{"User": user}}}}, argv, scratch=here / "scratch")
    assert done.returncode == 7, done.stderr
    assert not list((here / "scratch").iterdir())
print("done")
"""
    done = subprocess.run([*user, sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "done\n", done.stderr


def test_a_layer_that_is_there_twice_counts_where_it_is_highest(image: Shelf, tmp_path: Path) -> None:
    one, two = image.apart({"opt/told": "one", "opt/one": "one"}), image.apart({"opt/told": "two", "opt/.wh.one": ""})
    base, (first, second) = image.unpacked(), (image.roots.layer(layer) for layer in (one, two))
    asked = "[open('/opt/told').read(), os.path.exists('/opt/one')]"
    assert told(image, tmp_path, asked, [*base, first, second, first]) == ["one", True]
    assert told(image, tmp_path, asked, [*base, second, first, second]) == ["two", False]
