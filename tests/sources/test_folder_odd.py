"""What a folder may hold that is no plain file of its pattern: pipes, names that end in a slash, another case."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from imagefeatures.errors import ImageFeaturesError
from imagefeatures.sources import Folder, PassedOver
from support.photos import fill
from support.shared import BUCKET


def test_a_source_that_cannot_be_listed_is_known_before_it_is(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", {"1.jpg": b"x"})
    Folder(uri=f"file://{folder}/").check()
    with pytest.raises(ImageFeaturesError, match=r"1\.jpg"):
        Folder(uri=f"file://{folder}/1.jpg/").check()


def test_a_pipe_is_a_row_only_where_its_name_fits(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", {"1.jpg": b"x"})
    for name in ("2.jpg", "2.txt"):
        os.mkfifo(folder / name)
    items = list(Folder(uri=f"file://{folder}/", pattern=("*.jpg",)).items())
    assert [(Path(item.uri).name, bool(item.rejected)) for item in items] == [("1.jpg", False), ("2.jpg", True)]


def test_an_object_whose_name_ends_in_a_slash_is_one_if_it_has_bytes(s3: Any) -> None:
    for key, body in {"sub/": b"", "sub/day/": b"", "sub/odd.jpg/": b"x", "sub/odd/": b"x"}.items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    passed = PassedOver()
    found = list(Folder(uri=f"s3://{BUCKET}/sub/", pattern=("*.jpg",)).items(passed))
    assert [item.uri for item in found] == [f"s3://{BUCKET}/sub/odd.jpg/"]
    assert passed.counts == {"folder_marker": 2, "pattern": 1}


def test_only_what_ignore_case_would_take_is_counted_as_such(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", dict.fromkeys(("1.JPG", "raw/2.JPG", "3.png"), b"x"))
    passed = PassedOver()
    assert list(Folder(uri=f"file://{folder}/", pattern=("*.jpg",), exclude=("RAW/",)).items(passed)) == []
    assert (passed.counts, passed.in_another_case) == ({"pattern": 3}, 1)


def test_whether_an_object_is_taken_can_be_asked_by_its_name() -> None:
    source = Folder(uri="s3://b/photos", pattern=("*.jpg",), exclude=("raw/",))
    asked = ("1.jpg", "1.png", "raw/1.jpg", ".DS_Store")
    assert [source.matches(f"s3://b/photos/{name}") for name in asked] == [True, False, False, False]


def test_everything_is_there_whatever_the_patterns_say(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", dict.fromkeys(("1.jpg", "1.png", "raw/1.jpg", ".DS_Store"), b"x"))
    source = Folder(uri=f"file://{folder}/", pattern=("*.jpg",), exclude=("raw/",))
    assert len(list(source.items())) == 1
    assert len(list(source.everything())) == 4


@pytest.mark.parametrize("uri", ["s3://b/photos", "s3://b/photos/"])
def test_a_path_counts_from_the_folder_however_that_is_written(uri: str) -> None:
    source = Folder(uri=uri, pattern=("day/*.jpg",))
    assert source.matches("s3://b/photos/day/1.jpg")
    assert not source.matches("s3://b/photos/other/1.jpg")


def test_an_empty_object_is_fetched_as_such(tmp_path: Path) -> None:
    source = Folder(uri=f"file://{fill(tmp_path / 'photos', {'1.jpg': b'one', '2.jpg': b''})}/")
    assert list(source.fetch(list(source.items()))) == [b"one", b""]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"uri": "file:///x/", "anonymous": True}, "anonymous: is for s3:// alone"),
        ({"uri": "x/", "requester_pays": True}, "requester_pays: is for s3:// alone"),
        ({"uri": "s3://b/", "anonymous": True, "requester_pays": True}, "anonymous: whoever pays for requests must "),
    ],
)
def test_only_a_bucket_is_public_or_has_readers_who_pay(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Folder(**fields)
    for field in ("anonymous", "requester_pays"):
        assert getattr(Folder(uri="s3://b/", **{field: True}), field) is True
