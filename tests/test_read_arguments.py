"""imagefeatures.read: arguments that are hardly meant are refused, and a condition is as in SQL."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyiceberg.expressions import And, In, Not, NotIn

from imagefeatures import read
from imagefeatures.errors import InputError
from imagefeatures.settings import Settings
from support.exporting import publish, rows_of
from support.publishing import DAY
from support.training import LABELS, publish_files


@pytest.fixture(autouse=True)
def _rows(settings: Settings, tmp_path: Path) -> None:
    publish_files(settings, tmp_path, [5, 3])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"partitions": "p1"}, r"partitions is 'p1'; give a list: \['p1'\]"),
        ({"labels": "apple"}, r"labels is 'apple'; give a list: \['apple'\]"),
        ({"labels": 5}, r"labels is 5; give a list: \[5\]"),
    ],
)
def test_one_text_in_the_place_of_several_is_refused(settings: Settings, given: dict[str, Any], words: str) -> None:
    for look in (read.open, lambda name, **rest: read.table(settings, name, **rest)):
        with pytest.raises(InputError, match=rf"^features\.photos: {words}$"):
            look("photos", **given)


def test_one_text_in_the_place_of_several_names_is_refused(settings: Settings) -> None:
    with pytest.raises(InputError, match=r"^features\.photos: label_names is 'abc'; give a list: \['abc'\]$"):
        read.open("photos", label_names="abc")
    with pytest.raises(InputError, match=r"^features\.photos: columns is 'uri'; give a list: \['uri'\]$"):
        read.batches(settings, "photos", columns="uri")
    with pytest.raises(InputError, match=r"columns is 'uri'"):
        read.open("photos").batches("uri")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"labels": [float("nan"), "apple"]}, "labels has nan; each must be a text"),
        ({"labels": [5]}, "labels has 5; each must be a text"),
        ({"labels": [None, b"apple"]}, "labels has b'apple'; each must be a text"),
        ({"partitions": [None]}, "partitions has None; each must be a text"),
        ({"partitions": [dt.date(2026, 11, 2)]}, r"partitions has datetime\.date\(2026, 11, 2\); each must be a text"),
    ],
)
def test_another_value_than_a_text_is_refused(settings: Settings, given: dict[str, Any], words: str) -> None:
    for look in (read.open, lambda name, **rest: read.table(settings, name, **rest)):
        with pytest.raises(InputError, match=rf"^features\.photos: {words}$"):
            look("photos", **given)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([None, "apple"], "has None; each must be a text"),  # a row without a label has -1
        (["apple", float("nan")], "has nan; each must be a text"),
        ([1, 2], "has 1; each must be a text"),
        (["apple", "\udcff"], "has a name that is not UTF-8: .*surrogates not allowed"),
    ],
)
def test_names_of_labels_are_texts(names: Any, words: str) -> None:
    with pytest.raises(InputError, match=rf"^features\.photos: label_names {words}$"):
        read.open("photos", label_names=names)


def test_texts_of_numpy_are_texts(settings: Settings) -> None:
    names = np.array(["pear", "apple"])
    assert read.open("photos", label_names=names, labels=names).to_numpy().labels.tolist() == [0, 1, 0, 1]
    assert read.table(settings, "photos", partitions=np.array([DAY])).num_rows == 8


@pytest.mark.parametrize("dataset", [None, 5, b"photos", Path("photos")])
def test_a_dataset_that_is_no_text_is_not_told_as_a_damaged_table(settings: Settings, dataset: Any) -> None:
    for look in (read.open, lambda name: read.batches(settings, name), lambda name: read.files(settings, name)):
        with pytest.raises(InputError, match=r"^the dataset is .*; it must be a name$"):
            look(dataset)


@pytest.mark.parametrize(
    ("copies", "rows"), [(None, 8), (True, 8), (1, 8), (np.True_, 8), (False, 4), (0, 4), (np.False_, 4)]
)
def test_copies_are_left_out_by_whatever_is_false(settings: Settings, tmp_path: Path, copies: Any, rows: int) -> None:
    day = "2026-11-05"
    publish(settings, tmp_path, [rows_of(range(4), day, copy=copy) for copy in (0, 1)], day)
    where = {"partitions": (day,), "copies": copies}
    assert read.table(settings, "photos", columns=("uri",), **where).num_rows == rows
    assert len(read.open("photos", **where)) == rows


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("label not in ('apple')", {"pear", "plum"}),
        ("label not in ('apple', 'zzz')", {"pear", "plum"}),
        ("not (label in ('apple', 'zzz'))", {"pear", "plum"}),
        ("not (label not in ('apple', 'zzz'))", {"apple"}),
        ("label not in ('apple', 'zzz') or label is null", {"pear", "plum", None}),
        ("not (label in ('apple', 'zzz') or label = 'plum')", {"pear"}),
        ("width not in (1, 2)", {*LABELS}),
        (NotIn("label", ["apple", "zzz"]), {"pear", "plum"}),
        (Not(And(In("label", ["apple", "zzz"]), In("width", [7, 8]))), {"pear", "plum"}),
    ],
)
def test_not_in_is_never_met_by_a_null(settings: Settings, where: Any, expected: set[str | None]) -> None:
    found = read.table(settings, "photos", columns=("label",), where=where)
    assert {*found["label"].to_pylist()} == expected


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"where": "label like '%a'"}, "where is not a condition: LIKE expressions only supports wildcard"),
        ({"where": 5}, "where is 5; it must be a text, or an expression of pyiceberg's"),
        ({"where": "label = '\udcff'"}, "a value of the condition is not UTF-8: .*surrogates not allowed"),
        ({"where": "label not like '\udcff%'"}, "a value of the condition is not UTF-8: "),
        ({"labels": ["\udcff"]}, "a value of the condition is not UTF-8: "),
        ({"labels": ["\udcff", "b"]}, "a value of the condition is not UTF-8: "),
        ({"partitions": ["\udcff"]}, "a value of the condition is not UTF-8: "),
        ({"fingerprint": "\udcff"}, "a value of the condition is not UTF-8: "),
        ({"copies": "no"}, "copies is 'no'; it may be True or False"),
        ({"copies": 2}, "copies is 2; it may be True or False"),
        ({"split": "test", "test_share": "half"}, "test_share is 'half'; it must be between 0 and 1"),
    ],
)
def test_a_wrong_condition_is_not_told_as_a_damaged_table(settings: Settings, given: Any, words: str) -> None:
    with pytest.raises(InputError, match=rf"^features\.photos: {words}") as refused:
        read.batches(settings, "photos", **given)
    assert "\n" not in str(refused.value)
