"""What the SDK refuses is refused, before anything is written; and what it takes for a service's life is kept to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from lab import BROKEN, Lab

from pipeline.azureml import (
    AciWebservice,
    AksCompute,
    AksWebservice,
    ComputeTarget,
    CondaDependencies,
    Environment,
    InferenceConfig,
    LocalWebservice,
    Model,
    Webservice,
    Workspace,
)
from pipeline.azureml.deploying import Wanted, carry_out
from pipeline.azureml.exceptions import (
    AzureMLException,
    ComputeTargetException,
    ModelNotFoundException,
    UserErrorException,
    WebserviceException,
    WorkspaceException,
)
from pipeline.errors import AssembleError, PipelineError, RolloutError

SCORE = "def init(): pass\ndef run(data): return data\n"


@pytest.fixture
def ws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "score.py").write_text(SCORE)
    (tmp_path / "model.txt").write_text("one")
    return Workspace.create("myworkspace")


def environment(name: str = "myenv") -> Environment:
    made = Environment(name)
    made.python.user_managed_dependencies = True
    made.docker.base_image = "registry.example.com/base:1"
    return made


def inference(**more: Any) -> InferenceConfig:
    return InferenceConfig(entry_script="score.py", environment=environment(), **more)


class Runs:
    """Stands for `pipeline run`: keeps what it was asked for, and ends as told."""

    def __init__(self, error: PipelineError | None = None) -> None:
        self.error = error
        self.manifests: list[str] = []
        self.environ: Mapping[str, str] = {}

    def __call__(self, manifest: Path, environ: Mapping[str, str]) -> None:
        self.manifests.append(manifest.read_text())
        self.environ = environ
        if self.error:
            raise self.error


def kept(ws: Workspace, name: str = "myservice", error: PipelineError | None = None, **more: Any) -> Runs:
    """Deploys without running anything."""
    runs = Runs(error)
    wanted = {"inference": inference(), "deployment": LocalWebservice.deploy_configuration(port=8890), **more}
    carry_out(ws, Wanted(name, **wanted), runs, say=lambda _text: None)
    return runs


@pytest.mark.parametrize("name", ["ab", "x" * 33, "Upper", "1st", "under_score", "ends-", "-begins", "", "a b"])
def test_row_44_names_that_no_service_may_have(ws: Workspace, name: str) -> None:
    with pytest.raises(WebserviceException, match="is no name for a service"):
        Model.deploy(ws, name, [], inference(), LocalWebservice.deploy_configuration())
    assert ws.webservices == {}


@pytest.mark.parametrize("port", [0, -1, 65536, "8890", 1.5])
def test_row_43_ports_that_cannot_be(port: Any) -> None:
    with pytest.raises(WebserviceException, match="port"):
        LocalWebservice.deploy_configuration(port=port)


def test_row_43_without_a_port_any_that_is_free_is_taken_and_kept(ws: Workspace) -> None:
    kept(ws, deployment=LocalWebservice.deploy_configuration())
    first = json.loads((Webservice(ws, "myservice").manifest.parent / "deploymentconfig.json").read_text())["port"]
    assert 1024 <= first <= 65535
    kept(ws, deployment=LocalWebservice.deploy_configuration())
    again = json.loads((Webservice(ws, "myservice").manifest.parent / "deploymentconfig.json").read_text())["port"]
    assert again == first


def test_row_44_models_that_are_none(ws: Workspace) -> None:
    local = LocalWebservice.deploy_configuration()
    with pytest.raises(ModelNotFoundException, match="no model mymodel:7"):
        Model.deploy(ws, "myservice", ["mymodel:7"], inference(), local)
    with pytest.raises(ModelNotFoundException, match=r"'no/where\.pkl' is neither a model's id nor a file"):
        Model.deploy(ws, "myservice", ["no/where.pkl"], inference(), local)
    with pytest.raises(WebserviceException, match="a model is a Model or its id, not int"):
        Model.deploy(ws, "myservice", [1], inference(), local)  # type: ignore[list-item]
    assert ws.webservices == {}


def test_row_44_without_code_there_is_nothing_to_serve_with(ws: Workspace) -> None:
    with pytest.raises(WebserviceException, match="no code to serve the models with"):
        Model.deploy(ws, "myservice", [], None, LocalWebservice.deploy_configuration())
    with pytest.raises(WebserviceException, match="str is no deployment configuration"):
        Model.deploy(ws, "myservice", [], inference(), "local")  # type: ignore[arg-type]


def test_row_44_a_path_is_registered_once(ws: Workspace) -> None:
    for _ in range(2):
        kept(ws, models=["model.txt"])
    assert [model.id for model in Model.list(ws)] == ["model.txt:1"]
    Path("model.txt").write_text("two")
    assert "model.txt/3/model.txt" in kept(ws, models=["model.txt"]).manifests[0]


def test_row_44_a_local_service_is_replaced_and_another_only_when_told(ws: Workspace) -> None:
    kept(ws)
    kept(ws)
    aci = AciWebservice.deploy_configuration(cpu_cores=1, memory_gb=1)
    with pytest.raises(WebserviceException, match="there is a service myservice already, a Local one"):
        Model.deploy(ws, "myservice", [], inference(), aci)
    kept(ws, deployment=aci, overwrite=True)
    assert ws.contents.services.find("myservice").compute_type == "ACI"  # type: ignore[union-attr]
    with pytest.raises(WebserviceException, match="a ACI one"):
        kept(ws, deployment=aci)


def test_row_44_secrets_are_handed_over_and_written_nowhere(ws: Workspace, tmp_path: Path) -> None:
    config = inference()
    registry = config.environment.docker.base_image_registry  # type: ignore[union-attr]
    assert registry
    registry.address, registry.username, registry.password = "registry.example.com", "bob", "hunter2"
    config.environment.environment_variables = {"API_KEY": "t0psecret", "PLAIN": "x"}  # type: ignore[union-attr]
    runs = kept(ws, inference=config)
    assert (runs.environ["REGISTRY_PASSWORD"], runs.environ["API_KEY"]) == ("hunter2", "t0psecret")
    assert "${env:REGISTRY_PASSWORD}" in runs.manifests[0]
    config.environment.register(ws)  # type: ignore[union-attr]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if "hunter2" in path.read_text() or "t0psecret" in path.read_text()]


def test_row_45_an_image_that_cannot_be_made_is_an_error_at_once(ws: Workspace) -> None:
    with pytest.raises(AssembleError):
        kept(ws, error=AssembleError("no base", remedy="take another"))
    service = Webservice(ws, "myservice")
    assert service.state == "failed"
    assert service.error == "no base (take another)"


def test_row_45_waiting_tells_why_a_service_does_not_come_up(ws: Workspace) -> None:
    error = RolloutError("it ended with exit code 3")
    error.log = ("Traceback", "ValueError: no good")
    with pytest.raises(RolloutError):
        kept(ws, error=error)
    service = Webservice(ws, "myservice")
    assert service.state == "failed"
    with pytest.raises(WebserviceException, match="ValueError: no good") as caught:
        service.wait_for_deployment(show_output=True)
    assert caught.value.message == "it ended with exit code 3"


def test_row_46_update_keeps_what_it_is_not_told(ws: Workspace) -> None:
    from pipeline.azureml.updating import updated

    Model.register(ws, "model.txt", "mymodel")
    kept(ws, models=["mymodel:1"])
    record = Webservice(ws, "myservice").record
    wanted = updated(ws, record, None, None, None, {})
    assert (wanted.models, wanted.deployment, wanted.overwrite) == (
        ["mymodel:1"],
        LocalWebservice.deploy_configuration(port=8890),
        True,
    )
    assert wanted.inference and wanted.inference.environment == environment()
    assert updated(ws, record, None, None, None, {"port": 8891}).deployment.port == 8891  # type: ignore[union-attr]
    with pytest.raises(UserErrorException, match="a Local service has no setting cpu_cores"):
        updated(ws, record, None, None, None, {"cpu_cores": 1})
    with pytest.raises(WebserviceException, match="is a Local service and stays one"):
        updated(ws, record, None, None, AciWebservice.deploy_configuration(), {})


def test_row_46_what_is_deleted_is_gone(ws: Workspace) -> None:
    kept(ws)
    service = Webservice(ws, "myservice")
    service.delete()
    assert service.state == "deleted"
    for call in (service.delete, service.get_logs, service.wait_for_deployment, lambda: service.run("1")):
        with pytest.raises(WebserviceException, match="myservice is deleted"):
            call()
    with pytest.raises(WebserviceException, match="WebserviceNotFound"):
        Webservice(ws, "myservice")
    assert LocalWebservice(ws, "myservice", must_exist=False).state == "unknown"
    with pytest.raises(WebserviceException, match="WebserviceNotFound"):
        LocalWebservice(ws, "myservice")


def test_row_45_services_are_listed_by_model_tag_and_kind(ws: Workspace) -> None:
    Model.register(ws, "model.txt", "mymodel")
    kept(ws, "first", models=["mymodel:1"])
    kept(ws, "second", deployment=AksWebservice.deploy_configuration(tags={"area": "a"}, description="d"))

    def names(**wanted: Any) -> list[str]:
        return [service.name for service in Webservice.list(ws, **wanted)]

    assert names() == ["first", "second"]
    assert (names(model_name="mymodel"), names(model_id="mymodel:2")) == (["first"], [])
    assert (names(compute_type="AKS"), names(tags=[["area", "a"]]), names(tags=["b"])) == (["second"], ["second"], [])
    assert isinstance(ws.webservices["second"], AksWebservice)
    assert ws.webservices["second"].description == "d"
    with pytest.raises(WebserviceException, match="second is a AksWebservice"):
        AciWebservice(ws, "second")


def test_row_42_only_the_source_directory_is_copied_without_what_is_ignored(ws: Workspace, tmp_path: Path) -> None:
    source = tmp_path / "src"
    for name in ("score.py", "lib/a.py", "lib/b.log", "data/big.bin", ".git/config", "__pycache__/x.pyc"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(SCORE)
    (source / ".amlignore").write_text("# rules\n*.log\n/data\n")
    config = InferenceConfig(entry_script="score.py", environment=environment(), source_directory="src")
    runs = kept(ws, inference=config)
    part = next((ws.contents.path / "services/myservice/parts").iterdir())
    found = {path.relative_to(part).as_posix() for path in part.rglob("*") if path.is_file()}
    assert found == {"source/src/score.py", "source/src/lib/a.py", "source/src/.amlignore"}
    assert "entry_script: src/score.py" in runs.manifests[0]


def test_row_52_a_cluster_by_its_name(ws: Workspace) -> None:
    with pytest.raises(ComputeTargetException, match="ComputeTargetNotFound"):
        AksCompute(ws, "mycluster")
    where = AksCompute.attach_configuration(resource_group="rg", cluster_name="aks")
    target = ComputeTarget.attach(ws, "mycluster", where)
    assert list(ws.compute_targets) == ["mycluster"]
    runs = kept(ws, deployment=AksWebservice.deploy_configuration(cpu_cores=1, memory_gb=1), target=target)
    assert "compute_target: mycluster" in runs.manifests[0]
    with pytest.raises(WebserviceException, match="a local service has no compute target"):
        kept(ws, target=target)
    target.detach()
    assert ws.compute_targets == {}
    with pytest.raises(ComputeTargetException, match="is no resource id"):
        AksCompute.attach_configuration(resource_id="/subscriptions/x")


def test_row_40_environments_are_registered_in_versions(ws: Workspace) -> None:
    made = environment()
    first = made.register(ws)
    assert (first.name, first.version, made.version) == ("myenv", "1", "1")
    assert environment().register(ws).version == "1"
    other = environment()
    other.python.conda_dependencies = CondaDependencies.create(pip_packages=["azureml-defaults>=1.0.45"])
    assert other.register(ws).version == "2"
    named = environment()
    named.docker.base_image = "registry.example.com/base:2"
    named.version = "mine"
    assert named.register(ws).version == "mine"
    assert Environment.get(ws, "myenv", "1") == first
    assert Environment.get(ws, "myenv").version == "mine"
    assert list(ws.environments) == ["myenv"]
    clash = environment()
    clash.version = "mine"
    with pytest.raises(UserErrorException, match="myenv:mine is another one already"):
        clash.register(ws)
    with pytest.raises(UserErrorException, match="no environment myenv:9"):
        Environment.get(ws, "myenv", "9")
    with pytest.raises(UserErrorException, match="Azure ML itself cannot be had here"):
        Environment.get(ws, "AzureML-Minimal")


def test_a_workspace_is_found_from_below_by_its_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "a/b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    with pytest.raises(UserErrorException, match=r"no config\.json of a workspace"):
        Workspace.from_config()
    (tmp_path / "a/config.json").write_text('{"model_type": "bert"}')
    (tmp_path / ".azureml").mkdir()
    names = {"subscription_id": "s", "resource_group": "g", "workspace_name": "myws"}
    (tmp_path / ".azureml/config.json").write_text(json.dumps(names))
    ws = Workspace.from_config()
    assert (ws.name, ws.subscription_id, ws.resource_group) == ("myws", "s", "g")
    assert ws.get_details()["folder"] == str(tmp_path / ".pipeline/azureml/myws")
    assert Workspace.get("myws").get_details()["id"].endswith("/workspaces/myws")
    assert Workspace("s", "g", "myws").name == "myws"
    assert list(Workspace.list("s")) == ["myws"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".azureml/config.json").unlink()
    assert Workspace.from_config().name == "myws", "the only one that lies there"
    Workspace.create("other").write_config()
    assert Workspace.from_config().name == "other"
    with pytest.raises(WorkspaceException, match="there already"):
        Workspace.create("other")
    with pytest.raises(WorkspaceException, match=r'make one: Workspace\.create\(name="third"\)'):
        Workspace.get("third")
    with pytest.raises(UserErrorException, match="names no workspace"):
        Workspace.from_config(tmp_path / "a/config.json")


def test_scripts_go_on_to_catch_what_they_caught() -> None:
    assert issubclass(ModelNotFoundException, WebserviceException)
    for kind in (WebserviceException, UserErrorException, ComputeTargetException, WorkspaceException):
        assert issubclass(kind, AzureMLException)


def test_row_46_a_failed_update_is_told_and_the_next_deployment_mends_it(lab: Lab) -> None:
    ws = Workspace.create("default")
    Model.register(ws, "model.txt", "mymodel")
    assert lab.deploy().code == 0
    service = Webservice(ws, "myservice")
    lab.write("score.py", BROKEN)
    service.update()
    assert service.state == "failed"
    with pytest.raises(WebserviceException, match="ValueError: no good"):
        service.wait_for_deployment()
    assert service.run("1")["model"] == "one", "what was there before serves on"


def test_one_deployment_of_a_service_at_a_time(ws: Workspace) -> None:
    with ws.contents.services.guard("myservice"), pytest.raises(WebserviceException, match="by another process"):
        kept(ws)
    kept(ws)


def test_a_deployment_that_is_interrupted_says_so_and_can_be_made_again(ws: Workspace) -> None:
    def interrupted(_manifest: Path, _environ: Mapping[str, str]) -> None:
        raise KeyboardInterrupt

    wanted = Wanted("myservice", (), inference(), LocalWebservice.deploy_configuration(port=8890))
    with pytest.raises(KeyboardInterrupt):
        carry_out(ws, wanted, interrupted, say=lambda _text: None)
    service = Webservice(ws, "myservice")
    assert (service.state, service.error) == ("failed", "the deployment was interrupted (deploy it again)")
    kept(ws)
    assert Webservice(ws, "myservice").error is None


def test_row_48_and_50_a_file_of_the_old_command_line_goes_round(ws: Workspace, tmp_path: Path) -> None:
    from pipeline.azureml.inference import read_inference

    config = inference()
    config.to_file(tmp_path / "inferenceconfig.json")
    again = read_inference("inferenceconfig.json")
    assert again.to_json() == config.to_json()
    runs = kept(ws, inference=again)
    assert "EXAMPLE_ENV_VAR: EXAMPLE_VALUE" in runs.manifests[0]
    kept_file = ws.contents.path / "services/myservice/inferenceconfig.json"
    assert read_inference(kept_file).environment == config.environment


ACI_SETTINGS = {"cpu_cores": 0.5, "memory_gb": 2, "dns_name_label": "mine", "location": "westeurope"}
AKS_SETTINGS = {"cpu_cores": 1, "memory_gb": 2, "num_replicas": 3, "autoscale_enabled": False, "namespace": "ml"}


def test_row_52_configurations_of_aci_and_aks_become_targets(ws: Workspace) -> None:
    aci = kept(ws, "on-aci", deployment=AciWebservice.deploy_configuration(**ACI_SETTINGS)).manifests[0]
    for line in ("aci:", "cpu: 0.5", "memory_gb: 2", "dns_name_label: mine", "location: westeurope"):
        assert line in aci
    aks = kept(ws, "on-aks", deployment=AksWebservice.deploy_configuration(**AKS_SETTINGS)).manifests[0]
    for line in ("aks:", "cpu: 1", "num_replicas: 3", "namespace: ml", "push:"):
        assert line in aks
    with pytest.raises(WebserviceException, match="num_replicas is given, and autoscaling is on"):
        AksWebservice.deploy_configuration(autoscale_enabled=True, num_replicas=2)
