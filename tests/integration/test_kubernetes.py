"""The kubernetes target on a real Kubernetes (K8S_DIR): the suite of every cluster, services, rollbacks, canaries."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "kubernetes"))

import kubernetes_server
import registry_server
from kubernetes_releases import Time, release, target_in
from kubernetes_server import RealCluster
from kubernetes_suite import ClusterSuite, Hands
from registry_server import RealRegistry

from pipeline.cli._door import run
from pipeline.errors import RolloutError, UsageError
from pipeline.kubernetes.api import Cluster, Forbidden, Gone, Unauthorized, resource_of
from pipeline.kubernetes.client import KubernetesCluster, connect
from pipeline.kubernetes.compare import added_by_hand
from pipeline.kubernetes.objects import deployment, service
from pipeline.kubernetes.rights import check, needed
from pipeline.stages import gate

pytestmark = pytest.mark.kubernetes


@pytest.fixture(scope="session")
def plane() -> Iterator[RealCluster]:
    with kubernetes_server.control_plane() as found:
        yield found


def connected(plane: RealCluster, namespace: str = "", context: str = "") -> KubernetesCluster:
    return connect({"KUBECONFIG": str(plane.kubeconfig)}, namespace=namespace, context=context)


def namespace(plane: RealCluster, name: str) -> str:
    """Makes a namespace of this test's own."""
    api = connected(plane)
    api._send("POST", "/api/v1/namespaces", [], {"metadata": {"name": name}}, "application/json").read()
    return name


def hands_of(cluster: KubernetesCluster) -> Hands:
    def change(manager: str, kind: str, name: str, change: dict[str, Any]) -> object:
        query = [("fieldManager", manager)]
        path = cluster._path(resource_of(kind), name)
        response = cluster._send("PATCH", path, query, change, "application/merge-patch+json")
        said = response.read()
        assert response.status == 200, said
        return said

    return change


class TestRealCluster(ClusterSuite):
    """With no nodes: nothing becomes ready, and every object can be had and changed."""

    @pytest.fixture
    def cluster(self, plane: RealCluster, request: pytest.FixtureRequest) -> Iterator[Cluster]:
        name = re.sub("[^a-z0-9]+", "-", request.node.name.lower())[:60].strip("-")
        made = connected(plane, namespace(plane, name))
        yield made
        # Else the node that other tests start tries to run its pods.
        made.delete("Deployment", "shop-prod")

    @pytest.fixture
    def hands(self, cluster: KubernetesCluster) -> Hands:
        return hands_of(cluster)

    def test_what_a_person_set_as_it_is_by_default_is_no_drift(self, cluster: Cluster, hands: Hands) -> None:
        wanted = service(release())
        cluster.apply(wanted)
        hands("kubectl-create", "Service", "shop-prod", {"spec": {"sessionAffinity": "ClientIP"}})
        hands("kubectl-edit", "Service", "shop-prod", {"spec": {"sessionAffinity": "None"}})
        live, target = cluster.get("Service", "shop-prod"), target_in(cluster, Time())
        assert added_by_hand(live or {}) == [(("spec", "sessionAffinity"), "kubectl-edit")]
        assert not [one for one in target.differences(release()) if "Service" in one.field]
        hands("kubectl-edit", "Service", "shop-prod", {"spec": {"sessionAffinity": "ClientIP"}})
        found = [str(one) for one in target.differences(release()) if "sessionAffinity" in one.field]
        assert found[0] == "Service shop-prod spec.sessionAffinity: ClientIP → none (set by kubectl-edit)"


def test_refusals_are_told_in_words(plane: RealCluster) -> None:
    wanted = deployment(release())
    with pytest.raises(Gone, match="there is no namespace 'nowhere'"):
        connected(plane, "nowhere").apply(wanted)
    with pytest.raises(Forbidden, match=r"user visitor may not get deployments\.apps in the namespace default"):
        connected(plane, context="visitor").get("Deployment", "x")
    connected(plane).apply(service(release(service={"type": "NodePort"})))
    with pytest.raises(ConnectionError, match=r"user visitor may not create services/proxy in the .*grant it"):
        connected(plane, context="visitor").call("shop-prod", 80, "/score", b"[]", {}, 5)
    with pytest.raises(UsageError, match="does not accept the credentials"):
        connected(plane, context="stranger").get("Deployment", "x")
    with pytest.raises(UsageError, match=r"there is no context 'admim'.*did you mean 'admin'"):
        connected(plane, context="admim")
    made = {**wanted, "metadata": {"name": "other"}}
    connected(plane).apply(made)
    made = json.loads(json.dumps(made).replace("stable", "steady"))
    with pytest.raises(
        UsageError, match=r"field is immutable .*'kubectl delete deployment other -n default', then run"
    ):
        connected(plane).apply(made)
    connected(plane).delete("Deployment", "other")
    with pytest.raises(UsageError, match="the cluster does not take Deployment"):
        connected(plane).apply({**wanted, "spec": {**wanted["spec"], "replicas": "many"}})


def grant(plane: RealCluster, space: str, *rules: dict[str, list[str]]) -> None:
    """Lets `visitor` do this in a namespace."""
    api, group = connected(plane), "rbac.authorization.k8s.io"
    head = {"apiVersion": f"{group}/v1", "metadata": {"name": "some", "namespace": space}}
    role = {**head, "kind": "Role", "rules": list(rules)}
    of = {"apiGroup": group, "kind": "Role", "name": "some"}
    binding = {**head, "kind": "RoleBinding", "roleRef": of, "subjects": [{"kind": "User", "name": "visitor"}]}
    for plural, value in (("roles", role), ("rolebindings", binding)):
        path = f"/apis/{group}/v1/namespaces/{space}/{plural}"
        assert api._send("POST", path, [], value, "application/json").status == 201


def test_rights_that_are_missing_are_named_together(plane: RealCluster) -> None:
    space = namespace(plane, "rights")
    every = ["get", "list", "create", "patch", "update", "delete"]
    grant(
        plane,
        space,
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": every},
        {"apiGroups": [""], "resources": ["services", "secrets"], "verbs": every[:-1]},
        {"apiGroups": ["networking.k8s.io"], "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": ["list"]},
    )
    found = connected(plane, space, "visitor")
    with pytest.raises(Forbidden, match=r"namespace rights: delete services; list pods; create services/proxy \("):
        check(found, {}, scores=True)
    # One by one, as where the rules do not tell all, it is the same.
    wanted = needed({}, scores=True)
    assert [right for right in wanted if not found._may(right)] == found.lacking(wanted)


def account(plane: RealCluster, space: str, config: Path) -> None:
    """A service account who may all in a namespace, made anew, and a kubeconfig with its token."""
    api, group = connected(plane, space), "rbac.authorization.k8s.io"
    path, name = f"/api/v1/namespaces/{space}/serviceaccounts", {"metadata": {"name": "ci"}}
    api._send("DELETE", f"{path}/ci", []).read()
    assert api._send("POST", path, [], name, "application/json").status == 201
    subject = {"kind": "ServiceAccount", "name": "ci", "namespace": space}
    role = {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"}
    binding = {"apiVersion": f"{group}/v1", "kind": "RoleBinding", **name, "roleRef": role, "subjects": [subject]}
    path_of_binding = f"/apis/{group}/v1/namespaces/{space}/rolebindings"
    assert api._send("POST", path_of_binding, [], binding, "application/json").status in (201, 409)
    ask = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    given = json.loads(api._send("POST", f"{path}/ci/token", [], ask, "application/json").read())
    value = json.loads(plane.kubeconfig.read_text())
    value["users"].append({"name": "ci", "user": {"token": given["status"]["token"]}})
    value["contexts"].append({"name": "ci", "context": {"cluster": "c", "user": "ci", "namespace": space}})
    config.write_text(json.dumps({**value, "current-context": "ci"}))


def revoked(plane: RealCluster, space: str, config: Path) -> None:
    """Returns once the token of this kubeconfig is refused: what was accepted is, for some seconds."""
    used = connect({}, config=str(config))
    connected(plane, space)._send("DELETE", f"/api/v1/namespaces/{space}/serviceaccounts/ci", []).read()
    while used._sent("GET", f"/api/v1/namespaces/{space}/pods", []).status != 401:
        assert plane.processes["apiserver"].poll() is None


@pytest.mark.slow
@pytest.mark.parametrize("anew", [False, True])
def test_a_token_that_is_revoked_within_a_rollout(plane: RealCluster, tmp_path: Path, anew: bool) -> None:
    space, config, time = namespace(plane, f"revoked-{anew}".lower()), tmp_path / "config", Time()
    account(plane, space, config)
    target = target_in(connect({}, config=str(config)), time)

    def wait(seconds: float) -> None:
        if not time.now:
            revoked(plane, space, config)
            if anew:
                account(plane, space, config)
        time.wait(seconds)

    ends = (RolloutError, "was not healthy after 60 s") if anew else (Unauthorized, r"user ci \(context ci in")
    with pytest.raises(ends[0], match=ends[1]):
        gate.release(target, release(), verified=target.verified(), deadline=60, clock=time, wait=wait)
    assert (time.now < 10) != anew
    connected(plane, space).delete("Deployment", "shop-prod")


# -- with a node --------------------------------------------------------------------------------------------------

SERVER = """\
package main

import ("fmt"; "net/http"; "os"; "time")

func main() {
    mode, _ := os.ReadFile("/srv/mode")
    fmt.Println("mode", string(mode))
    switch string(mode) {
    case "crash":
        fmt.Println("cannot find the model"); os.Exit(3)
    case "deaf":
        time.Sleep(time.Hour)
    }
    http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ok") })
    http.HandleFunc("/score", func(w http.ResponseWriter, r *http.Request) {
        if string(mode) == "wrong" { w.WriteHeader(500); return }
        fmt.Fprintf(w, "[%q]", string(mode))
    })
    http.ListenAndServe(":8080", nil)
}
"""
MANIFEST = """\
version: 1
name: shop
registries:
  here: {{address: "{registry}", username: me, password: "${{env:REGISTRY_PASSWORD}}"}}
bases:
  server: {{archive: base.tar}}
layers:
  mode: {{files: [{{from: mode, to: /srv/mode}}]}}
images:
  web:
    base: server
    layers: [mode]
    command: [/server]
    user: 1000
    checks: {{score: {{request: [1], expect: {{type: array}}}}}}
    push: {{to: here, repository: shop/web}}
targets:
  prod:
    kubernetes:
      image: web
      namespace: {namespace}
      port: 8080
      replicas: 2
      env: {{API_TOKEN: "${{env:API_TOKEN}}"}}
      health: {{deadline: 60}}
"""


@pytest.fixture(scope="session")
def node(plane: RealCluster) -> Iterator[str]:
    with kubernetes_server.node(plane) as engine:
        yield engine


@pytest.fixture(scope="session")
def registry() -> Iterator[RealRegistry]:
    with registry_server.running(users={"me": "s3cret-word"}) as found:
        yield found


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A `docker save` archive with one static program."""
    folder = tmp_path_factory.mktemp("server")
    go = shutil.which("go") or shutil.which("go", path="/usr/lib/go/bin")
    if go is None:
        pytest.skip("no Go compiler to make the service with")
    (folder / "server.go").write_text(SERVER)
    environ = {**os.environ, "CGO_ENABLED": "0", "GO111MODULE": "off", "GOFLAGS": "", "GOCACHE": str(folder / "cache")}
    subprocess.run([go, "build", "-o", "server", "server.go"], cwd=folder, env=environ, check=True, capture_output=True)
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(folder / "server", "server")
    from pipeline.digest import digest_of

    config = {"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/"]}}
    documents = {"layer.tar": layer.getvalue()}
    documents["config.json"] = json.dumps(
        {**config, "rootfs": {"type": "layers", "diff_ids": [digest_of(documents["layer.tar"])]}}
    ).encode()
    listing = [{"Config": "config.json", "RepoTags": ["tests.local/server:1"], "Layers": ["layer.tar"]}]
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, data in {**documents, "manifest.json": json.dumps(listing).encode()}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return made.getvalue()


class Shop:
    """A project with a service on the cluster, and the command line."""

    def __init__(self, folder: Path, plane: RealCluster, namespace: str) -> None:
        self.folder, self.namespace = folder, namespace
        secrets = {"REGISTRY_PASSWORD": "s3cret-word", "API_TOKEN": "very-s3cret"}
        self.environ = {**os.environ, **secrets, "KUBECONFIG": str(plane.kubeconfig)}

    def __call__(self, *words: str) -> tuple[int, str]:
        out, err = io.StringIO(), io.StringIO()
        args = [*words[:1], str(self.folder / "shop.yaml"), *words[1:]]
        code = run(args, environ=self.environ, out=out, err=err)
        said = out.getvalue() + err.getvalue()
        assert "s3cret" not in said
        return code, said

    def mode(self, text: str) -> None:
        (self.folder / "mode").write_text(text)


@pytest.fixture
def shop(
    tmp_path: Path,
    plane: RealCluster,
    node: str,
    registry: RealRegistry,
    archive: bytes,
    request: pytest.FixtureRequest,
) -> Shop:
    assert node
    name = re.sub("[^a-z0-9]+", "-", request.node.name.lower())[:40].strip("-")
    made = Shop(tmp_path, plane, namespace(plane, name))
    (tmp_path / "shop.yaml").write_text(MANIFEST.format(registry=registry.address, namespace=made.namespace))
    (tmp_path / "base.tar").write_bytes(archive)
    made.mode("good")
    return made


@pytest.mark.slow
def test_a_service_from_its_start_to_its_rollback(shop: Shop, plane: RealCluster) -> None:
    code, said = shop("run")
    assert code == 0, said
    assert "healthy in 2 pods, scored in" in said
    code, said = shop("run")
    assert "nothing to do" in said, said
    code, said = shop("plan", "--set", "targets.prod.kubernetes.replicas=1")
    assert "prod: Deployment shop-prod spec.replicas: 2 → 1" in said, said
    by_hand = {"spec": {"replicas": 1, "minReadySeconds": 1}}
    hands_of(connected(plane, shop.namespace))("kubectl-edit", "Deployment", "shop-prod", by_hand)
    code, said = shop("status")
    assert "was changed: Deployment shop-prod spec.replicas: 1 → 2 (set by kubectl-edit)" in said, said
    assert "changes" in shop("plan")[1].splitlines()[-1], "the pods go on"
    assert shop("status", "--check")[0] == 10
    assert shop("run")[0] == 0
    assert "was changed" not in shop("status")[1]
    assert shop("status", "--check")[0] == 0
    assert '["good"]' in shop("score")[1]
    shop.mode("crash")
    code, said = shop("run")
    assert code == 5, said
    assert re.search(r"ended with exit code 3, and was started again \d times", said), said
    assert "cannot find the model" in said
    assert "is live again" in said
    assert '["good"]' in shop("score")[1]
    shop.mode("wrong")
    code, said = shop("run")
    assert code == 5, said
    assert "was answered with 500" in said
    shop.mode("better")
    assert shop("run")[0] == 0
    assert '["better"]' in shop("score")[1]
    code, said = shop("rollback")
    assert code == 0, said
    assert '["good"]' in shop("score")[1]
    code, said = shop("run")
    assert code == 0, said
    assert "is pinned to revision" in said
    assert '["good"]' in shop("score")[1]
    shop("rollback", "--lift")
    assert shop("run")[0] == 0
    assert '["better"]' in shop("score")[1]


@pytest.mark.slow
def test_an_image_that_cannot_be_pulled_is_told_of(shop: Shop) -> None:
    text = (shop.folder / "shop.yaml").read_text()
    image = re.search(r'address: "([^"]*)"', text)[1] + "/shop/other:1"  # type: ignore[index]
    patch = f"{{spec: {{template: {{spec: {{containers: [{{name: service, image: '{image}'}}]}}}}}}}}"
    (shop.folder / "shop.yaml").write_text(f"{text}      patches: [{{kind: Deployment, merge: {patch}}}]\n")
    code, said = shop("run")
    assert code == 5, said
    assert "the image cannot be pulled" in said, said
    assert "not found" in said, said
    assert "there is no earlier verified revision to put back, the service is stopped" in said


@pytest.mark.slow
def test_a_canary_on_a_real_cluster(shop: Shop) -> None:
    text = (shop.folder / "shop.yaml").read_text()
    (shop.folder / "shop.yaml").write_text(text + "      strategy: {canary: {steps: [50, 100], pause: 3s}}\n")
    assert shop("run")[0] == 0
    shop.mode("next")
    code, said = shop("run")
    assert code == 0, said
    assert '["next"]' in shop("score")[1]
    code, said = shop("status")
    assert "running" in said
    assert "was changed" not in said


@pytest.mark.slow
def test_what_cannot_go_out_is_told_before_anything_is_built(shop: Shop) -> None:
    code, said = shop("run", "--set", "targets.prod.kubernetes.namespace=nowhere")
    assert code == 2, said
    assert "there is no namespace 'nowhere' in the cluster" in said
    code, said = shop("run", "--set", "targets.prod.kubernetes.context=stranger")
    assert code == 2, said
    assert "the token may have expired" in said
    code, said = shop("run", "--set", "targets.prod.kubernetes.context=visitor")
    assert code == 2, said
    assert "rights are missing in the namespace" in said
    text = (shop.folder / "shop.yaml").read_text()
    (shop.folder / "model.bin").write_text("weights")
    model = "  weights: {model: {name: m, path: model.bin, mount: true}}\n"
    mounted = text.replace("layers:\n", f"layers:\n{model}", 1).replace("layers: [mode]", "layers: [mode, weights]")
    (shop.folder / "shop.yaml").write_text(mounted)
    code, said = shop("run")
    assert code == 2, said
    assert "the cluster is Kubernetes 1.20, and image volumes came with 1.31" in said
    assert "leave `mount: true` out" in said
    code, said = shop("plan")
    assert code == 0, said
    assert "warning: target prod cannot be rolled out as things are" in said
    assert "0 hits" in said, "nothing was built"


@pytest.mark.slow
def test_a_quota_and_what_is_left_at_another_name(shop: Shop, plane: RealCluster) -> None:
    assert shop("run")[0] == 0
    api, path = connected(plane, shop.namespace), f"/api/v1/namespaces/{shop.namespace}/resourcequotas"
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": "2"}}}
    assert api._send("POST", path, [], quota, "application/json").status == 201
    while "used" not in (api._object(*api._ask("GET", f"{path}/q"), "q").get("status") or {}):
        assert plane.processes["controllers"].poll() is None
    shop.mode("next")
    code, said = shop("run")
    assert code == 5, said
    assert "exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2" in said
    assert "is live again" in said
    # At once, and not when the deadline was over: old pods do not wait for it.
    assert "the service did not become healthy: the cluster does not make its pods" in said
    assert "was not healthy after" not in said
    assert api._send("DELETE", f"{path}/q", []).status == 200
    code, said = shop("run", "--set", "targets.prod.kubernetes.name=other")
    assert code == 0, said
    assert f"has left shop-prod in namespace {shop.namespace} of {plane.address}" in said
    code, said = shop("plan", "--set", "targets.prod.kubernetes.name=other")
    assert f"kubectl delete deployment,service,ingress,hpa,secret -n {shop.namespace} -l app" in said
    api.delete("Deployment", "shop-prod")
    assert "has left" not in shop("plan", "--set", "targets.prod.kubernetes.name=other")[1]
