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
from imagefeatures.sources import Folder, PassedOver
from imagefeatures.wording import one_line
from support.photos import fill
from support.shared import BUCKET

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


def test_a_name_of_one_letter_is_a_folder_beside_the_dataset_file() -> None:
    assert str(Folder(uri="a").beside(Path("/data"))) == "file:///data/a"


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


NAMES = (
    "1.jpg", "2.JPG", "notes.txt", ".DS_Store", "a/._3.jpg", "a/3.jpg", "a/@eaDir/3.jpg/S.jpg", "raw/4.jpg", "_SUCCESS",
)  # fmt: skip


def taken(folder: Path, passed: PassedOver | None = None, **fields: Any) -> list[str]:
    source = Folder(uri=f"file://{folder}", **fields)
    names = [item.uri.removeprefix(f"file://{folder}/") for item in source.items(passed)]
    assert all(source.matches(f"file://{folder}/{name}") for name in names if not name.endswith("/"))
    return names


def test_what_is_passed_over_is_counted_by_its_cause(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", dict.fromkeys(NAMES, b"x"))
    passed = PassedOver()
    assert taken(folder, passed, pattern=["*.jpg"], exclude=["raw/"]) == ["1.jpg", "a/3.jpg"]
    assert passed.counts == {"pattern": 2, "exclude": 1, "default_excludes": 4}
    assert passed.examples["exclude"] == [f"file://{folder}/raw/4.jpg"]
    assert len(passed.examples["default_excludes"]) == 3  # the first of them
    assert passed.in_another_case == 1
    assert str(passed).startswith(f"7 objects passed over: default_excludes 4 (such as file://{folder}/.DS_Store), ")
    assert taken(folder, pattern=["*.jpg"], exclude=["RAW/"], ignore_case=True) == ["1.jpg", "2.JPG", "a/3.jpg"]
    everything = PassedOver()
    assert taken(folder, everything, default_excludes=False) == sorted(NAMES)
    assert everything.counts == {}


def test_exclude_has_a_short_form_beside_pattern(tmp_path: Path) -> None:
    short = Dataset.model_validate(GOOD | {"pattern": "*.jpg", "exclude": ["thumbs/", "raw/*"]})
    assert short.source == Folder(uri=GOOD["source"], pattern=("*.jpg",), exclude=("thumbs/", "raw/*"))
    assert (short.pattern, short.exclude) == (None, None)
    mixed = Dataset.model_validate(GOOD | {"source": {"uri": "s3://b/", "pattern": "*.jpg"}, "exclude": "thumbs/"})
    assert mixed.source == Folder(uri="s3://b/", pattern=("*.jpg",), exclude=("thumbs/",))
    assert Dataset.model_validate_json(mixed.model_dump_json()) == mixed


def test_an_excluded_folder_is_no_row_and_no_other_pattern_hides_one(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", {"a/1.jpg": b"x"})
    (folder / "latest").symlink_to("a")
    (folder / "@eaDir").symlink_to("a")
    assert taken(folder, pattern=["*.jpg"]) == ["a/1.jpg", "latest/"]
    for exclude in ("latest/", "latest", "/latest/", "l*"):
        assert taken(folder, pattern=["*.jpg"], exclude=[exclude]) == ["a/1.jpg"]


def test_on_s3_neither_scheme_nor_bucket_nor_prefix_is_judged(s3: Any) -> None:
    for key in ("sub/s1.jpg", "sub/x1.jpg", "sub/.x2.jpg", "sub/deep/s2.png", "sub/", "sub/day_$folder$"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"" if key.endswith(("/", "$")) else b"x")
    passed = PassedOver()

    def taken(pattern: str) -> list[str]:
        found = Folder(uri=f"s3://{BUCKET}/sub", pattern=pattern).items(passed)
        return [item.uri.removeprefix(f"s3://{BUCKET}/sub/") for item in found]

    assert taken("s*.jpg") == ["s1.jpg"]
    assert passed.counts == {"folder_marker": 1, "default_excludes": 1, "pattern": 3}
    assert taken("[!.]*.jpg") == ["s1.jpg", "x1.jpg"]
    assert taken("sub/*") == []
    assert taken("deep/*") == ["deep/s2.png"]
    assert taken("/s*") == ["s1.jpg"]


def test_nothing_to_fetch_is_nothing() -> None:
    assert list(Folder(uri="s3://no-such-bucket/").fetch([])) == []
