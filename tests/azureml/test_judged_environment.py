"""Environments that no test has seen, read and written here and by the SDK: the same JSON, the same packages."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest
from environment_strategies import CONDA, ENVIRONMENT, NAME, PACKAGE, WORD
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from judging import Judge, Refused

from pipeline.azureml import defaults
from pipeline.azureml.environment import CondaDependencies, ContainerRegistry, Environment
from pipeline.azureml.exceptions import UserErrorException
from pipeline.bases._catalogue import default

EXAMPLES = int(os.environ.get("JUDGED_EXAMPLES", "40"))
JUDGED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="JUDGED_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@JUDGED
@given(ENVIRONMENT)
def test_row_36_a_file_of_an_environment_is_dumped_as_the_sdk_dumps_it(judge: Judge, value: dict[str, Any]) -> None:
    assert Environment.from_json(copy.deepcopy(value)).to_json() == judge("environment", value=value)


@JUDGED
@given(ENVIRONMENT)
def test_the_sdk_reads_what_is_written_here(judge: Judge, value: dict[str, Any]) -> None:
    written = Environment.from_json(value).to_json()
    assert judge("environment", value=written) == written


SNIPPETS = [
    "result = Environment('myenv')",
    "result = Environment('myenv'); result.docker.enabled = True; result.docker.base_image = 'r.azurecr.io/a:1'",
    "result = Environment('e'); result.docker.base_dockerfile = 'FROM x'",
    "result = Environment('e'); result.docker.base_dockerfile = 'FROM x'; result.docker.base_image = 'y'",
    "result = Environment('e'); result.docker.base_image = None; result.inferencing_stack_version = 'latest'",
    "result = Environment('e'); result.python.user_managed_dependencies = True; result.python.interpreter_path = '/p'",
    "result = Environment('e'); result.environment_variables = {'A': 'b'}",
    "result = Environment('e'); result.environment_variables['A'] = 'b'; result.version = '7'",
    "result = Environment('e'); result.python.conda_dependencies = CondaDependencies.create(conda_packages=['numpy'])",
    "result = Environment('e'); result.python.conda_dependencies.add_pip_package('numpy')",
    "result = Environment('e').clone('f')",
    "result = Environment.from_docker_image('e', 'image:1')",
    "result = Environment.from_dockerfile('e', 'FROM x\\nRUN y')",
    "result = Environment.from_docker_build_context('e', DockerBuildContext('git', 'https://x/y', 'Dockerfile.a'))",
    "r = ContainerRegistry(); r.address = 'a.b'; result = Environment.from_docker_image('e', 'i', r)",
    "result = Environment('e'); result.docker.shm_size = '1g'; result.docker.arguments = ['-v']; "
    "result.docker.shared_volumes = False; result.docker.platform.architecture = 'arm32v7'",
]


@pytest.mark.parametrize("text", SNIPPETS)
def test_row_37_snippets_leave_what_the_sdk_leaves(judge: Judge, text: str) -> None:
    names: dict[str, Any] = {}
    exec(f"from pipeline.azureml.environment import *\n{text}", names)
    assert names["result"].to_json() == judge("environment_script", text=text)


ARGUMENT = PACKAGE | st.sampled_from(["python=3.9.1", "python", "pip", "-e .", "numpy==1.0", "numpy", "pandas"])
CHANNEL = ("add_channel", "remove_channel")
ACTIONS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(
                ["add_conda_package", "remove_conda_package", "add_pip_package", "remove_pip_package", *CHANNEL]
            ),
            ARGUMENT,
        ),
        st.tuples(st.just("set_python_version"), st.sampled_from(["3.8.13", "3.11.2"])),
        st.tuples(
            st.sampled_from(["set_pip_option", "remove_pip_option", "set_pip_index_url"]),
            st.sampled_from(["--pre", "--index-url https://a/b", "--extra-index-url https://c", "no-option"]),
        ),
        st.tuples(st.just("set_pip_requirements"), st.lists(PACKAGE, max_size=3)),
    ),
    max_size=6,
)


@JUDGED
@given(st.none() | st.lists(PACKAGE, max_size=3), st.none() | st.lists(PACKAGE, max_size=3), st.booleans(), ACTIONS)
def test_row_40_packages_are_edited_as_the_sdk_edits_them(
    judge: Judge, pip: list[str] | None, conda: list[str] | None, created: bool, actions: list[tuple[str, Any]]
) -> None:
    made = CondaDependencies.create(pip_packages=pip, conda_packages=conda) if created else CondaDependencies()
    script = (
        f"CondaDependencies.create(pip_packages={pip!r}, conda_packages={conda!r})"
        if created
        else "CondaDependencies()"
    )
    lines = [f"made = {script}"]
    for name, value in actions:
        try:
            getattr(made, name)(value)
        except UserErrorException:
            refused = "\n".join([*lines, f"made.{name}({value!r})", "result = 1"])
            with pytest.raises(Refused, match="UserErrorException"):
                judge("script", text=refused)
            continue
        lines.append(f"made.{name}({value!r})")
    facts = (
        "[made.as_dict(), [*made.pip_packages], [*made.pip_options], [*made.conda_packages], [*made.conda_channels]]"
    )
    theirs = judge("script", text="\n".join([*lines, f"result = {facts}"]))
    ours = [made.as_dict(), *map(list, (made.pip_packages, made.pip_options, made.conda_packages, made.conda_channels))]
    assert ours == theirs


@JUDGED
@given(CONDA, st.dictionaries(NAME, WORD, max_size=2))
def test_row_40_each_reads_the_yaml_of_the_other(
    judge: Judge, tmp_path: Path, conda: dict[str, Any], variables: dict[str, str]
) -> None:
    value = {**conda, **({"variables": variables} if variables else {})}
    path = tmp_path / "environment.yml"
    path.write_text(CondaDependencies.from_data(value).serialize_to_string(), encoding="utf-8")
    assert judge("script", text=f"result = CondaDependencies({str(path)!r}).as_dict()") == value
    text = f"import json\nresult = CondaDependencies(_underlying_structure=json.loads({json.dumps(value)!r}))"
    path.write_text(judge("script", text=f"{text}.serialize_to_string()"), encoding="utf-8")
    assert CondaDependencies(str(path)).as_dict() == value


def test_row_38_a_password_is_written_as_a_reference(judge: Judge) -> None:
    text = "r = ContainerRegistry(); r.address = 'myregistry.azurecr.io'; r.username = 'u'; r.password = 'pa55word'"
    made = ContainerRegistry()
    made.address, made.username, made.password = "myregistry.azurecr.io", "u", "pa55word"
    theirs = judge(
        "environment_script", text=f"{text}; result = Environment('e'); result.docker.base_image_registry = r"
    )
    ours = Environment("e")
    ours.docker.base_image_registry = made
    assert theirs["docker"]["baseImageRegistry"]["password"] == "pa55word"
    theirs["docker"]["baseImageRegistry"]["password"] = "${env:MYREGISTRY_PASSWORD}"
    assert ours.to_json() == theirs
    assert "pa55word" not in repr(ours) + repr(made) + str(made.password)
    assert made.password == "pa55word"


def test_row_01_the_defaults_are_the_sdks_and_the_catalogues(judge: Judge) -> None:
    assert judge("script", text="result = [DEFAULT_CPU_IMAGE, DEFAULT_GPU_IMAGE]") == [
        defaults.DEFAULT_CPU_IMAGE,
        defaults.DEFAULT_GPU_IMAGE,
    ]
    assert [default(), default("cuda")] == [defaults.DEFAULT_CPU_IMAGE, defaults.DEFAULT_GPU_IMAGE]
