"""Files that a dataset file names: which texts name one, and where it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagefeatures import beside

SCHEME = "must be s3://bucket/… or file:///…, or a path relative to this file"
EXPANDED = "~, variables and {partition} are not expanded here: write the whole path"


@pytest.mark.parametrize("uri", ["s3://b/birds.onnx", "file:///data/birds", "models/a~b/", "../birds"])
def test_a_uri_and_a_path_name_a_file(uri: str) -> None:
    assert beside.check(uri) == uri


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("http://host/birds.onnx", SCHEME),
        ("://birds", SCHEME),
        ("~/birds.onnx", EXPANDED),
        ("$HOME/birds.onnx", EXPANDED),
        ("s3://b/$", EXPANDED),
        ("{partition}/birds.onnx", EXPANDED),
        ("models/{", EXPANDED),
    ],
)
def test_any_other_text_is_refused(uri: str, why: str) -> None:
    with pytest.raises(ValueError, match=r"^") as refused:
        beside.check(uri)
    assert str(refused.value) == why


@pytest.mark.parametrize(
    ("uri", "absolute"),
    [
        ("birds.onnx", "file:///data/birds.onnx"),
        ("models/../birds/", "file:///data/birds/"),
        ("/birds", "file:///birds"),
        ("s3://b/../birds.onnx", "s3://b/../birds.onnx"),
        ("file:///birds/", "file:///birds/"),
    ],
)
def test_a_path_is_relative_to_the_folder_of_the_dataset_file(uri: str, absolute: str) -> None:
    assert beside.absolute(uri, Path("/data")) == absolute
