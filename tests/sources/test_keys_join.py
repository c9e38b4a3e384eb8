"""Keys of every type that can be one: the statements of the documents find every row again."""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagefeatures.errors import InputError
from imagefeatures.settings import REPOSITORY
from imagefeatures.sources import ParquetBytes, Source, UrlTable
from support.doors import parquet
from support.photos import fill, jpeg
from support.snippets import section

JOIN = section(REPOSITORY / "docs" / "tables.md", "Joining back")
((_, STATEMENT),) = [block for block in JOIN.blocks if block[0] == "sql"]
READERS = Path(sys.prefix) / "readers"

DAY = dt.datetime(2026, 11, 1)
TIMES = [DAY, DAY + dt.timedelta(microseconds=100), DAY + dt.timedelta(seconds=30, milliseconds=500)]
COLUMNS = {
    "int": pa.array([7, -1, 2**53 + 1]),
    "text": pa.array(["a b", "é", "007"]),
    "bool": pa.array([True, False]),
    "date": pa.array([dt.date(2026, 11, 1), dt.date(1899, 1, 1)]),
    "seconds": pa.array([DAY, DAY + dt.timedelta(hours=13)], pa.timestamp("s")),
    "milliseconds": pa.array([DAY, TIMES[2]], pa.timestamp("ms")),
    "microseconds": pa.array(TIMES, pa.timestamp("us")),
    "decimal": pa.array([Decimal("1.10"), Decimal("-3.00"), Decimal("0.00")]),
    "small_decimal": pa.array([Decimal("0E-8"), Decimal("0.00000012")], pa.decimal128(20, 8)),
    "dictionary": pa.array(["x", "y"]).dictionary_encode(),
}


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """A folder with products and images of each type of key: `<type>.products.parquet` and `<type>.images.parquet`."""
    for name, ids in COLUMNS.items():
        path = tmp_path / f"{name}.products.parquet"
        path.write_bytes(parquet({"id": ids, "u": [f"file:///{at}" for at in range(len(ids))]}))
        given = {"kind": "url_table", "table": f"file://{path}", "url": "u", "key": "id"}
        items = list(UrlTable.model_validate(given).items())
        images = {"key": [item.key for item in items], "features": [[int(item.uri[8:])] for item in items]}
        (tmp_path / f"{name}.images.parquet").write_bytes(parquet(images))
    return tmp_path


def check(name: str, joined: list[tuple[str, list[int]]]) -> None:
    """Every row has its own vector: u ends in its number."""
    assert sorted((url, list(features)) for url, features in joined) == [
        (f"file:///{at}", [at]) for at in range(len(COLUMNS[name]))
    ], name


def test_keys_join_in_duckdb(tables: Path) -> None:
    for name in COLUMNS:
        with duckdb.connect() as connection:
            for view in ("products", "images"):
                connection.execute(f"create view {view} as select * from '{tables}/{name}.{view}.parquet'")
            check(name, connection.sql(f"select u, features from ({STATEMENT.replace(';', '')})").fetchall())


@pytest.mark.long
def test_keys_join_in_spark_sql(tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyspark.sql import SparkSession

    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    closed = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.ui.enabled": "false"}
    spark = SparkSession.builder.master("local[1]").config(map=closed).getOrCreate()
    try:
        for name in COLUMNS:
            for view in ("products", "images"):
                spark.read.parquet(f"file://{tables}/{name}.{view}.parquet").createOrReplaceTempView(view)
            check(name, [(row["u"], row["features"]) for row in spark.sql(STATEMENT).collect()])
    finally:
        spark.stop()


@pytest.mark.long
def test_keys_join_in_pandas(tables: Path) -> None:
    ((_, recipe),) = [block for block in JOIN.blocks if block[0] == "text"]
    script = (
        "import json, os, sys\nimport pandas\n"
        "products, images = (pandas.read_parquet(f'{sys.argv[1]}.{name}.parquet') for name in ('products', 'images'))\n"
        f"{recipe}\nprint(json.dumps([[u, list(map(int, f))] for u, f in zip(joined['u'], joined['features'])]))\n"
        "sys.stdout.flush()\nos._exit(0)"  # one of sixty interpreters that used pyarrow's datasets aborts at its end
    )
    environ = os.environ | {"PYTHONPATH": str(READERS)}
    for name in COLUMNS:
        command = [sys.executable, "-c", script, str(tables / name)]
        told = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
        check(name, [(url, features) for url, features in json.loads(told.stdout)])


@pytest.mark.parametrize(
    "ids",
    [
        pa.array([0.5]),
        pa.array([0.5], pa.float32()),
        pa.array([DAY], pa.timestamp("us", "UTC")),
        pa.array([1], pa.duration("s")),
        pa.array([1], pa.time64("us")),
        pa.array([[1]]),
        pa.array([{"a": 1}]),
    ],
    ids=lambda ids: str(ids.type),
)
@pytest.mark.parametrize("kind", ["url_table", "parquet_bytes"])
def test_a_key_that_programs_write_differently_is_refused_in_one_line(tmp_path: Path, kind: str, ids: pa.Array) -> None:
    path = fill(tmp_path, {"t.parquet": parquet({"u": ["file:///a"], "id": ids, "image": [b"x"]})}) / "t.parquet"
    source: Source = (
        UrlTable.model_validate({"kind": kind, "table": f"file://{path}", "url": "u", "key": "id"})
        if kind == "url_table"
        else ParquetBytes(kind="parquet_bytes", uri=f"file://{path}", key="id")
    )
    with pytest.raises(InputError) as refused:
        list(source.items())
    kind_of_id = str(ids.type).replace("item:", "element:")  # as Parquet calls it
    assert str(refused.value) == (
        f"file://{path}: key 'id' is {kind_of_id}, which programs write differently as text, so nothing would join; "
        "add a column that holds it as text, and name that one"
    )


@pytest.mark.parametrize("kind", ["url_table", "parquet_bytes"])
def test_a_key_is_a_number_where_the_label_of_the_same_column_is_its_name(tmp_path: Path, kind: str) -> None:
    names = {"info": {"features": {"n": {"names": ["fig", "pear"], "_type": "ClassLabel"}}}}
    table = pa.table({"image": [jpeg(1), jpeg(2)], "u": ["file:///a", "file:///b"], "n": [1, 0]})
    sink = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(names)}), sink)
    path = fill(tmp_path, {"t.parquet": sink.getvalue()}) / "t.parquet"
    both = {"key": "n", "label": {"column": "n"}}
    source: Source = (
        UrlTable.model_validate({"kind": kind, "table": f"file://{path}", "url": "u"} | both)
        if kind == "url_table"
        else ParquetBytes.model_validate({"kind": kind, "uri": f"file://{path}"} | both)
    )
    assert [(item.key, item.label) for item in source.items()] == [("1", "pear"), ("0", "fig")]
