"""The real engine: commands, their output and their end, secrets, limits, and what it says when it is gone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from docker_server import RealDocker, running
from small_image import IMAGE, small_image

from pipeline.assemble.entry import Entry
from pipeline.engine import owner
from pipeline.engine.changes import Metadata, entries
from pipeline.engine.docker import OWNER, DockerEngine
from pipeline.engine.find import about, connect
from pipeline.engine.lines import lines
from pipeline.engine.model import Ended, EngineError, Job
from pipeline.errors import AssembleError, OutOfReach

CHANGES = """
echo new > /opt/new; ln /opt/new /opt/other; ln -s new /opt/link; chmod 640 /opt/new
rm -r /opt/emptied; mkdir /opt/emptied; echo x > /opt/emptied/a
rm /opt/keep; rm -r /opt/old; mkdir -p /srv/deep/er; chmod 700 /srv
echo 2 >> /etc/passwd; touch /tmp/x; rm /tmp/x
"""


def job(script: str, **more: object) -> Job:
    return replace(Job(IMAGE, ("/bin/sh", "-ec", script), network="none", title="a test"), **more)  # type: ignore[arg-type]


def ran(engine: DockerEngine, wanted: Job) -> tuple[Ended, list[str]]:
    said: list[str] = []
    with engine.container(wanted) as container:
        return container.run(said.append), said


class Below:
    """What is in the small image."""

    def folders(self, paths: set[str]) -> Mapping[str, Metadata]:
        known = {"etc": Metadata(0o755, 0, 0), "tmp": Metadata(0o1777, 0, 0), "opt": Metadata(0o755, 0, 0)}
        known |= {"opt/old": Metadata(0o755, 0, 0), "opt/emptied": Metadata(0o755, 0, 0)}
        return {path: known[path] for path in paths & known.keys()}

    def children(self, folder: str) -> list[str]:
        return {"opt/emptied": ["opt/emptied/a", "opt/emptied/b"]}.get(folder, [])


def layer(engine: DockerEngine, wanted: Job, scratch: Path, *, exported: bool = False) -> list[Entry]:
    """What a command changed, read from the overlay's folder, or from an export as where the engine is far."""
    with engine.container(wanted) as container:
        assert container.run(lambda _: None).exit_code == 0
        if exported:
            container.upper = lambda: None  # type: ignore[method-assign]
        found = entries(container, Below(), scratch, mounts=wanted.caches, secrets=wanted.secrets)
        return [replace(one, source=_content(one)) if one.type == "file" else one for one in found]


def _content(entry: Entry) -> bytes:
    return entry.source if isinstance(entry.source, bytes) else entry.source.read_bytes()


def test_output_comes_line_by_line_with_the_exit_code(docker: DockerEngine) -> None:
    ended, said = ran(docker, job("echo one; echo two >&2; printf 'x\\ry'; exit 7"))
    assert ended == Ended(7)
    assert sorted(said) == ["one", "two", "y"]


def test_lines_of_two_streams_are_not_mixed() -> None:
    frames = [(1, b"on"), (2, b"tw"), (1, b"e\nth"), (2, b"o"), (1, b"ree"), (2, b"\n")]
    assert list(lines(frames)) == ["one", "two", "three"]


def test_the_job_decides_environment_user_and_folder(docker: DockerEngine) -> None:
    wanted = job("env; id -u; pwd", env={"A": "b c"}, user="12", workdir="/opt")
    assert {"A=b c", "12", "/opt"} <= set(ran(docker, wanted)[1])


@pytest.mark.parametrize("exported", [False, True])
def test_what_changed_is_the_same_however_it_is_read(docker: DockerEngine, tmp_path: Path, exported: bool) -> None:
    found = {entry.path: entry for entry in layer(docker, job(CHANGES), tmp_path, exported=exported)}
    assert list(found) == [
        "etc", "etc/passwd", "opt", "opt/.wh.keep", "opt/.wh.old", "opt/emptied", "opt/emptied/.wh.b",
        "opt/emptied/a", "opt/link", "opt/new", "opt/other",
        "srv", "srv/deep", "srv/deep/er",
    ]  # fmt: skip
    assert found["opt/new"] == Entry("opt/new", mode=0o640, source=b"new\n", size=4)
    assert (found["opt/other"].type, found["opt/other"].link) == ("hardlink", "opt/new")
    assert (found["opt/link"].type, found["opt/link"].link) == ("symlink", "new")
    assert found["srv"].mode == 0o700


def test_the_overlay_of_an_engine_on_this_machine_is_read_where_it_lies(docker: DockerEngine) -> None:
    """Also that of containerd's image store, where no answer names it."""
    if docker.api.info()["Driver"] not in ("overlay2", "overlayfs"):
        pytest.skip("this machine's file system takes no overlay")
    with docker.container(job("echo new > /opt/new")) as container:
        container.run(lambda _: None)
        upper = container.upper()
        assert upper is not None
        assert (upper / "opt" / "new").read_text() == "new\n"
    assert container.id not in {found["Id"] for found in docker.api.containers(all=True)}


def test_nothing_changed_is_nothing(docker: DockerEngine, tmp_path: Path) -> None:
    assert layer(docker, job(":", files={"/run/pipeline/ca.crt": b"x"}, caches={"/a/cache": "tests"}), tmp_path) == []


def test_a_cache_outlives_its_container(docker: DockerEngine, tmp_path: Path) -> None:
    wanted = job("touch /a/cache/it", caches={"/a/cache": "tests-cache"})
    assert layer(docker, wanted, tmp_path) == []
    assert ran(docker, replace(wanted, argv=("/bin/sh", "-c", "test -e /a/cache/it")))[0].exit_code == 0


@pytest.mark.parametrize("secret", ["plain", "two\nlines\n", "a\\b 'c' \"d\" $e *", " "])
def test_a_secret_is_a_file_as_it_was_given(docker: DockerEngine, tmp_path: Path, secret: str) -> None:
    wanted = job("umask; cat /run/secrets/T; echo .; head -c1", secrets={"T": secret})
    assert "\n".join(ran(docker, wanted)[1]) == f"0022\n{secret}."
    assert layer(docker, wanted, tmp_path) == []


def test_a_secret_that_a_command_keeps_is_refused(docker: DockerEngine, tmp_path: Path) -> None:
    with pytest.raises(AssembleError, match="the secret T into /opt/kept"):
        layer(docker, job("cat /run/secrets/T > /opt/kept", secrets={"T": "password"}), tmp_path)


def test_a_command_can_be_killed(docker: DockerEngine) -> None:
    with docker.container(job("echo up; sleep 100")) as container:
        ended = container.run(lambda _: threading.Thread(target=container.kill).start())
        assert ended.exit_code == 137
        assert not ended.out_of_memory
        container.kill()


def test_want_of_memory_is_told(docker: DockerEngine) -> None:
    ended, _ = ran(docker, job("x=1234567890; while :; do x=$x$x; done", memory=16_000_000))
    assert ended.out_of_memory
    assert ended.exit_code in (2, 137)


def test_a_program_that_is_not_there_is_told(docker: DockerEngine) -> None:
    with pytest.raises(EngineError, match="nonesuch"):
        ran(docker, Job(IMAGE, ("/nonesuch",), network="none"))


def test_containers_are_removed_also_those_of_killed_runs(docker: DockerEngine, real: RealDocker) -> None:
    dead = owner.own().rpartition("/")[0] + "/0"
    left = docker.api.create_container(IMAGE, ["/bin/sh"], labels={OWNER: dead})["Id"]
    mine = docker.api.create_container(IMAGE, ["/bin/sh"], labels={OWNER: owner.own()})["Id"]
    connect(about(real.address)).sweep()  # type: ignore[attr-defined]
    there = {found["Id"] for found in docker.api.containers(all=True)}
    docker.api.remove_container(mine)
    assert left not in there
    assert mine in there
    ran(docker, job("false"))
    assert docker.api.containers(all=True, filters={"label": OWNER}) == []


def test_images_are_known_by_their_layers(docker: DockerEngine) -> None:
    assert docker.layers("tests.local/none:1") is None
    found = docker.layers(IMAGE)
    assert found and found[0].startswith("sha256:")


def test_an_archive_that_is_none_is_refused(docker: DockerEngine) -> None:
    with pytest.raises(EngineError):
        docker.load([b"not a tar at all" * 100])


def test_an_engine_that_goes_is_out_of_reach() -> None:
    with running() as server:
        engine = connect(about(server.address))
        engine.load([small_image()])
        with pytest.raises(OutOfReach) as caught, engine.container(job("echo up; sleep 2")) as container:
            container.run(_then(server.kill))
    assert caught.value.transient
    assert server.address in str(caught.value)


def _then(act: Callable[[], None]) -> Callable[[str], None]:
    return lambda _line: act()
