"""`pipeline bases`: what an image of a real registry holds, read from its files, and where the catalogue is wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from publishing import PASSWORD, PLUGIN, USER, Project
from registry_server import RealRegistry, running

FILES = {
    "etc/os-release": 'ID=ubuntu\nVERSION_ID="16.04"\n',
    "opt/miniconda/conda-meta/conda-4.7.12.1-py37_0.json": "{}",
    "opt/miniconda/conda-meta/python-3.7.4-h265db76_1.json": "{}",
    "opt/intel/compilers_and_libraries_2018.3.222/linux/mpi/intel64/bin/mpiexec.hydra": "",
    "usr/bin/git": "",
}
CLAIMED = "intelmpi2018.3-ubuntu16.04"
OTHER = "openmpi3.1.2-ubuntu16.04"


@pytest.fixture(scope="module")
def registry() -> Iterator[RealRegistry]:
    with running({USER: PASSWORD}) as found:
        yield found


@pytest.fixture
def shop(tmp_path: Path, registry: RealRegistry, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.syspath_prepend(str(PLUGIN))
    made = Project(tmp_path, registry.address)
    for name, text in FILES.items():
        made.write(f"project/root/{name}", text)
    settings = "base: slim, layers: [root], command: [x], user: 7, push: {to: prod, repository: "
    made.images("".join(f"i{n}: {{{settings}azureml/{name}}}}}\n" for n, name in enumerate((CLAIMED, OTHER))))
    text = made.manifest.read_text().replace("layers:\n", "layers:\n  root: {files: [{from: root/, to: /}]}\n", 1)
    made.manifest.write_text(text)
    code, said = made.run()
    assert code == 0, said
    credentials = {"auths": {made.address: {"auth": _basic()}}}
    made.write("docker/config.json", json.dumps(credentials))
    made.environ["DOCKER_CONFIG"] = str(tmp_path / "docker")
    return made


def _basic() -> str:
    import base64

    return base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


def test_row_15_what_an_image_holds_is_read_from_the_image(shop: Project) -> None:
    code, out, err = shop("bases", "--inspect", f"{shop.address}/ml/azureml/{CLAIMED}", "--output", "json")
    assert code == 0, err
    said = json.loads(out)
    assert [one["version"] for one in said["holds"]["conda"]] == ["4.7.12.1"]
    assert [one["version"] for one in said["holds"]["mpi"]] == ["2018.3.222"]
    assert said["user"] == "7"
    # The image of this test has no FUSE.
    assert said["differences"] == ["fuse: the table says any, the image has none"]


def test_row_15_where_the_table_is_wrong_the_image_counts(shop: Project) -> None:
    code, out, _ = shop("bases", "--inspect", f"{shop.address}/ml/azureml/{OTHER}")
    assert code == 0
    wrong = "not as in the catalogue: mpi: the table says openmpi 3.1.2, the image has Intel MPI 2018.3.222"
    assert wrong in out.splitlines()


def test_an_image_of_the_store_is_read_as_well(shop: Project) -> None:
    code, out, err = shop("bases", "--inspect", "shop/i0")
    assert code == 0, err
    assert any(line.split()[:3] == ["os", "ubuntu", "16.04"] for line in out.splitlines())


def test_the_list_can_be_narrowed(shop: Project) -> None:
    code, out, _ = shop("bases", "--accelerator", "myriad", "--output", "json")
    assert code == 0
    assert [one["accelerator"] for one in json.loads(out)] == ["myriad"]
    code, _, err = shop("bases", "--accelerator", "tpu")
    assert code == 2
    assert "the accelerators are cuda, myriad, none, vadm" in err
