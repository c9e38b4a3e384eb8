"""A table of pixels in Spark: by its name in Spark SQL, and over its files as arrays and as SparkML's vectors."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from imagefeatures import layout, read, schemas
from imagefeatures.catalog import tables
from imagefeatures.settings import REPOSITORY, Settings
from imagefeatures.shards import write_parquet
from support.pixel_tables import KIND, rows_of
from support.publishing import DAY
from support.snippets import section

COUNT = 600

ENDING = """
import hashlib
import json
from pyspark.ml.stat import Summarizer
rows = vectors.orderBy("uri").collect()
mean = vectors.select(Summarizer.mean(vectors.features)).first()[0]
print("found " + json.dumps([[row.uri, row.features.toArray().tolist()] for row in rows] + [mean.toArray().tolist()]))
"""


@pytest.fixture(params=["on_sqlite", "on_rest"])
def published(request: pytest.FixtureRequest) -> Settings:
    """features.fruit_pixels in two files."""
    settings: Settings = request.getfixturevalue(request.param)
    table = tables.open_table(tables.open_catalog(settings), settings, "fruit_pixels", KIND)
    folder = f"{layout.table_folder(settings.lake, 'fruit_pixels')}/data/partition_key={DAY}"
    uris = [f"{folder}/{number}.parquet" for number in range(2)]
    for number, uri in enumerate(uris):
        write_parquet(uri, rows_of(range(number, COUNT, 2)), **schemas.pixels_file(KIND.size))
    tables.replace_files(table, DAY, uris, "run")
    return settings


def expected(settings: Settings) -> pa.Table:
    return read.table(settings, "fruit", what="pixels").sort_by("uri")


def test_spark_sql_sees_the_bytes(published: Settings) -> None:
    query = (
        "SELECT uri, length(pixels), sha2(pixels, 256) FROM features.fruit_pixels ORDER BY uri; "
        "SHOW TBLPROPERTIES features.fruit_pixels ('imagefeatures.pixels')"
    )
    command = [sys.executable, "-m", "deploy.local", "spark-sql"]
    env = os.environ | {"QUERY": query}
    done = subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    printed = [line.split("\t") for line in done.stdout.splitlines()]
    rows = expected(published)
    truth = [
        [uri, str(KIND.size), hashlib.sha256(pixels).hexdigest()]
        for uri, pixels in zip(rows["uri"].to_pylist(), rows["pixels"].to_pylist(), strict=True)
    ]
    assert printed[1 : COUNT + 1] == truth
    assert json.loads(printed[-1][1]) == json.loads(KIND.as_text())


@pytest.mark.parametrize("published", ["on_sqlite"], indirect=True)
def test_the_example_of_the_documents_makes_arrays_and_vectors_of_the_pixels(
    published: Settings, tmp_path: Path
) -> None:
    (code,) = (code for language, code in section(REPOSITORY / "docs" / "spark.md", "A column of pixels").blocks)
    script = tmp_path / "example.py"
    script.write_text(code + ENDING)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("found "))
    *found, mean = json.loads(line.removeprefix("found "))
    rows = expected(published)
    colours = read.pixels(rows.combine_chunks()).mean(axis=(1, 2))
    assert [uri for uri, _ in found] == rows["uri"].to_pylist()
    np.testing.assert_allclose([colour for _, colour in found], colours)
    np.testing.assert_allclose(mean, colours.mean(axis=0))
