"""Which rows and which bytes hold what is to be forgotten."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pytest

from imagefeatures.forget import wanted
from imagefeatures.forget.wanted import Needles, Stored, Wanted, mentions

URI = "s3://b/1"


def rows(*pairs: tuple[str | None, str | None]) -> pa.Table:
    columns = {"image_id": [image for image, _ in pairs], "uri": [uri for _, uri in pairs]}
    return pa.table(columns, pa.schema([("image_id", pa.string()), ("uri", pa.string())]))


def test_a_row_is_wanted_by_its_image_or_by_its_uri() -> None:
    table = rows(("a", URI), ("a", "s3://b/2"), (None, URI), (None, None), ("b", "s3://b/3"))
    by_image, by_both = Wanted(frozenset({"a"})), Wanted(frozenset({"a"}), frozenset({URI}))
    assert by_image.columns == ("image_id",)
    assert by_both.columns == ("image_id", "uri")
    assert by_image.mask(table).to_pylist() == [True, True, False, False, False]
    assert by_both.mask(table).to_pylist() == [True, True, True, False, False]
    assert by_image.hold(table.to_batches())
    assert not by_image.hold(rows(("b", URI), (None, URI)).to_batches())
    assert not by_image.hold([])


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[bytes], tuple[str, int]]:
    """URI and size of a file with these bytes."""

    def write(data: bytes) -> tuple[str, int]:
        (tmp_path / "file").write_bytes(data)
        return f"file://{tmp_path}/file", len(data)

    return write


def with_values(*values: bytes) -> Needles:
    needles = Needles([])
    needles.add(pa.table({"uri": pa.array([None] * len(values), pa.string()), "pixels": list(values)}))
    needles.uris.clear()
    return needles


@pytest.mark.parametrize("before", range(10))
def test_bytes_are_found_wherever_a_file_is_cut_into_parts(
    before: int, stored: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wanted, "PART", 8)
    file = stored(b"-" * before + b"s3://b/1" + b"-" * 9)
    assert Needles([URI]).in_object(*file) == Stored(True)
    assert with_values(URI.encode()).in_object(*file) == Stored(True)
    assert Needles([], [URI]).in_object(*file) == Stored(False, frozenset({URI}))
    assert Needles([], [URI, "s3://b/2"]).in_object(*stored(URI.encode("utf-32-le"))) == Stored(False, frozenset({URI}))
    assert Needles(["s3://b/3"], ["s3://b/2"]).in_object(*file) == Stored(False)
    monkeypatch.setattr(wanted, "AFTER", 40)
    goes_on = stored(b"-" * before + b"s3://b/1 " + b"and more of it " * 8)
    assert Needles([], [URI]).in_object(*goes_on, delimited=True) == Stored(False, frozenset({URI}))


def test_nothing_is_found_that_is_in_no_file(stored: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wanted, "PART", 2)
    assert with_values(b"?").in_object(*stored(b"abcd")) == Stored(False)
    assert with_values(b"?ab").in_object(*stored(b"abcd")) == Stored(False)
    assert Needles([]).in_object(*stored(b"abcd")) == Stored(False)


def test_a_uri_that_goes_on_is_another_one_only_where_it_is_delimited(
    stored: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    needles = Needles([], [URI])
    assert needles.in_object(*stored(b"s3://b/12")) == Stored(False, frozenset({URI}))
    assert needles.in_object(*stored(b"s3://b/12"), delimited=True) == Stored(False)
    monkeypatch.setattr(wanted, "PART", 8)
    assert needles.in_object(*stored(b"--------s3://b/1"), delimited=True) == Stored(False, frozenset({URI}))


def test_a_uri_is_judged_once_enough_of_what_follows_it_is_there() -> None:
    text = URI.encode() + b" " + b"x" * (wanted.AFTER - 1)
    assert wanted._has_whole(text, URI.encode(), last=False)
    assert not wanted._has_whole(text[:-1], URI.encode(), last=False)
    assert wanted._has_whole(text[:-1], URI.encode())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("s3://b/1", True),
        ("s3://b/12 s3://b/1", True),
        ("s3://b/12", False),
        ("see s3://b/1.", True),
        ("nothing", False),
    ],
)
def test_a_text_mentions_a_uri_where_it_ends(text: str, found: bool) -> None:
    assert mentions(text.encode(), URI) is found


def test_each_place_of_a_uri_in_a_text_is_looked_at() -> None:
    assert mentions(b"aaa", "aa")


def test_texts_are_looked_for_as_csv_and_json_write_them() -> None:
    assert wanted._texts('a"\u00e9') == {
        'a"\u00e9'.encode(), 'a""\u00e9'.encode(), b'a\\"\\u00e9', 'a\\"\u00e9'.encode(),
    }  # fmt: skip
    assert wanted._written("\udcff") == {b"\xff", b"\\udcff", b"\xff\xdc\0\0"}


VECTOR = [1.0, 2.0]


@pytest.mark.parametrize(
    ("column", "holds"),
    [
        (pa.array(["x", "an-id"]), True),
        (pa.array([URI], pa.large_string()), True),
        (pa.array(["an-id and more"]), False),
        (pa.array(["x", URI]).dictionary_encode(), True),
        (pa.array([["x"], ["an-id"], None]), True),
        (pa.array([[["x"], ["an-id"]]]), True),
        (pa.array([None, VECTOR], pa.list_(pa.float32())), True),
        (pa.array([VECTOR], pa.large_list(pa.float32())), True),
        (pa.array([VECTOR], pa.list_(pa.float32(), 2)), True),
        (pa.array([VECTOR], pa.list_(pa.float64())), False),
        (pa.array([[1.0, None], [2.0, 1.0]], pa.list_(pa.float32())), False),
        (pa.array([b"other", b"pixels"]), True),
        (pa.array([b"pixels"], pa.binary(6)), True),
        (pa.array([b"pixels and more"]), False),
        (pa.array([1, 2]), False),
    ],
)
def test_a_column_holds_a_whole_id_uri_vector_or_picture(column: pa.Array, holds: bool) -> None:
    needles = Needles(["an-id"])
    features = pa.array([VECTOR], pa.list_(pa.float32()))
    needles.add(pa.table({"uri": [URI], "features": features, "pixels": [b"pixels"]}))
    assert needles.in_rows([pa.record_batch({"column": column})]) is holds


TEXT = "see s3://b/1."


@pytest.mark.parametrize(
    ("column", "may_mention"),
    [
        (pa.array(["x", TEXT]), True),
        (pa.array([TEXT], pa.large_string()), True),
        (pa.array([TEXT.encode()]), True),
        (pa.array([TEXT.encode()], pa.large_binary()), True),
        (pa.array(["s3://b/12", None]), False),
        (pa.array([TEXT]).dictionary_encode(), True),
        (pa.array([[TEXT]]), True),
        (pa.array([{"a": 1, "b": TEXT}]), True),
        (pa.array([[(TEXT, 1)]], pa.map_(pa.string(), pa.int64())), True),
        (pa.array([[(1, TEXT)]], pa.map_(pa.int64(), pa.string())), True),
        (pa.array([[(1, 1)]], pa.map_(pa.int64(), pa.int64())), False),
        (pa.array([f'"{TEXT}"'], pa.json_()), True),
        (pa.array([UUID(int=1).bytes], pa.uuid()), False),
        (pa.array([1, None]), False),
        (pa.nulls(1), False),
        (pa.array([np.float16(1)], pa.float16()), False),
        (pa.array([1], pa.decimal128(5)), False),
        (pa.array([b"1234"], pa.binary(4)), False),
        (pa.array(["x"], pa.string_view()), True),  # of an unknown kind it cannot be told
    ],
)
def test_a_column_mentions_a_uri_in_its_texts_or_may_do_so(column: pa.Array, may_mention: bool) -> None:
    assert Needles([]).in_rows([pa.record_batch({"column": column})], [URI]) is may_mention
