"""Deployment and inference configurations that no test has seen: the same verdicts and values as the SDK's."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from judging import Judge, Refused

from pipeline.azureml.deployment import read_deployment
from pipeline.azureml.environment import CondaDependencies, Environment
from pipeline.azureml.exceptions import AzureMLException
from pipeline.azureml.inference import InferenceConfig

EXAMPLES = int(os.environ.get("JUDGED_EXAMPLES", "80"))
JUDGED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="JUDGED_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
FLAG = st.booleans()
COUNT = st.sampled_from([-1, 0, 1, 2, 5, 60000])
NUMBER = st.sampled_from([-0.5, 0, 0.1, 1, 2.5])
TEXT = st.sampled_from(["", "name", "x.pem"])


def some(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=keys)


KEYS = some(primaryKey=st.just("${env:A}"), secondaryKey=st.just("${env:B}"))
LOCAL = some(port=st.sampled_from([1, 8890, 65535, 65536, -1]))
ACI = some(
    containerResourceRequirements=some(cpu=NUMBER, memoryInGB=NUMBER),
    location=TEXT,
    authEnabled=FLAG,
    sslEnabled=FLAG,
    appInsightsEnabled=FLAG,
    sslCertificate=TEXT,
    sslKey=TEXT,
    cname=TEXT,
    dnsNameLabel=TEXT,
    vaultBaseUrl=TEXT,
    keyName=TEXT,
    keyVersion=TEXT,
    vnetName=TEXT,
    subnetName=TEXT,
    keys=KEYS,
)
AKS = some(
    autoScaler=some(
        autoscaleEnabled=FLAG,
        minReplicas=COUNT,
        maxReplicas=COUNT,
        refreshPeriodInSeconds=COUNT,
        targetUtilization=COUNT,
    ),
    dataCollection=some(storageEnabled=FLAG),
    authEnabled=FLAG,
    tokenAuthEnabled=FLAG,
    containerResourceRequirements=some(cpu=NUMBER, memoryInGB=NUMBER, cpuLimit=NUMBER, memoryInGBLimit=NUMBER),
    appInsightsEnabled=FLAG,
    scoringTimeoutMs=COUNT,
    maxConcurrentRequestsPerContainer=COUNT,
    maxQueueWaitMs=COUNT,
    numReplicas=COUNT,
    keys=KEYS,
    gpuCores=COUNT,
    livenessProbeRequirements=some(
        periodSeconds=COUNT,
        initialDelaySeconds=COUNT,
        timeoutSeconds=COUNT,
        successThreshold=COUNT,
        failureThreshold=COUNT,
    ),
    namespace=st.sampled_from(["", "ml", "-ml", "ML", "a" * 63, "a" * 64]),
    computeTargetName=TEXT,
)
# One wrong setting in a file is rare enough that most of the rest is judged, too.
SANE = AKS.map(lambda value: {key: part for key, part in value.items() if "-1" not in str(part)})
DEPLOYMENT = st.one_of(
    LOCAL.map(lambda rest: {"computeType": "local", **rest}),
    ACI.map(lambda rest: {"computeType": "ACI", **rest}),
    st.one_of(AKS, SANE).map(lambda rest: {"computeType": "aks", **rest}),
)


@JUDGED
@given(DEPLOYMENT)
def test_row_52_a_deployment_configuration_is_judged_alike(judge: Judge, tmp_path: Path, value: dict[str, Any]) -> None:
    path = tmp_path / "deploymentconfig.json"
    path.write_text(json.dumps(value))
    theirs, words = None, ""
    try:
        theirs = judge("deployment", value=value)
    except Refused as error:
        words = str(error)
    try:
        ours = read_deployment(path)
    except AzureMLException as error:
        assert theirs is None, f"the SDK takes what is refused here: {error}"
        return
    assert theirs is not None, f"the SDK refuses what is taken here: {words}"
    assert {name: part for name, part in vars(ours).items() if name in theirs} == theirs
    again = judge("deployment", value=ours.to_json())
    assert again == theirs, "what is written back is another thing"


GOOD = "def init(): pass\ndef run(data): return data\n"
SCRIPTS = {
    "score.py": GOOD,
    "score.txt": GOOD,
    "two-words.py": GOOD,
    "1st.py": GOOD,
    "class.py": GOOD,
    "broken.py": "def run(:\n",
    "nul.py": "x = 1\0",
    "ünder.py": GOOD,
    "latin.py": "# -*- coding: latin-1 -*-\n",
    "inner/score.py": GOOD,
    "empty.py": "",
}


@pytest.mark.parametrize("script", [*SCRIPTS, "missing.py", ""])
@pytest.mark.parametrize("source", [None, "code", "missing"])
def test_row_42_an_entry_script_is_judged_alike(judge: Judge, tmp_path: Path, script: str, source: str | None) -> None:
    for name, text in SCRIPTS.items():
        path = tmp_path / "code" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    folder = str(tmp_path / source) if source else None
    # Without a source directory the script is relative to the current folder; the judge has another one.
    entry = script if source or not script else str(tmp_path / "code" / script)
    taken = []
    for ask in (
        lambda: judge("inference", entry_script=entry, source_directory=folder, environment=None),
        lambda: InferenceConfig(entry, source_directory=folder),
    ):
        try:
            ask()
            taken.append(True)
        except (Refused, AzureMLException):
            taken.append(False)
    assert taken[0] == taken[1]


def test_row_41_an_environment_without_the_server_is_refused_where_the_sdk_warns(judge: Judge, tmp_path: Path) -> None:
    script = tmp_path / "score.py"
    script.write_text(GOOD)
    environment = Environment("e")
    environment.python.conda_dependencies = CondaDependencies.from_data(
        {"dependencies": ["python=3.11", {"pip": ["numpy"]}]}
    )
    asked = {"entry_script": str(script), "source_directory": None}
    assert judge("inference", **asked, environment=environment.to_json()) == "taken"
    with pytest.raises(AzureMLException, match=r"no azureml-defaults.*azureml-defaults>=1\.0\.45"):
        InferenceConfig(str(script), environment)
