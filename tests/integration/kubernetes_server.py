"""A real Kubernetes for tests, of programs that were built before (K8S_DIR/bin): a control plane, and a node in Docker.

The node's pods run in a Docker daemon of their own, on a bridge of its own; kubelet's and API server's certificates are
their own. Everything listens on loopback.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from ssl import _create_unverified_context

import docker_server
import pytest
from registry_server import free_port

PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet")
ADMIN, VISITOR = "admin-token", "visitor-token"
NODE = "localhost"
"""A name at which the API server finds the kubelet: logs come from there."""


def programs() -> Path:
    """The folder of the programs; skips the test where there are none."""
    folder = os.environ.get("K8S_DIR", "")
    if not folder:
        pytest.skip("no Kubernetes was built here: K8S_DIR is not set")
    if lacking := [name for name in PROGRAMS if not (Path(folder) / "bin" / name).is_file()]:
        pytest.skip(f"K8S_DIR/bin lacks {', '.join(lacking)}")
    for name in ("etcd", "openssl"):
        if not shutil.which(name):
            pytest.skip(f"{name} is not installed")
    return Path(folder) / "bin"


@dataclass
class RealCluster:
    """A cluster that runs. `kubeconfig` has the contexts admin, visitor (who may nothing) and stranger."""

    folder: Path
    address: str
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    def start(self, name: str, *words: str | Path) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [str(word) for word in words], stdout=log, stderr=log, cwd=self.folder, start_new_session=True
            )

    def end(self, name: str) -> None:
        process = self.processes.pop(name)
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def ask(self, path: str) -> str:
        """The API server's answer to a GET as admin; empty for none."""
        request = urllib.request.Request(f"{self.address}{path}", headers={"Authorization": f"Bearer {ADMIN}"})
        try:
            with urllib.request.urlopen(request, timeout=5, context=_create_unverified_context()) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    def wait_for(self, path: str, words: str, who: str, seconds: int = 90) -> None:
        for _ in range(seconds * 4):
            if words in self.ask(path):
                return
            if self.processes[who].poll() is not None:
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.processes[who].wait(timeout=0.25)
        said = (self.folder / f"{who}.log").read_text(errors="replace").strip().splitlines()[-3:]
        pytest.skip(f"{who} does not come up here: {' '.join(said)[-500:]}")


@contextlib.contextmanager
def control_plane() -> Iterator[RealCluster]:
    """etcd, the API server, and what works for it; no nodes."""
    built = programs()
    with tempfile.TemporaryDirectory(prefix="k8s-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        ports = [free_port() for _ in range(3)]
        cluster = RealCluster(folder, f"https://127.0.0.1:{ports[0]}")
        _write_credentials(cluster)
        try:
            _start(cluster, built, *ports)
            yield cluster
        finally:
            for one in reversed(list(cluster.processes)):
                cluster.end(one)


def _write_credentials(cluster: RealCluster) -> None:
    folder = cluster.folder
    subprocess.run(["openssl", "genrsa", "-out", "sa.key", "2048"], cwd=folder, check=True, capture_output=True)
    (folder / "tokens.csv").write_text(f"{ADMIN},admin,1,system:masters\n{VISITOR},visitor,2,visitors\n")
    users = {"admin": ADMIN, "visitor": VISITOR, "stranger": "expired-token"}
    value = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": cluster.address, "insecure-skip-tls-verify": True}}],
        "users": [{"name": name, "user": {"token": token}} for name, token in users.items()],
        "contexts": [{"name": name, "context": {"cluster": "c", "user": name}} for name in users],
        "current-context": "admin",
    }
    cluster.kubeconfig.write_text(json.dumps(value))


def _start(cluster: RealCluster, built: Path, api: int, etcd: int, peers: int) -> None:
    folder = cluster.folder
    store, peer = f"http://127.0.0.1:{etcd}", f"http://127.0.0.1:{peers}"
    cluster.start(
        "etcd", "etcd", "--data-dir", folder / "etcd", "--listen-client-urls", store, "--advertise-client-urls", store,
        "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}",
        "--unsafe-no-fsync",
    )  # fmt: skip
    key = folder / "sa.key"
    cluster.start(
        "apiserver", built / "kube-apiserver", "--etcd-servers", store, "--bind-address", "127.0.0.1",
        "--secure-port", str(api), "--cert-dir", folder / "certs", "--service-cluster-ip-range", "10.96.0.0/16",
        "--service-account-key-file", key, "--service-account-signing-key-file", key,
        "--service-account-issuer", "https://kubernetes.default.svc", "--token-auth-file", folder / "tokens.csv",
        "--authorization-mode", "RBAC", "--allow-privileged", "--disable-admission-plugins", "ServiceAccount",
    )  # fmt: skip
    cluster.wait_for("/readyz", "ok", "apiserver")
    config = ("--kubeconfig", cluster.kubeconfig, "--leader-elect=false", "--port=0", "--secure-port=0")
    leave_out = "*,-csrsigning,-bootstrapsigner,-tokencleaner"
    cluster.start("controllers", built / "kube-controller-manager", *config, "--controllers", leave_out)
    cluster.start("scheduler", built / "kube-scheduler", *config)
    cluster.wait_for("/api/v1/namespaces/default", '"default"', "controllers")


# -- the node -----------------------------------------------------------------------------------------------------

_RUNTIME = """\
#!{python}
# A machine without CAP_SYS_RESOURCE may not lower an OOM score.
import json, os, sys
words = sys.argv[1:]
for option in ("--bundle", "-b"):
    if option in words:
        path = os.path.join(words[words.index(option) + 1], "config.json")
        config = json.load(open(path))
        if (config["process"].get("oomScoreAdj") or 0) < 0:
            config["process"]["oomScoreAdj"] = 0
            json.dump(config, open(path, "w"))
os.execv({runc!r}, [{runc!r}, *words])
"""


@contextlib.contextmanager
def node(cluster: RealCluster) -> Iterator[str]:
    """One node; gives the address of its engine."""
    if os.uname().machine != "x86_64":
        pytest.skip("the node's pause program is for x86-64")
    built, daemon, runc = programs(), docker_server.program(), shutil.which("runc", path=docker_server.search_path())
    if not (runc and shutil.which("ip")):
        pytest.skip("runc and ip (iproute2) are needed for a node")
    folder = cluster.folder / "node"
    folder.mkdir()
    runtime = folder / "runtime"
    runtime.write_text(_RUNTIME.format(python=sys.executable, runc=runc))
    runtime.chmod(0o755)
    bridge, engine = f"k8s{os.getpid() % 100000}", f"unix://{folder}/sock"
    try:
        _bridge(bridge)
        cluster.start(
            "dockerd", daemon, f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/pid",
            f"--host={engine}", f"--bridge={bridge}", "--iptables=false", "--ip6tables=false",
            "--add-runtime", f"k8s={runtime}", "--default-runtime", "k8s", "--shutdown-timeout=1",
        )  # fmt: skip
        _load_pause(cluster, engine)
        cluster.start(
            "kubelet", built / "kubelet", "--kubeconfig", cluster.kubeconfig, "--container-runtime=docker",
            f"--docker-endpoint={engine}", "--pod-infra-container-image=local/pause:1", "--cgroup-driver=cgroupfs",
            f"--hostname-override={NODE}", "--root-dir", folder / "kubelet", "--cert-dir", folder / "pki",
            "--cgroups-per-qos=false", "--enforce-node-allocatable=", "--fail-swap-on=false", "--address", "127.0.0.1",
            "--healthz-port=0", "--read-only-port=0", f"--port={free_port()}",
            "--eviction-hard=nodefs.available<1Mi,imagefs.available<1Mi,memory.available<1Mi",
        )  # fmt: skip
        cluster.wait_for(f"/api/v1/nodes/{NODE}", '"KubeletReady"', "kubelet")
        yield engine
    finally:
        for name in ("kubelet", "dockerd"):
            if name in cluster.processes:
                cluster.end(name)
        _clean(folder)
        subprocess.run(["ip", "link", "del", bridge], check=False, capture_output=True)


def _bridge(name: str) -> None:
    net = f"172.{16 + os.getpid() % 14}.{os.getpid() % 200}.1/24"
    for words in (
        ["link", "add", name, "type", "bridge"],
        ["addr", "add", net, "dev", name],
        ["link", "set", name, "up"],
    ):
        done = subprocess.run(["ip", *words], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"a bridge for pods cannot be made here: {done.stderr.strip()}")


def _load_pause(cluster: RealCluster, engine: str) -> None:
    from pipeline.engine.ask import NoAnswer, ask

    for _ in range(200):
        with contextlib.suppress(NoAnswer):
            if ask(engine, "/version")[0] == 200:
                break
        if cluster.processes["dockerd"].poll() is not None:
            said = (cluster.folder / "dockerd.log").read_text(errors="replace").strip().splitlines() or ["nothing"]
            pytest.skip(f"a Docker daemon with a bridge cannot be started here: {said[-1][-300:]}")
        time.sleep(0.05)
    import docker

    client = docker.APIClient(base_url=engine)
    client.import_image_from_data(_pause(), repository="local/pause", tag="1", changes=['ENTRYPOINT ["/pause"]'])


def _pause() -> bytes:
    """A tar with a program that does nothing (ELF64 for x86-64): pause(2) for ever."""
    code = bytes.fromhex("b8220000000f05ebf7")
    base, size = 0x400000, 64 + 56 + len(code)
    head = (
        b"\x7fELF\x02\x01\x01"
        + bytes(9)
        + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, base + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        info = tarfile.TarInfo("pause")
        info.size, info.mode = size, 0o755
        tar.addfile(info, io.BytesIO(head + segment + code))
    return archive.getvalue()


def _clean(folder: Path) -> None:
    """What kubelet and the daemon leave: containers' processes, and mounts."""
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if process.name.isdecimal() and f"{folder}/".encode() in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        if (point := line.split()[1]).startswith(str(folder)):
            subprocess.run(["umount", "-l", point], check=False, capture_output=True)
