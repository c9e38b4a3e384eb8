"""Tables in files, read by batches: their numbers and values, and each way in which a file is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagefeatures import storage
from imagefeatures.errors import InputError, Rejected, StoreError, StoreRefused
from imagefeatures.reasons import Reason
from imagefeatures.sources import containers, tables
from imagefeatures.sources.tables import Columns
from imagefeatures.sources.tar import Tar
from imagefeatures.sources.uri_list import UriList
from imagefeatures.storage import StoredObject

Stored = Callable[[str, bytes], StoredObject]


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    """stored(name, content): a file as it is listed."""

    def write(name: str, content: bytes) -> StoredObject:
        (tmp_path / name).write_bytes(content)
        return storage.stat(f"file://{tmp_path}/{name}")

    return write


def read(file: StoredObject, columns: Columns) -> list[tuple[list[int], list[list[str | None]]]]:
    return [(list(numbers), rows) for numbers, rows in tables.rows(file, columns)]


def parquet(columns: dict[str, Any]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


CSV = b"uri,id,other,label\ns3://b/1,7,x,fig\ns3://b/2,,x,\n"
JSON = b'{"uri": "s3://b/1", "id": 7, "label": "fig"}\n\n {"uri": "s3://b/2", "label": null}\n'
PARQUET = parquet({"uri": ["s3://b/1", "s3://b/2"], "id": [7, None], "other": [1, 2], "label": ["fig", None]})


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.csv", CSV), ("A.CSV", CSV), ("a.jsonl", JSON), ("a.ndjson", JSON), ("a.parquet", PARQUET)],
)
def test_the_columns_that_are_asked_for_are_texts(name: str, content: bytes, stored: Stored) -> None:
    file = stored(name, content)
    assert read(file, Columns("uri", "id", "label")) == [([0, 1], [["s3://b/1", "7", "fig"], ["s3://b/2", None, None]])]
    assert read(file, Columns("uri", label="label")) == [([0, 1], [["s3://b/1", "fig"], ["s3://b/2", None]])]
    assert read(file, Columns("uri", "uri")) == [([0, 1], [["s3://b/1"] * 2, ["s3://b/2"] * 2])]
    assert Columns("uri", label="label").asked == ["uri", "label"]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_rows_are_numbered_through_all_batches(suffix: str, stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "BATCH_ROWS", 2)
    monkeypatch.setattr(tables, "CSV_BLOCK", 40)
    monkeypatch.setattr(tables, "BLOCK", 7)
    uris = [f"s3://bucket/{at}" for at in range(5)]
    content = {
        "csv": "uri\n" + "".join(f"{uri}\n" for uri in uris),
        "jsonl": "".join(f'{{"uri": "{uri}"}}\n' for uri in uris),
    }
    file = stored(f"a.{suffix}", parquet({"uri": uris}) if suffix == "parquet" else content[suffix].encode())
    found = read(file, Columns("uri"))
    assert [number for numbers, _ in found for number in numbers] == list(range(5))
    assert [row for _, rows in found for row in rows] == [[uri] for uri in uris]
    assert len(found) > 1
    assert all(len(numbers) == len(rows) for numbers, rows in found)


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"uri,x", []),
        (b"uri,x\n", []),
        (b'\xef\xbb\xbf"uri",x\r\n1,"2\r\n"\r\n3,4', ["1", "3"]),
        (b"uri,x\r1,2\r3,4\r", ["1", "3"]),
        (b'uri,x\n1,5" nails\n3,"a" "b"\n', ["1", "3"]),
        (b'uri\n1\n\n"3"', ["1", "3"]),
        (b"uri,x\n1,2\n,\n", ["1", None]),
        (b"uri" + b",x" * 180_000 + b"\n1" + b"," * 180_000, ["1"]),
    ],
)
def test_a_whole_csv_has_all_its_rows_however_it_ends(content: bytes, rows: list[str | None], stored: Stored) -> None:
    found = read(stored("a.csv", content), Columns("uri"))
    assert [row for _, batch in found for row in batch] == [[uri] for uri in rows]


def test_what_stands_twice_in_an_object_of_json_and_is_not_asked_for_is_no_harm(stored: Stored) -> None:
    row = b'{"uri": "1", "x": 1, "x": 2, "y": {"uri": 3, "uri": 4}}'
    assert read(stored("a.jsonl", row), Columns("uri")) == [([0], [["1"]])]


def test_a_file_of_json_lines_may_be_empty_and_a_last_batch_full(
    stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read(stored("a.jsonl", b"\n \n"), Columns("uri")) == []
    monkeypatch.setattr(tables, "BATCH_ROWS", 2)
    assert read(stored("b.jsonl", b'{"uri": "a"}\n{"uri": "b"}'), Columns("uri")) == [([0, 1], [["a"], ["b"]])]
    with pytest.raises(InputError, match=r"there is no column 'id'; there are uri$"):
        read(stored("c.jsonl", b'{"uri": "a"}\n{"uri": "b"}'), Columns("uri", "id"))


@pytest.mark.parametrize(
    ("name", "content", "columns", "said"),
    [
        ("a.txt", b"", Columns("uri"), "a table's name ends in one of .parquet, .csv, .jsonl, .ndjson"),
        ("a.csv", b"uri,uri\n1,2\n", Columns("uri"), "there are 2 columns 'uri'; rename one"),
        ("a.csv", b"URI,x\n1,2\n", Columns("uri"), "there is no column 'uri' (did you mean URI?); there are URI, x"),
        ("a.csv", b"x,y\n1,2\n", Columns("uri"), "there is no column 'uri'; there are x, y"),
        ("a.csv", b"", Columns("uri"), "it is no whole CSV file with names in its first line (Empty CSV file)"),
        ("a.csv", b"uri,x\n1,2,3\n", Columns("uri"), "it is no whole CSV file with names in its first line (CSV parse"),
        ("a.csv", b'uri,x\n1,2\n3,"4\n5,6\n7,8', Columns("uri"), "(a quote is opened in row 2, and never closed)"),
        ("a.csv", b'uri,x\n1,2\n"3\n5,6\n', Columns("uri"), "it is no whole CSV file"),
        ("a.csv", b'uri\n1\n"3\n5\n', Columns("uri"), "(a quote is opened in row 2, and never closed)"),
        ("a.csv", b"uri,gr\xf6n\n1,2\n", Columns("uri"), "it is no whole CSV file with names in its first line ('utf"),
        ("a.jsonl", b'{"uri": "1", "x": 1, "uri": "2"}', Columns("uri"), "line 1 has 'uri' more than once"),
        ("a.jsonl", b'{"uri": "1"}\n{"id": 7, "\\u0069d": 8}', Columns("uri", "id"), "line 2 has 'id' more than once"),
        (
            "a.parquet",
            parquet({"uri": ["1"], "zzzz": [1]}).replace(b"zzzz", b"z\xffzz"),
            Columns("uri"),
            "no whole Parq",
        ),
        ("a.jsonl", b'{"uri": "1"}\n[7]\n', Columns("uri"), "line 2 is no JSON object"),
        ("a.jsonl", b'{"uri": "1"}\n\n{\n', Columns("uri"), "line 3 is no JSON object"),
        ("a.jsonl", b"[" * 100_000, Columns("uri"), "line 1 is no JSON object"),
        ("a.jsonl", b"{}\n", Columns("uri"), "there is no column 'uri'; there are none of those that were asked for"),
        ("a.parquet", b"none", Columns("uri"), "it is no whole Parquet file ("),
        ("a.parquet", parquet({"x": [1]}), Columns("uri"), "there is no column 'uri'; there are x"),
        ("a.parquet", parquet({"uri": ["a"], "id": [0.5]}), Columns("uri", "id"), "key 'id' is double, which programs"),
        ("a.parquet", parquet({f"c{at}": [1] for at in range(21)}), Columns("uri"), "c18, c19, …"),
        ("a.parquet", parquet({f"c{at}": [1] for at in range(20)}), Columns("uri"), "c18, c19"),
    ],
)
def test_what_is_no_such_table_is_refused_in_one_line(
    name: str, content: bytes, columns: Columns, said: str, stored: Stored
) -> None:
    file = stored(name, content)
    with pytest.raises(InputError) as raised:
        read(file, columns)
    text = str(raised.value)
    assert text.startswith(f"{file.uri}: ")
    assert said in text
    assert "\n" not in text
    assert said != "c18, c19" or text.endswith(said)


def test_labels_of_numbers_with_names_are_the_names_and_keys_are_not(stored: Stored) -> None:
    meta = b'{"info": {"features": {"n": {"names": ["fig", "pear"]}}}}'
    table = pa.table({"uri": ["a", "b"], "n": [1, 0]}).replace_schema_metadata({b"huggingface": meta})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    file = stored("a.parquet", sink.getvalue().to_pybytes())
    assert read(file, Columns("uri", "n", "n")) == [([0, 1], [["a", "1", "pear"], ["b", "0", "fig"]])]


def lines(file: StoredObject) -> list[tuple[int, str]]:
    return list(tables.lines(file))


def test_lines_that_say_something_have_their_numbers(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"\xef\xbb\xbfs3://b/1\r\n\n  # no\n \t\ns3://b/2 \n\xef\xbb\xbfx\n\xff"
    found = [(1, "s3://b/1"), (5, "s3://b/2 "), (6, "\ufeffx"), (7, "\udcff")]
    assert lines(stored("a.txt", text)) == found
    monkeypatch.setattr(tables, "BLOCK", 3)
    assert lines(stored("b.txt", text + b"\n")) == found
    monkeypatch.setattr(tables, "LONGEST_LINE", 6)
    assert lines(stored("c.txt", b"123456\n12345")) == [(1, "123456"), (2, "12345")]
    with pytest.raises(InputError, match=r"c\.txt: a line has more than 6 bytes$"):
        lines(stored("c.txt", b"1234567890\n"))


REPLACED = "it was replaced while it was read; start a new run"


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet", "a.txt"])
@pytest.mark.parametrize("how", ["changed", "gone"])
def test_a_table_that_was_replaced_is_refused(name: str, how: str, stored: Stored) -> None:
    content = {"a.csv": CSV, "a.jsonl": JSON, "a.parquet": PARQUET, "a.txt": b"x"}[name]
    file = stored(name, content)
    path = Path(file.uri.removeprefix("file://"))
    found: Iterator[Any] = tables.lines(file) if name == "a.txt" else tables.rows(file, Columns("uri"))
    next(found)
    path.unlink()
    if how == "changed":
        path.write_bytes(content + b" ")
    with pytest.raises(InputError, match=REPLACED):
        list(found)
    if how == "gone":
        with pytest.raises(InputError, match=REPLACED):
            list(tables.lines(file) if name == "a.txt" else tables.rows(file, Columns("uri")))


# Files that hold many images


def archives(tmp_path: Path) -> Tar:
    return Tar(kind="tar", uri=f"file://{tmp_path}/")


def test_a_source_is_its_file_or_the_files_of_its_folder_that_fit(tmp_path: Path, stored: Stored) -> None:
    for name in ("b.TAR", "a.tar", "c.txt"):
        stored(name, b"x")
    (tmp_path / "_temporary").mkdir()
    stored("_temporary/d.tar", b"x")
    source = archives(tmp_path)
    assert sorted(file.uri.rpartition("/")[2] for file in source.files()) == ["a.tar", "b.TAR"]
    (one,) = Tar(kind="tar", uri=f"file://{tmp_path}/c.txt").files()
    assert (one.uri, one.size, bool(one.etag)) == (f"file://{tmp_path}/c.txt", 1, True)
    folder = Tar(kind="tar", uri=f"file://{tmp_path}")  # without its slash
    assert sorted(file.uri.rpartition("/")[2] for file in folder.files()) == ["a.tar", "b.TAR"]
    source.check()
    assert list(Tar(kind="tar", uri=f"file://{tmp_path}/gone/").files()) == []


def test_files_of_which_one_cannot_be_read_are_refused() -> None:
    good, bad = StoredObject("s3://b/1", 1, ""), StoredObject("s3://b/2", 1, "", Rejected(Reason.BAD_KEY, "odd"))
    assert list(containers.readable(iter([good]))) == [good]
    with pytest.raises(StoreRefused, match=r"^s3://b/2: odd$"):
        list(containers.readable(iter([good, bad])))
    assert containers.first_line(ValueError("one\ntwo")) == "one"
    assert containers.first_line(ValueError()) == "ValueError"


def told(found: list[Any]) -> list[Any]:
    return [(one.reason, one.detail) if isinstance(one, Rejected) else one for one in found]


def test_what_was_read_counts_where_the_file_is_still_the_listed_one(
    tmp_path: Path, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, file = archives(tmp_path), stored("a.tar", b"x")

    def raising(error: Exception) -> Callable[[], Any]:
        def fail() -> Any:
            raise error

        return fail

    assert source.unchanged(file, 2, lambda: [b"1", b"2"]) == [b"1", b"2"]
    own = Rejected(Reason.CORRUPT, "cut")
    assert told(source.unchanged(file, 2, raising(own))) == [(Reason.CORRUPT, "cut")] * 2
    monkeypatch.setattr(storage, "gives_others", lambda *given: asked.append(given) or gives)
    asked: list[Any] = []
    gives = True
    said = (Reason.NOT_READABLE, "away, while the store gives other objects")
    for error in (StoreError("away"), StoreRefused("away")):
        assert told(source.unchanged(file, 2, raising(error))) == [said] * 2
    assert asked == [(file.uri, source.uri, None)] * 2
    only = Tar(kind="tar", uri=file.uri)
    with pytest.raises(StoreRefused, match="away"):  # somebody named it
        only.unchanged(file, 1, raising(StoreRefused("away")))
    assert told(only.unchanged(file, 1, raising(StoreError("away")))) == [said]
    assert asked[2:] == [(file.uri, source.uri, None)]
    gives = False
    for error in (StoreError("away"), StoreRefused("away")):
        with pytest.raises(type(error), match="away"):
            source.unchanged(file, 1, raising(error))
    stored("a.tar", b"xy")
    ((reason, detail),) = told(source.unchanged(file, 1, lambda: [b"1"]))
    assert reason == Reason.CHANGED_DURING_RUN
    assert detail.startswith(f"its file had ETag {file.etag}, and was read with ")
    (tmp_path / "a.tar").unlink()
    gone = (Reason.NOT_FOUND, "its file was listed, and gone when it was read")
    assert told(source.unchanged(file, 2, lambda: [b"1", b"2"])) == [gone] * 2


def test_a_source_that_names_no_image_says_what_is_there(tmp_path: Path, stored: Stored) -> None:
    def said(name: str) -> str:
        return UriList(kind="uri_list", uri=f"file://{tmp_path}/{name}").nothing_there()

    stored("empty.txt", b"")
    assert said("empty.txt") == f"file://{tmp_path}/empty.txt names no image"
    assert said("gone.txt") == f"there is no file or folder file://{tmp_path}/gone.txt"
    (tmp_path / "folder").mkdir()
    assert said("folder/").startswith(f"there is no file file://{tmp_path}/folder/, and none below it that fits [")
