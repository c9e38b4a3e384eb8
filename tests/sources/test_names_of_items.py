"""The name of an item that a pattern for names judges, whatever signs are in its URI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imagefeatures import manifest
from imagefeatures.datasets import Dataset
from imagefeatures.sources import uris
from support.doors import parquet, tar
from support.photos import fill


def names(source: dict[str, Any]) -> list[str | None]:
    found = Dataset(name="photos", source=source).source
    return [found.name_of(item) for item in found.items()]


def test_of_a_member_it_is_its_own_and_a_damaged_archive_has_none(tmp_path: Path) -> None:
    members = ["1.jpg", "day/2.jpg", "a#b/3#4.jpg", "5?x=/6.jpg", "7%2F8.jpg"]
    whole = tar([(name, b"x") for name in members])
    fill(tmp_path, {"odd #1/a?b.tar": whole, "odd #1/c.tar": whole[:100]})
    found = names({"kind": "tar", "uri": f"file://{tmp_path}/odd #1/"})
    assert found == ["1.jpg", "2.jpg", "3#4.jpg", "6.jpg", "7%2F8.jpg", None]


def test_of_a_row_of_parquet_it_is_the_files(tmp_path: Path) -> None:
    fill(tmp_path, {"odd #1/a#2.parquet": parquet({"image": [b"x", b"y"]}), "odd #1/b.parquet": b"none"})
    found = names({"kind": "parquet_bytes", "uri": f"file://{tmp_path}/odd #1/"})
    assert found == ["a#2.parquet", "a#2.parquet", None]


def test_of_a_file_it_is_all_after_the_last_slash_and_a_folder_has_none(tmp_path: Path) -> None:
    fill(tmp_path, {"in/a#1?b%20.jpg": b"x", "in/folder/x": b"x"})
    (tmp_path / "in" / "link").symlink_to(tmp_path / "in" / "folder")
    assert names({"uri": f"file://{tmp_path}/in/"}) == ["a#1?b%20.jpg", "x", None]


def test_the_folder_of_a_member_is_one_of_its_archive_and_else_that_where_the_archive_lies(tmp_path: Path) -> None:
    members = ["1.jpg", "./2.jpg", "red/3.jpg", "a/./b//4.jpg", "../up/5.jpg", "/abs/6.jpg", "a/../7.jpg", "r#x/8.jpg"]
    fill(tmp_path, {"day #1/a.tar": tar([(name, b"x") for name in members])})
    dataset = Dataset(name="photos", source={"kind": "tar", "uri": f"file://{tmp_path}/day #1/"})
    labels = [manifest.row_of(dataset, dataset.source, item)["label"] for item in dataset.source.items()]
    assert labels == ["day #1", "day #1", "red", "b", "up", "abs", "day #1", "r#x"]


def test_the_folder_of_a_url_is_not_in_its_query() -> None:
    dataset = Dataset(name="photos", source={"kind": "uri_list", "uri": "file:///list.txt"})
    for uri, label in {
        "https://host/red/1.jpg?to=/blue/2.jpg#/x/": "red", "https://host/1.jpg?to=/blue/2": None,
        "s3://bucket/a?b/1.jpg": "a?b",
    }.items():  # fmt: skip
        assert manifest.row_of(dataset, dataset.source, uris.named(uri, ""))["label"] == label


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("https://host/a/1.jpg?size=/2.png#/3.gif", "1.jpg"),
        ("https://host/a%20b%2F1.jpg", "a b/1.jpg"),
        ("HTTP://host?x=/1.jpg", ""),
        ("https://[::1]:x/%zz.jpg", "%zz.jpg"),
        ("s3://bucket/a?b#c%20.jpg", "a?b#c%20.jpg"),
        ("file:///a/b?c/d#1.jpg", "d#1.jpg"),
    ],
)
def test_of_a_url_it_is_the_last_part_of_its_path(tmp_path: Path, uri: str, name: str) -> None:
    source = Dataset(name="photos", source={"kind": "uri_list", "uri": "file:///list.txt"}).source
    assert source.name_of(uris.named(uri, "file:///list.txt#1")) == name
