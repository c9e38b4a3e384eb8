"""The models by name: what is said of each is what Keras says."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from imagefeatures.models.backbones import BACKBONES, DEFAULT, planned_as
from imagefeatures.models.downloads import address_of
from imagefeatures.settings import REPOSITORY
from support.snippets import plain, section

NAMES = [
    "mobilenet", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0", "efficientnet_b1",
    "efficientnet_b2", "efficientnet_b3", "efficientnet_v2_b0", "efficientnet_v2_s", "resnet50", "resnet101",
    "resnet50_v2", "densenet121", "vgg16", "vgg19", "inception_v3", "xception", "nasnet_mobile", "convnext_tiny",
]  # fmt: skip
MODES = {
    "densenet": "torch",
    "resnet": "caffe",
    "vgg16": "caffe",
    "vgg19": "caffe",
    **dict.fromkeys(["mobilenet", "mobilenet_v2", "resnet_v2", "inception_v3", "xception", "nasnet"], "tf"),
}
"""The mode that preprocess_input of a module of keras.applications has."""


def keras_sources() -> dict[str, str]:
    """The modules of keras.applications as texts; Keras itself is not imported."""
    (package,) = importlib.util.find_spec("keras").submodule_search_locations
    return {path.stem: path.read_text("utf-8") for path in Path(package, "src", "applications").glob("*.py")}


def module_of(name: str) -> str:
    """The module of keras.applications that has a model's class."""
    pattern = rf"^def {BACKBONES[name].architecture}\("
    (module,) = [module for module, text in keras_sources().items() if re.search(pattern, text, re.MULTILINE)]
    return module


def test_the_names_are_these() -> None:
    assert list(BACKBONES) == NAMES
    assert DEFAULT in BACKBONES


@pytest.mark.parametrize("name", NAMES)
def test_scale_and_file_are_those_of_keras(name: str) -> None:
    spec, module, sources = BACKBONES[name], module_of(name), keras_sources()
    text = sources[module]
    mode = re.search(r'preprocess_input\(\s*x, data_format=data_format, mode="(\w+)"', text)
    assert spec.scale == (mode[1] if mode else "none")
    assert spec.scale == MODES.get(module, "none")
    if module == "resnet_v2":  # it leaves its files to the other ResNet
        text = sources["resnet"]
    if spec.weights_hash:
        assert f'"{spec.weights_hash}"' in text
    else:
        assert "file_hash" not in text
    host, folder = re.match(r"(https://[^/]+)/(.+)/[^/]+$", address_of(spec.weights)).groups()
    assert host == "https://storage.googleapis.com"
    joined = re.sub(r'"\s*\n\s*"', "", text)  # a long text of Python in several parts
    assert f"{host}/{folder}/" in joined


def test_a_hash_belongs_to_one_model() -> None:
    hashes = [spec.weights_hash for spec in BACKBONES.values() if spec.weights_hash]
    assert len(set(hashes)) == len(hashes) == 18
    assert {name for name, spec in BACKBONES.items() if spec.weights_hash is None} == {"mobilenet", "mobilenet_v2"}


def test_the_digest_of_the_arrays_is_known_of_the_default_alone() -> None:
    assert [name for name, spec in BACKBONES.items() if spec.weights_sha256] == [DEFAULT]


def test_no_two_models_have_the_same_fingerprint() -> None:
    same = "0" * 64  # even if their weights had the same digest
    prints = {
        spec.model_copy(update={"weights_sha256": same}).fingerprint(spec.preprocessing) for spec in BACKBONES.values()
    }
    assert len(prints) == len(BACKBONES)


def test_only_a_digest_that_was_taken_at_first_use_may_differ_from_the_package() -> None:
    resnet = BACKBONES["resnet50"].model_copy(update={"weights_sha256": "1" * 64})
    assert planned_as("resnet50", resnet)
    assert not planned_as("resnet101", resnet)
    assert not planned_as("resnet50", resnet.model_copy(update={"scale": "tf"}))
    assert planned_as(DEFAULT, BACKBONES[DEFAULT])
    assert not planned_as(DEFAULT, BACKBONES[DEFAULT].model_copy(update={"weights_sha256": "1" * 64}))


def test_the_document_names_every_model_once_in_its_families() -> None:
    table, _ = section(REPOSITORY / "docs" / "models.md", "By name").tables
    named = [name for row in table for name in re.findall(r"`(\w+)`", row[1])]
    assert sorted(named) == sorted(NAMES)
    assert plain(table[0][0]) == "MobileNet"
