"""The catalogue of base images: what it knows, its defaults, and images that need what a target has not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.bases import _catalogue as catalogue
from pipeline.errors import ManifestError
from pipeline.manifest.load import load
from pipeline.manifest.requires import normal

AZURE = "mcr.microsoft.com/azureml/"


def test_row_01_the_default_bases_are_those_of_the_sdk() -> None:
    assert catalogue.default() == f"{AZURE}openmpi4.1.0-ubuntu22.04:20251130.v1"
    assert catalogue.default("cuda") == f"{AZURE}openmpi4.1.0-cuda11.8-cudnn8-ubuntu22.04"
    old = catalogue.find(f"{AZURE}intelmpi2018.3-ubuntu16.04:20200821.v1")
    assert old is not None
    assert old.default_of == ("azureml-core 1.13.0",)


def test_row_16_the_first_bases_are_on_ubuntu_and_on_cuda() -> None:
    built = {one.reference.removeprefix(AZURE): one.built_on for one in catalogue.every()}
    assert built["intelmpi2018.3-ubuntu16.04"] == "ubuntu:16.04"
    assert built["openmpi3.1.2-cuda10.0-cudnn7-ubuntu16.04"] == "nvidia/cuda:10.0-cudnn7-devel-ubuntu16.04"


def needs(name: str) -> str:
    known = catalogue.find(AZURE + name)
    assert known is not None
    return known.accelerator


def test_row_30_the_sample_of_a_base_of_ones_own() -> None:
    assert needs("o16n-sample-user-base/ubuntu-miniconda") == "none"


def test_row_31_onnx_runtime_on_the_processor() -> None:
    assert {needs("onnxruntime:latest"), needs("onnxruntime")} == {"none"}


def test_row_32_onnx_runtime_with_cuda() -> None:
    assert needs("onnxruntime:latest-cuda") == "cuda"


def test_row_33_onnx_runtime_with_tensorrt() -> None:
    assert needs("onnxruntime:latest-tensorrt") == "cuda"


def test_row_34_onnx_runtime_on_vadm() -> None:
    assert needs("onnxruntime:latest-openvino-vadm") == "vadm"


def test_row_35_onnx_runtime_on_myriad() -> None:
    assert needs("onnxruntime:latest-openvino-myriad") == "myriad"


def test_a_mirror_has_the_same_images_by_their_paths() -> None:
    known = catalogue.find("mirror.example.com/mcr/azureml/openmpi4.1.0-ubuntu22.04:any")
    assert known is not None
    assert known.holds["mpi"] == "openmpi 4.1.0"


@pytest.mark.parametrize("name", ["python:3.11", AZURE + "onnxruntime:v0.4.0", "example.com/openmpi4.1.0-ubuntu22.04"])
def test_what_is_not_in_it_is_not_guessed(name: str) -> None:
    assert catalogue.find(name) is None


def test_it_names_only_what_requirements_know() -> None:
    for one in catalogue.every():
        assert set(normal(dict(one.holds))) == set(one.holds), one.reference


MANIFEST = """\
version: 1
name: shop
bases: {{gpu: {{image: {image}}}}}
images:
  below: {{base: gpu, command: [x]}}
  web: {{base: below}}
targets: {{here: {{local: {{image: web, port: 8890{more}}}}}}}
"""


@pytest.mark.parametrize("image", ["'{}onnxruntime:latest-cuda'", "{{reference: '{}onnxruntime:latest-tensorrt'}}"])
def test_row_32_an_image_that_needs_cuda_is_refused_on_a_target_without(
    project: Callable[..., Path], image: str
) -> None:
    folder = project({"m.yaml": MANIFEST.format(image=image.format(AZURE), more="")})
    with pytest.raises(ManifestError) as caught:
        load(folder / "m.yaml", environ=os.environ)
    found = caught.value.diagnostics[0]
    assert found.location.line == 7
    assert "base gpu, which needs cuda, and this target gives none" in found.message
    assert "gpus" in found.remedy


@pytest.mark.parametrize(("image", "more"), [("onnxruntime:latest-cuda", ", gpus: all"), ("onnxruntime", "")])
def test_row_32_a_target_that_has_what_the_base_needs_takes_it(
    project: Callable[..., Path], image: str, more: str
) -> None:
    folder = project({"m.yaml": MANIFEST.format(image=AZURE + image, more=more)})
    assert load(folder / "m.yaml", environ=os.environ).images["web"].base == "below"
