"""What the options of `imagefeatures.features` mean, and which columns and tasks they make."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from pyspark.ml.linalg import VectorUDT
from pyspark.sql.types import ArrayType, DoubleType, FloatType, StringType, StructType

from imagefeatures.catalog.snapshots import Plan, SnapshotFile
from imagefeatures.errors import ParamsError
from imagefeatures_spark import feature_rows
from imagefeatures_spark.feature_rows import Options
from imagefeatures_spark.feature_source import FeatureReader, FeatureSource


def test_every_option_is_read_whatever_case_its_name_has() -> None:
    given = {
        "PATH": "fruit", "Vector": "False", "where": "n = 1", "run_id": "r", "Fingerprint": "f", "split": "test",
        "partitions": " a, ,b,", "snapshot": "7", "test_share": "0.5",
    }  # fmt: skip
    assert Options.parse(given) == Options(
        "fruit", False,
        {
            "where": "n = 1", "run_id": "r", "fingerprint": "f", "split": "test", "partitions": ["a", "b"],
            "snapshot": 7, "test_share": 0.5,
        },
    )  # fmt: skip
    assert Options.parse({"dataset": "fruit", "vector": "TRUE"}) == Options("fruit", True, {})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"path": ""}, 'path: is required once, the name of a dataset: load("fruit")'),
        ({"dataset": "a", "path": ""}, 'path: is required once, the name of a dataset: load("fruit")'),
        ({"path": "a", "test_share": "half"}, "test_share: must be a number (got 'half')"),
        ({"path": "a", "snapshot": "1.5"}, "snapshot: must be a number (got '1.5')"),
        ({"path": "a", "vectr": "1"}, "vectr: is no option (did you mean vector?)"),
    ],
)
def test_a_wrong_option_is_told_by_its_name(given: dict[str, str], said: str) -> None:
    with pytest.raises(ParamsError) as refused:
        Options.parse(given)
    assert str(refused.value) == f"imagefeatures.features: {said}"


def test_vectors_are_arrays_without_nulls_or_sparkmls() -> None:
    assert FeatureSource.name() == "imagefeatures.features"
    plain = feature_rows.schema(Options.parse({"path": "a"}))
    assert plain["features"].dataType == ArrayType(FloatType(), False)
    assert plain["uri"].dataType == StringType()
    assert not plain["uri"].nullable
    assert plain["label"].nullable
    assert feature_rows.schema(Options.parse({"path": "a", "vector": "true"}))["features"].dataType == VectorUDT()


def test_a_users_schema_may_have_vectors_of_each_kind() -> None:
    for kind in (VectorUDT(), ArrayType(FloatType(), True), ArrayType(FloatType(), False)):
        feature_rows.check_schema(StructType().add("features", kind).add("label", StringType()))
    with pytest.raises(ParamsError, match=r"^imagefeatures\.features: schema: features is no array<double>$"):
        feature_rows.check_schema(StructType().add("features", ArrayType(DoubleType())))
    with pytest.raises(ParamsError, match=r"schema: no column lable \(did you mean label\?\)$"):
        feature_rows.check_schema(StructType().add("lable", StringType()))


def plan(*sizes: int) -> Plan:
    files = tuple(SnapshotFile(f"file:///{at}", size) for at, size in enumerate(sizes))
    return Plan(**dict.fromkeys(Plan.__dataclass_fields__) | {"files": files})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sizes", "parts"),
    [
        ([5, 5, 5, 5, 5], [2, 2, 1]),
        ([5, 6, 4, 1, 11, 1], [1, 2, 1, 1, 1]),
        ([11, 11], [1, 1]),
        ([1], [1]),
        ([], []),
    ],
)
def test_a_task_has_files_of_so_many_bytes_together(sizes: list[int], parts: list[int]) -> None:
    cut = list(feature_rows.cut(plan(*sizes), 10))
    assert [len(part.files) for part in cut] == parts
    assert [file.size for part in cut for file in part.files] == sizes
    mib = 2**20
    assert [len(part.files) for part in feature_rows.cut(plan(mib, 3 * mib, 1))] == [2, 1]


def test_a_task_without_files_is_empty() -> None:
    reader = FeatureReader({"path": "a"}, StructType())
    assert list(reader.read(cast("Any", None))) == list(reader.read(cast("Any", SimpleNamespace()))) == []
