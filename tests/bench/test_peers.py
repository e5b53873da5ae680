"""The comparison with other tools: what it counts, what it hands to them, and what it writes."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.peers.inputs import Inputs, bake_file, machine
from bench.peers.report import MARKS, picture, tables, write
from bench.peers.rows import Row, Take
from bench.peers.traffic import Moved, Traffic


def rows() -> list[Row]:
    takes = [Take(seconds, Moved(up=1_000_000, down=0, fetched=139_000_000)) for seconds in (9.0, 7.0, 8.0)]
    return [Row("cold", "8 s", {"ours": takes, "theirs": takes[:1]}), Row("new <base>", "1 s", {"ours": takes[1:2]})]


@pytest.mark.parametrize("open_at_the_end", [True, False])
def test_bytes_of_a_port_are_counted_in_both_directions(open_at_the_end: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        traffic = Traffic(server.getsockname()[1])
        if not traffic.counts:
            pytest.skip("counting needs CAP_NET_ADMIN")
        found: list[Moved] = []
        with traffic.of(found):
            client = socket.create_connection(server.getsockname())
            taken, _ = server.accept()
            writer = threading.Thread(target=client.sendall, args=(b"u" * 300_000,))
            writer.start()
            left = 300_000
            while left:
                left -= len(taken.recv(left))
            taken.sendall(b"d" * 1000)
            client.recv(1000, socket.MSG_WAITALL)
            writer.join()
            if not open_at_the_end:
                client.close()
                taken.close()
        client.close()
        taken.close()
    assert (found[0].up, found[0].down) == (pytest.approx(300_000, abs=1), pytest.approx(1000, abs=1))


def test_tables_have_medians_and_leave_out_who_did_not_take_part() -> None:
    text = tables(rows(), ["ours", "theirs"], counted=True)
    assert "| cold | 8 s | 8.0 s | 9.0 s | 3 |" in text
    assert "| new <base> | 1 s | 7.0 s |  | 1 |" in text
    assert "| cold | 139 / 0 / 1.0 | 139 / 0 / 1.0 |" in text
    assert "MB" not in tables(rows(), ["ours"], counted=False)


def test_the_picture_is_an_svg_with_a_bar_for_each_figure() -> None:
    drawn = ElementTree.fromstring(picture(rows(), ["ours", "theirs"]))
    # Two of the key, three of figures.
    assert len(drawn.findall("{http://www.w3.org/2000/svg}rect")) == 5
    assert any(text.text == "new <base>" for text in drawn.iter("{http://www.w3.org/2000/svg}text"))


def test_figures_replace_those_of_the_last_time(tmp_path: Path) -> None:
    page, image = tmp_path / "page.md", tmp_path / "page.svg"
    page.write_text(f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nafter\n")
    for text in ("one", "two"):
        write(page, image, text, "<svg/>")
    assert page.read_text() == f"before\n{MARKS[0]}\ntwo\n{MARKS[1]}\nafter\n"


def test_both_sides_are_given_the_same_services(tmp_path: Path) -> None:
    inputs = Inputs(tmp_path / "project", "127.0.0.1:5000", services=3)
    inputs.make()
    inputs.aim("some")
    inputs.pin("# comment\nnumpy==2.4.6 \\\n    --hash=sha256:00\nsix==1.17.0\n")
    bake_file(inputs, "some", tmp_path / "Dockerfile", "type=image,push=true", {})
    targets = json.loads((inputs.folder / "docker-bake.json").read_text())["target"]
    assert sorted(targets) == ["scoring-00", "scoring-01", "scoring-02"]
    manifest = inputs.manifest.read_text()
    assert all(target["args"]["CODE"] + "/" in manifest for target in targets.values())
    assert (inputs.folder / "requirements.txt").read_text() == "numpy==2.4.6\nsix==1.17.0\n"


def test_peers_get_the_mirrors_and_the_index_of_this_machine(tmp_path: Path) -> None:
    etc, bundle = tmp_path / "etc", tmp_path / "ca.crt"
    (etc / "apt").mkdir(parents=True)
    (etc / "apt/sources.list").write_text("deb http://mirror.example.com/debian bookworm main\n")
    (etc / "pip.conf").write_text("[global]\nindex-url = https://index.example.com/simple\n")
    bundle.write_text("certificates")
    machine(tmp_path / "machine", {"HOME": str(tmp_path)}, bundle, etc)
    assert "http://mirror.example.com/debian bookworm main" in (tmp_path / "machine/sources.list").read_text()
    assert "https://index.example.com/simple" in (tmp_path / "machine/uv.toml").read_text()
    assert "https://index.example.com/simple" in (tmp_path / "machine/pip.conf").read_text()
