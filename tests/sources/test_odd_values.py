"""Tables and archives whose keys, labels and columns are of odd types, or hold what no text can."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagefeatures import manifest, storage
from imagefeatures.errors import InputError
from imagefeatures.sources import ParquetBytes, PassedOver, UrlTable, values
from imagefeatures.sources.containers import LabelColumn
from support.doors import parquet, tar
from support.ingesting import ingested
from support.listing import WORKERS
from support.photos import fill, jpeg
from support.shared import MakeRun

BROKEN = pa.Array.from_buffers(
    pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xffa")]
)  # fmt: skip


def table_of(path: Path) -> UrlTable:
    return UrlTable.model_validate({"kind": "url_table", "table": f"file://{path}", "url": "u", "key": "k"})


def keys(path: Path) -> list[str | None]:
    return [item.key for item in table_of(path).items()]


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array([True, False, None]), ["true", "false", None]),
        (pa.array([0.1, 2, None], pa.float32()), ["0.1", "2.0", None]),
        (pa.array([0.1, 1e22]), ["0.1", "1e+22"]),
        (pa.array([Decimal("1.10"), None]), ["1.10", None]),
        (pa.array([2**63], pa.uint64()), ["9223372036854775808"]),
        (pa.array([0, 1], pa.timestamp("ns")), ["1970-01-01 00:00:00", "1970-01-01 00:00:00.000000001"]),
        (pa.array([0], pa.timestamp("us", "UTC")), ["1970-01-01 00:00:00+00:00"]),
        (pa.array([7, None], pa.timestamp("us", "No/Where")), ["7", None]),
        (pa.array([1, None], pa.duration("ns")), ["1", None]),
        (pa.array([2**31 - 1, 3], pa.date32()), ["<value out of range: 2147483647>", "1970-01-04"]),
        (pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"]),
        (pa.array(["a"], pa.large_string()), ["a"]),
        (pa.array(["a"], pa.string_view()), ["a"]),
        (pa.array([["a", "é"], None]), ['["a", "é"]', None]),
        (pa.array([{"a": 1}]), ['{"a": 1}']),
        (pa.array([{"a": b"\xc3\xa9", "b": Decimal("1.10")}]), ['{"a": "é", "b": "1.10"}']),
        (
            pa.array([{"t": [10**15, 0, None]}, None], pa.struct({"t": pa.list_(pa.timestamp("ms"))})),
            ['{"t": ["<value out of range: 1000000000000000>", "1970-01-01 00:00:00", null]}', None],
        ),
        (pa.StructArray.from_arrays([BROKEN, pa.array([7])], ["a", "b"]), ['{"a": "\udcffa", "b": 7}']),
        (
            pa.array([[("a", 10**15)]], pa.map_(pa.string(), pa.timestamp("ms"))),
            ['[["a", "<value out of range: 1000000000000000>"]]'],
        ),
        (pa.array([b"ok", b"\xff"]), ["ok", "\udcff"]),
        (BROKEN, ["\udcffa"]),
        (pa.nulls(1), [None]),
    ],
    ids=lambda given: str(given.type) if isinstance(given, pa.Array) else "",
)
def test_a_value_of_any_type_has_a_text(tmp_path: Path, column: pa.Array, texts: list[str | None]) -> None:
    columns = {"u": ["file:///a.jpg"] * len(column), "k": ["k"] * len(column), "l": column}
    file = fill(tmp_path, {"t.parquet": parquet(columns)}) / "t.parquet"
    table = table_of(file).model_copy(update={"label": LabelColumn(column="l")})
    assert [item.label for item in table.items()] == texts


def test_values_of_json_are_as_they_are_written(tmp_path: Path) -> None:
    written = ["1", "1.10", "1e3", "-0", "1E400", "9" * 5000, "NaN", "true"]
    written += ['[1, 2.50, {"a": [-0.0, "b", true, null]}]', '{"é": 1e3}']
    others = {'"a b"': "a b", "null": None, '"\\ud800"': "\ud800"}
    rows = "\n".join(f'{{"u": "file:///a", "k": {text}}}' for text in [*written, *others])
    assert keys(fill(tmp_path, {"t.jsonl": rows.encode()}) / "t.jsonl") == [*written, *others.values()]


def test_keys_and_labels_that_no_text_can_hold_are_escaped(make_run: MakeRun, tmp_path: Path) -> None:
    rows = '{"u": "file:///a.jpg", "k": "\\ud800", "l": "\\udfff"}\n{"u": "file:///b.jpg", "k": "é"}\n'
    fill(tmp_path, {"t.jsonl": rows.encode()})
    source = {"kind": "url_table", "table": f"file://{tmp_path}/t.jsonl", "url": "u", "key": "k"}
    run = make_run(source | {"label": {"column": "l"}})
    shards = manifest.list_source(run, WORKERS).shards
    found = [row for shard in range(shards) for row in manifest.read_manifest(run, shard).to_pylist()]
    assert [(row["key"], row["label"], row["reason"]) for row in found] == [
        ("\\ud800", "\\udfff", None),
        ("é", None, None),
    ]


def test_a_member_of_a_tar_whose_name_is_not_utf_8_is_a_row(make_run: MakeRun, tmp_path: Path) -> None:
    data = tar([("abc.jpg", jpeg(1)), ("xyz.jpg", jpeg(2))]).replace(b"abc.jpg", b"\xff\xfec.jpg")
    checksum = sum(data[:148]) + 8 * 32 + sum(data[156:512])
    fill(tmp_path, {"a.tar": data[:148] + f"{checksum:06o}\0 ".encode() + data[156:]})
    run = make_run({"kind": "tar", "uri": f"file://{tmp_path}/a.tar"})
    shards = manifest.list_source(run, WORKERS).shards
    found = [row for shard in range(shards) for row in manifest.read_manifest(run, shard).to_pylist()]
    assert [(row["key"], row["reason"]) for row in found] == [("\\udcff\\udcfec", "BAD_KEY"), ("xyz", None)]


def hugging_face(features: str, labels: list[int]) -> bytes:
    table = pa.table({"image": [jpeg(at) for at in range(len(labels))], "label": labels})
    sink = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({"huggingface": features}), sink)
    return sink.getvalue()


def test_minus_one_is_no_label_of_hugging_face(tmp_path: Path) -> None:
    names = json.dumps({"info": {"features": {"label": {"names": ["fig", "pear"], "_type": "ClassLabel"}}}})
    fill(tmp_path, {"a.parquet": hugging_face(names, [1, -1, 0, 7]), "b.parquet": hugging_face("[" * 99_999, [1, -1])})
    source = ParquetBytes.model_validate(
        {"kind": "parquet_bytes", "uri": f"file://{tmp_path}", "label": {"column": "label"}}
    )
    assert [item.label for item in source.items()] == ["pear", None, "fig", "7", "1", "-1"]


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table([pa.array(["file:///a"]), pa.array(["1"]), pa.array(["2"])], names=["u", "k", "k"]), sink)
    with pytest.raises(InputError, match=r"there are 2 columns 'k'; rename one$"):
        keys(fill(tmp_path, {"t.parquet": sink.getvalue()}) / "t.parquet")


def test_what_is_wrong_with_a_row_of_csv_is_said_without_the_row(tmp_path: Path) -> None:
    file = fill(tmp_path, {"t.csv": b"u,k\nhttps://host/a?token=secret,1,2\n"}) / "t.csv"
    with pytest.raises(InputError, match=r"Expected 2 columns, got 3\)$"):
        keys(file)


def test_a_row_of_csv_may_be_long_and_a_part_of_a_table_without_rows(tmp_path: Path) -> None:
    long = b"u,k,noise\nfile:///a,1," + b"x" * (3 << 20) + b"\nfile:///b,2,\n"
    fill(tmp_path, {"b.csv": b"noise,k,u\n", "c.csv": long})
    assert keys(tmp_path) == ["1", "2"]


@pytest.mark.parametrize(
    "values", [pa.nulls(2), pa.array([{"bytes": None, "path": "x"}, None])], ids=["null", "in a struct"]
)
def test_images_that_are_all_null_are_rows_each(make_run: MakeRun, tmp_path: Path, values: pa.Array) -> None:
    fill(tmp_path, {"in/a.parquet": parquet({"image": values})})
    _, rejected = ingested(make_run({"kind": "parquet_bytes", "uri": f"file://{tmp_path}/in/"}))
    assert set(rejected.values()) == {("EMPTY_OBJECT", "its row has no bytes (null)")}
    assert len(rejected) == 2


def test_images_of_one_length_are_bytes_too(tmp_path: Path) -> None:
    fill(tmp_path, {"a.parquet": parquet({"image": pa.array([b"ab", b"cd"], pa.binary(2))})})
    source = ParquetBytes(kind="parquet_bytes", uri=f"file://{tmp_path}/a.parquet")
    assert list(source.fetch(list(source.items()), 9)) == [b"ab", b"cd"]


def test_an_encrypted_footer_is_told(tmp_path: Path) -> None:
    data = parquet({"image": [b"x"]})
    fill(tmp_path, {"a.parquet": b"PARE" + data[4:-4] + b"PARE"})
    (item,) = ParquetBytes(kind="parquet_bytes", uri=f"file://{tmp_path}/a.parquet").items()
    assert str(item.rejected) == "CORRUPT: it is no whole Parquet file (its footer is encrypted)"


@pytest.mark.parametrize("kind", [pa.large_binary(), pa.binary_view(), pa.dictionary(pa.int32(), pa.binary())], ids=str)
def test_bytes_of_every_type_are_read(tmp_path: Path, kind: pa.DataType) -> None:
    images = [jpeg(1), None, jpeg(2), jpeg(1)]
    values = pa.array(images).dictionary_encode() if pa.types.is_dictionary(kind) else pa.array(images, kind)
    fill(tmp_path, {"a.parquet": parquet({"image": values})})
    source = ParquetBytes(kind="parquet_bytes", uri=f"file://{tmp_path}/a.parquet")
    found = list(source.fetch(list(source.items()), 1 << 20))
    assert [data if isinstance(data, bytes) else None for data in found] == images


@pytest.mark.parametrize("values", [[{"bytes": [1, 2]}], [{"bytes": "text"}], [[b"x"]], ["text"]], ids=str)
def test_a_column_of_anything_else_is_refused(tmp_path: Path, values: list[Any]) -> None:
    fill(tmp_path, {"a.parquet": parquet({"image": values})})
    with pytest.raises(InputError, match=r"column 'image' is .*, and neither bytes nor \{bytes, …\}$"):
        list(ParquetBytes(kind="parquet_bytes", uri=f"file://{tmp_path}/a.parquet").items())


def test_a_field_of_json_is_a_text() -> None:
    assert [values.as_text(values.json_of(text)) for text in ("1.10", "true", '"fig"', "-7")] == [
        "1.10",
        "true",
        "fig",
        "-7",
    ]


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_a_table_that_is_removed_meanwhile_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    file = fill(tmp_path, {f"t.{ending}": b"u,k\n" * 9}) / f"t.{ending}"

    def gone(*_: object) -> bytes:
        raise storage.ObjectMissing(str(file))

    monkeypatch.setattr(storage, "read_part", gone)
    with pytest.raises(InputError, match=r"it was replaced while it was read; start a new run$"):
        keys(file)


def test_a_parquet_file_that_is_removed_while_its_keys_are_listed_is_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = fill(tmp_path, {"a.parquet": parquet({"image": [b"x"] * 2, "k": ["1", "2"]}, row_group_size=1)})
    source = ParquetBytes(kind="parquet_bytes", uri=f"file://{file}/a.parquet", key="k")
    items = source.items()
    first = next(items)

    def gone(*_: object) -> bytes:
        raise storage.ObjectMissing(str(file))

    monkeypatch.setattr(storage, "read_part", gone)
    (second,) = items
    assert (first.key, first.rejected) == ("1", None)
    assert second.rejected is not None
    assert second.rejected.reason == "NOT_FOUND"


def test_what_an_unfinished_job_of_spark_has_written_is_passed_over(tmp_path: Path) -> None:
    folders = ("", "day=1/", "_temporary/0/task_1/", ".spark-staging-7/", "_delta_log/")
    rows = {folder: parquet({"image": [jpeg(at)], "k": [folder]}) for at, folder in enumerate(folders)}
    fill(tmp_path, {f"{folder}a.parquet": data for folder, data in rows.items()})
    passed = PassedOver()
    source = ParquetBytes(kind="parquet_bytes", uri=f"file://{tmp_path}", key="k")
    assert sorted(str(item.key) for item in source.items(passed)) == ["", "day=1/"]
    assert passed.counts == {"exclude": 3}
