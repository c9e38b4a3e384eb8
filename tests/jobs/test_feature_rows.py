"""`imagefeatures.features` without a JVM: options, columns, tasks and record batches."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from pyspark.ml.linalg import VectorUDT
from pyspark.sql.types import IntegerType, StringType, StructField, StructType

from imagefeatures import read
from imagefeatures.errors import InputError, ParamsError
from imagefeatures.settings import REPOSITORY, Settings
from imagefeatures_spark import feature_rows
from imagefeatures_spark.feature_rows import Options
from imagefeatures_spark.feature_source import FeatureReader, FeatureSource
from support import learning


def rows_of(options: dict[str, str], schema: StructType | None = None) -> pa.Table:
    """What all tasks give: each plan goes to its task as a pickle."""
    schema = schema or feature_rows.schema(Options.parse(options))
    reader = FeatureSource(options).reader(schema)
    batches = [batch for task in pickle.loads(pickle.dumps(reader.partitions())) for batch in reader.read(task)]
    return pa.Table.from_batches(batches)


def test_the_rows_are_those_of_the_table(settings: Settings) -> None:
    learning.publish(settings, learning.rows(90))
    wanted = read.table(settings, "fruit").sort_by("uri").to_pylist()
    assert rows_of({"path": "fruit"}).sort_by("uri").to_pylist() == wanted
    assert FeatureSource({"path": "fruit"}).schema().names == list(wanted[0])


def test_with_vector_they_are_dense_vectors_of_doubles(settings: Settings) -> None:
    learning.publish(settings, learning.rows(30))
    vectors = {row["uri"]: row["features"] for row in rows_of({"path": "fruit", "vector": "TRUE"}).to_pylist()}
    for row in read.table(settings, "fruit").to_pylist():
        assert vectors[row["uri"]] == {"type": 1, "size": None, "indices": None, "values": row["features"]}
    assert isinstance(
        feature_rows.schema(Options.parse({"path": "fruit", "vector": "true"}))["features"].dataType, VectorUDT
    )


def test_a_query_without_columns_has_all_rows(settings: Settings) -> None:
    learning.publish(settings, learning.rows(90))
    (task, *others) = FeatureReader({"path": "fruit"}, StructType([])).partitions()
    batches = list(FeatureReader({"path": "fruit"}, StructType([])).read(task))
    assert (others, sum(batch.num_rows for batch in batches), batches[0].num_columns) == ([], 90, 0)


def test_options_choose_rows_and_a_schema_chooses_columns_in_its_order(settings: Settings) -> None:
    learning.publish(settings, learning.rows(90))
    learning.publish(settings, learning.rows(30, partition="2026-11-03", first=500))
    schema = StructType([StructField("width", IntegerType()), StructField("uri", StringType())])
    options = {
        "dataset": "fruit",
        "Where": "label = 'fig'",
        "split": "test",
        "test_share": "0.4",
        "partitions": "2026-11-02, x",
    }
    found = rows_of(options, schema)
    wanted = read.open(
        "fruit", settings=settings, where="label = 'fig'", split="test", test_share=0.4, partitions=("2026-11-02",)
    )
    assert found.column_names == ["width", "uri"]
    assert sorted(found["uri"].to_pylist()) == sorted(wanted.to_numpy().uris)
    assert rows_of({"path": "fruit", "partitions": "2026-11-03"}, StructType([])).num_rows == 30
    earlier = read.open("fruit", settings=settings).snapshot
    learning.publish(settings, learning.rows(7, partition="2026-11-04", first=700))
    assert rows_of({"path": "fruit", "snapshot": str(earlier)}).num_rows == 120


def test_a_task_reads_files_of_some_bytes_together_and_each_file_once(settings: Settings) -> None:
    learning.publish(settings, learning.rows(90), files=5)
    plan = feature_rows.planned(Options.parse({"path": "fruit"}))
    sizes = [file.size for file in plan.files]
    parts = list(feature_rows.cut(plan, sizes[0] + sizes[1]))
    assert [len(part.files) for part in parts] == [2, 2, 1]
    assert tuple(file for part in parts for file in part.files) == plan.files
    assert [len(part.files) for part in feature_rows.cut(plan, 1)] == [1] * 5
    assert list(feature_rows.cut(replace(plan, files=()))) == []


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({}, "path: is required once"),
        ({"path": "fruit", "dataset": "fruit"}, "path: is required once"),
        ({"path": "fruit", "vectors": "true"}, r"vectors: is no option \(did you mean vector\?\)"),
        ({"path": "fruit", "vector": "yes"}, r"vector: must be true or false \(got 'yes'\)"),
        ({"path": "fruit", "snapshot": "newest"}, r"snapshot: must be a number \(got 'newest'\)"),
        ({"path": "runs"}, "path: runs is no dataset"),
    ],
)
def test_wrong_options_are_refused_in_one_line(settings: Settings, options: dict[str, str], what: str) -> None:
    with pytest.raises(ParamsError, match=f"^imagefeatures.features: {what}"):
        FeatureReader(options, StructType([])).partitions()


def test_what_is_not_there_is_refused_by_name(settings: Settings) -> None:
    learning.publish(settings, learning.rows(3))
    with pytest.raises(InputError, match=r"did you mean fruit\?"):
        FeatureReader({"path": "fruits"}, StructType([])).partitions()
    wrong = StructType([StructField("labels", StringType())])
    with pytest.raises(ParamsError, match=r"no column labels \(did you mean label\?\)"):
        FeatureReader({"path": "fruit"}, wrong).partitions()
    with pytest.raises(ParamsError, match="label is no int"):
        FeatureReader({"path": "fruit"}, StructType([StructField("label", IntegerType())])).partitions()


def test_a_vector_with_a_missing_value_is_nan(settings: Settings) -> None:
    rows = learning.rows(1)
    rows[0]["features"] = np.full(learning.WIDTH, np.nan, np.float32)
    learning.publish(settings, rows, files=1)
    (row,) = rows_of({"path": "fruit", "vector": "true"}).to_pylist()
    assert np.isnan(row["features"]["values"]).all()


def test_what_every_spark_session_imports_is_light() -> None:
    program = "import sys, pyspark_imagefeatures_features as module; print(module.DefaultSource.name(), *sys.modules)"
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "jobs")])}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    name, *loaded = done.stdout.split()
    assert name == "imagefeatures.features"
    assert not {"imagefeatures.schemas", "pydantic", "pyiceberg", "yaml", "boto3"} & set(loaded)
