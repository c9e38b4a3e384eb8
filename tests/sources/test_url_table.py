"""Tables with a column of URLs: what is read of them, in how much memory, and the way back to their rows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagefeatures import local, read
from imagefeatures.errors import InputError
from imagefeatures.settings import REPOSITORY, Settings
from imagefeatures.sources import UrlTable
from imagefeatures.steps import register
from support.doors import as_csv, parquet
from support.photos import fill, jpeg
from support.shared import THIS_PROCESS, MakeRun
from support.snippets import section

JOIN = section(REPOSITORY / "docs" / "tables.md", "Joining back")
READERS = Path(sys.prefix) / "readers"


def table_of(path: Path, **fields: Any) -> UrlTable:
    return UrlTable.model_validate(
        {"kind": "url_table", "table": f"file://{path}", "url": "image_url", "key": "id"} | fields
    )


def test_it_survives_json_and_is_called_as_in_the_dataset_file() -> None:
    table = table_of(Path("/tables/{partition}.csv"), label={"column": "kind"})
    content = json.loads(table.model_dump_json())
    assert content["table"] == "file:///tables/{partition}.csv"
    assert UrlTable.model_validate(content) == table
    assert table.by_partition
    assert str(table.for_partition("2026-11-02")) == "file:///tables/2026-11-02.csv"


@pytest.mark.parametrize(
    ("name", "content", "refusal"),
    [
        ("t.csv", b"id,url\n1,x\n", "there is no column 'image_url'; there are id, url"),
        ("t.csv", b"id,image_url\n1,x,y,z\n", "it is no whole CSV file"),
        ("t.csv", b"", "it is no whole CSV file"),
        ("t.jsonl", b'{"id": 1, "image_url": "file:///1"}\nno json\n', "line 2 is no JSON object"),
        ("t.jsonl", b'{"id": 1, "url": "file:///1"}\n', "there is no column 'image_url'"),
        ("t.xlsx", b"PK", "a table's name ends in one of .parquet, .csv, .jsonl, .ndjson"),
        ("t.parquet", b"PAR1", "it is no whole Parquet file"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes, refusal: str
) -> None:
    path = fill(tmp_path, {name: content}) / name
    with pytest.raises(InputError, match=refusal) as refused:
        list(table_of(path).items())
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_csv_has_quotes_and_lines_in_its_values_and_empty_means_none(tmp_path: Path) -> None:
    rows = [{"x": 'a "b",\n', "id": 7, "image_url": "file:///é,1.jpg"}, {"x": "", "id": "", "image_url": ""}]
    path = fill(tmp_path, {"t.csv": as_csv(rows).encode()}) / "t.csv"
    first, second = table_of(path).items()
    assert (first.uri, first.key) == ("file:///é,1.jpg", "7")
    assert (second.uri, second.key, str(second.rejected)) == (
        f"file://{path}#1", None, "UNSUPPORTED_URL: there is no URI in its place",
    )  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_memory_does_not_grow_with_a_table_of_1200_columns(tmp_path: Path, ending: str) -> None:
    """Listed in a process of its own: a tenth of the rows needs as much memory as all of them, but for some MiB."""
    script = (
        "import resource, sys; from imagefeatures.sources import UrlTable\n"
        "given = {'kind': 'url_table', 'table': sys.argv[1], 'url': 'image_url', 'key': 'id'}\n"
        "table = UrlTable.model_validate(given)\n"
        "print(sum(1 for _ in table.items()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    peaks = []
    for count in (1000, 10_000):
        path = tmp_path / f"{count}.{ending}"
        columns = {f"c{number}": ["some text"] * 1000 for number in range(1198)}
        write_blocks(path, columns, count)
        told = subprocess.run(
            [sys.executable, "-c", script, f"file://{path}"], capture_output=True, text=True, check=True
        )
        rows, peak = map(int, told.stdout.split())
        assert rows == count
        peaks.append(peak)
        path.unlink()
    assert peaks[1] < peaks[0] + 64


def write_blocks(path: Path, columns: dict[str, list[str]], count: int) -> None:
    """A table of so many rows, written by blocks of 1,000."""
    for first in range(0, count, 1000):
        own = {
            "image_url": [f"file:///{row}" for row in range(first, first + 1000)],
            "id": [str(row) for row in range(first, first + 1000)],
        }
        table = pa.table(columns | own)
        if path.suffix == ".parquet":
            if not first:
                writer = pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
            continue
        with path.open("a") as file:
            if path.suffix == ".csv":
                text = as_csv(table.to_pylist())
                file.write(text if not first else text.partition("\n")[2])
            else:
                file.writelines(json.dumps(row) + "\n" for row in table.to_pylist())
    if path.suffix == ".parquet":
        writer.close()


@pytest.fixture
def products(tmp_path: Path) -> Path:
    """A table of 30 other columns, with a URL for every row but one, and a URL twice."""
    fill(tmp_path / "images", {f"{number}.jpg": jpeg(number) for number in range(6)})
    urls = [f"file://{tmp_path}/images/{number}.jpg" for number in range(6)]
    columns: dict[str, Any] = {f"c{number}": [f"{number} {row}" for row in range(8)] for number in range(30)}
    columns |= {"id": [100 + row for row in range(8)], "image_url": [*urls, None, urls[2]]}
    return fill(tmp_path, {"products.parquet": parquet(columns)}) / "products.parquet"


@pytest.fixture
def published(products: Path, make_run: MakeRun, settings: Settings) -> Path:
    run = make_run(table_of(products).model_dump(), limits={"max_rejected": 1})
    local.run_steps(run, THIS_PROCESS)
    register.register(run.layout.run_file, settings)
    return products


def check(rows: list[dict[str, Any]], settings: Settings, products: Path) -> None:
    """All rows and columns of the table are there, in any order, each with the vector of its key."""
    vectors = dict(
        zip(*(read.table(settings, "photos")[name].to_pylist() for name in ("key", "features")), strict=True)
    )
    assert set(vectors) == {str(number) for number in range(100, 106)}
    expected = pq.read_table(products).to_pylist()
    rows = sorted(rows, key=lambda row: row["id"])
    assert [{name: row[name] for name in expected[0]} for row in rows] == expected
    assert [row["features"] for row in rows] == [vectors.get(str(row["id"])) for row in expected]


def test_the_join_back_in_duckdb_has_every_row_and_column(published: Path, settings: Settings) -> None:
    ((_, statement),) = [block for block in JOIN.blocks if block[0] == "sql"]
    with duckdb.connect() as connection:
        connection.execute(f"create view products as select * from read_parquet('{published}')")
        files = ", ".join(f"'{file}'" for file in read.files(settings, "photos"))
        connection.execute(f"create view images as select * from read_parquet([{files}])")
        check(connection.execute(statement).to_arrow_table().to_pylist(), settings, published)
        by_url = statement.replace("images.key = CAST(products.id AS string)", "images.uri = products.image_url")
        assert by_url != statement
        found = connection.execute(by_url).to_arrow_table().to_pylist()
    assert sorted(row["id"] for row in found if row["features"]) == [*range(100, 106), 107]


@pytest.mark.long
def test_the_join_back_in_spark_sql_has_every_row_and_column(
    published: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyspark.sql import SparkSession

    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    ((_, statement),) = [block for block in JOIN.blocks if block[0] == "sql"]
    closed = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.ui.enabled": "false"}
    spark = SparkSession.builder.master("local[1]").config(map=closed).getOrCreate()
    try:
        spark.read.parquet(f"file://{published}").createOrReplaceTempView("products")
        spark.read.parquet(*read.files(settings, "photos")).createOrReplaceTempView("images")
        rows = [row.asDict() for row in spark.sql(statement).collect()]
    finally:
        spark.stop()
    check(rows, settings, published)


@pytest.mark.long
def test_the_join_back_in_pandas_has_every_row_and_column(published: Path, settings: Settings, tmp_path: Path) -> None:
    ((_, statement),) = [block for block in JOIN.blocks if block[0] == "text"]
    pq.write_table(read.table(settings, "photos"), tmp_path / "images.parquet")
    script = (
        f"import pandas\nproducts = pandas.read_parquet({str(published)!r})\n"
        f"images = pandas.read_parquet({str(tmp_path / 'images.parquet')!r})\n{statement}\n"
        f"joined.to_parquet({str(tmp_path / 'joined.parquet')!r})"
    )
    environ = os.environ | {"PYTHONPATH": str(READERS)}
    subprocess.run([sys.executable, "-c", script], env=environ, check=True)
    check(pq.read_table(tmp_path / "joined.parquet").to_pylist(), settings, published)
