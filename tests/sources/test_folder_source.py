"""A folder as the source of a dataset: what it lists, what it fetches, and both ways to write it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from imagefeatures.dataset_files import load_dataset
from imagefeatures.datasets import Dataset
from imagefeatures.errors import Rejected
from imagefeatures.sources import Folder
from imagefeatures.wording import one_line
from support.photos import fill

GOOD: dict[str, Any] = {"name": "fruit", "source": "s3://photos/fruit/{partition}/"}


def test_the_long_form_says_the_same_as_the_short_one() -> None:
    short = Dataset.model_validate(GOOD | {"pattern": ["*.jpg", "*.png"]})
    long = Dataset.model_validate(
        GOOD | {"source": {"kind": "folder", "uri": GOOD["source"], "pattern": ["*.jpg", "*.png"]}}
    )
    assert short == long
    assert short.source == Folder(uri=GOOD["source"], pattern=("*.jpg", "*.png"))


def test_a_dataset_survives_json_whichever_form_it_had() -> None:
    for given in (GOOD, GOOD | {"pattern": "*.jpg"}, GOOD | {"source": {"uri": "s3://b/", "pattern": "*.jpg"}}):
        dataset = Dataset.model_validate(given)
        written = dataset.model_dump_json()
        assert "pattern" not in json.loads(written)  # it is the source's
        assert Dataset.model_validate_json(written) == dataset


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({"source": {"uri": "s3://b/", "pattern": "*.jpg"}, "pattern": "*.png"}, "pattern: .*is set in source too"),
        ({"source": {"uri": "s3://"}}, "source.uri: .*must be s3://bucket"),
        ({"source": {"kind": "zip", "uri": "s3://b/"}}, "source.kind: must be folder"),
        ({"source": {"uri": "s3://b/", "recursive": True}}, "source.recursive: unknown field"),
        ({"source": {"kind": "folder"}}, "source.uri: is required"),
        ({"source": ["s3://b/"]}, "source: .*must be a text such as s3://bucket/folder/, or a mapping with uri"),
    ],
)
def test_a_mistake_in_either_form_is_named(given: dict[str, Any], refusal: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Dataset.model_validate(GOOD | given)
    assert re.match(refusal, one_line(refused.value))


def test_a_relative_folder_counts_from_the_dataset_file_in_the_long_form_too(tmp_path: Path) -> None:
    path = tmp_path / "fruit.yaml"
    path.write_text("name: fruit\nsource:\n  uri: ../photos/{partition}/\n  pattern: '*.jpg'\n")
    source = load_dataset(path).source
    assert str(source) == f"file://{tmp_path.parent}/photos/{{partition}}/"
    assert str(source.for_partition("2026-11-02")) == f"file://{tmp_path.parent}/photos/2026-11-02/"
    assert source.pattern == ("*.jpg",)


def test_items_are_what_fits_and_are_fetched_in_their_order(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", {"a/1.jpg": b"one", "b/2.png": b"two", "b/3.jpg": b"three"})
    source = Folder(uri=f"file://{folder}/", pattern=("*.jpg",))
    source.check()
    items = list(source.items())
    assert [(item.uri, item.size) for item in items] == [
        (f"file://{folder}/a/1.jpg", 3),
        (f"file://{folder}/b/3.jpg", 5),
    ]
    assert all(item.etag and item.label is item.key is item.locator is None for item in items)
    assert list(source.fetch(items[::-1])) == [b"three", b"one"]
    (folder / "a/1.jpg").unlink()
    (folder / "b/3.jpg").write_bytes(b"another")
    gone, changed = source.fetch(items)
    assert isinstance(gone, Rejected) and gone.reason == "NOT_FOUND"
    assert isinstance(changed, Rejected) and changed.reason == "CHANGED_DURING_RUN"
    assert f"listed with ETag {items[1].etag}, read with " in changed.detail


def test_nothing_to_fetch_is_nothing() -> None:
    assert list(Folder(uri="s3://no-such-bucket/").fetch([])) == []
