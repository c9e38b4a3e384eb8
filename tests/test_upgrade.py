"""A lake published by version 0.1.0: this version reads it, shows it, reuses it and replaces its partitions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import numpy as np
import pyarrow as pa
import pytest

from imagefeatures import batches, read, schemas
from imagefeatures.catalog import tables
from imagefeatures.dataset_files import load_dataset
from imagefeatures.datasets import Dataset
from imagefeatures.models import engines
from imagefeatures.models.engines import Engine
from imagefeatures.models.prepare import read_bundle
from imagefeatures.models.reference import LEAST_COSINE, MOST_ABSOLUTE_DIFFERENCE
from imagefeatures.plan import load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from imagefeatures.steps import register
from support import lakes
from support.reusing import begun, resized_and_featurized
from support.shared import PREPROCESSING, SPEC

VERSION = "0.1.0"
FINGERPRINT = "63e4fab4295764c4c5a908f0aaaec921"
VECTORS_SHA256 = "64f0021123aa7d6420560648b20c5dde30f141f36ef03fce70d1c92e5201235f"
DAYS = ("2026-11-01", "2026-11-02")
FIRST_RUN, SECOND_RUN = "20261126T154557-63675da0", "20261126T154557-d07f3b25"
SCHEMAS = {"photos": schemas.FEATURES, "quarantine": schemas.QUARANTINE, "runs": schemas.RUNS}

Rows = list[dict[str, Any]]


class Idle:
    """A decoder and an engine that fail when they are given an image."""

    def run_in_parts(self, blobs: Sequence[bytes], *_: object) -> Iterator[batches.Batch]:
        raise AssertionError("an image was decoded")

    def features(self, pixels: np.ndarray) -> np.ndarray:
        raise AssertionError("a vector was computed")


@pytest.fixture
def dataset(settings: Settings, tmp_path: Path) -> Dataset:
    """The stored lake and its photos, laid out as the deployment's lake. Returns its dataset."""
    assert f"file://{lakes.lay_out(VERSION, tmp_path)}" == settings.lake
    return load_dataset(settings.datasets / "photos.yaml")


def rows_of(settings: Settings, table: str, partition: str) -> Rows:
    rows = read.table(settings, table).sort_by("uri" if "uri" in SCHEMAS[table].names else "dataset")
    return [row for row in rows.to_pylist() if row["partition_key"] == partition]


def everything(settings: Settings, partition: str) -> dict[str, Rows]:
    return {table: rows_of(settings, table, partition) for table in SCHEMAS}


def columns(schema: pa.Schema) -> dict[str, tuple[pa.DataType, bool]]:
    return {field.name: (field.type, field.nullable) for field in schema}


def vectors(rows: Rows) -> np.ndarray:
    return np.array([row["features"] for row in rows], np.float32)


def names(rows: Rows) -> list[str]:
    """Photo names relative to the partition's folder: the folder has moved since the lake was published."""
    return ["/".join(row["uri"].split("/")[-2:]) for row in rows]


def run_again(
    dataset: Dataset, partition: str, settings: Settings, engine: Engine, decoder: Any = None, **params: Any
) -> register.Outcome:
    run = begun(load_run(plan_run(dataset, RunParams.parse(params), partition, settings)))
    resized_and_featurized(run, engine, decoder)
    return register.register(run.layout.run_file, settings)


def check_replaced(before: dict[str, Rows], after: dict[str, Rows], run_id: str) -> None:
    """The run has replaced the earlier one in all three tables, with rows for the same photos."""
    assert run_id not in (FIRST_RUN, SECOND_RUN)
    for table in SCHEMAS:
        assert len(after[table]) == len(before[table]) > 0
        assert {row["run_id"] for row in after[table]} == {run_id}
    of_its_own = ("run_id", "uri", "etag", "features")
    assert [{**row, **dict.fromkeys(of_its_own)} for row in after["photos"]] == [
        {**row, **dict.fromkeys(of_its_own), "copy": 0} for row in before["photos"]
    ]
    for table in ("photos", "quarantine"):
        assert names(after[table]) == names(before[table])
    assert [row["reason"] for row in after["quarantine"]] == [row["reason"] for row in before["quarantine"]]


@pytest.mark.usefixtures("dataset")
@pytest.mark.parametrize(
    ("table", "counts"), [("photos", [3, 8, 5, 10]), ("quarantine", [1, 2, 1, 2]), ("runs", [1, 2, 1, 2])]
)
def test_the_laid_out_lake_has_all_its_snapshots(settings: Settings, table: str, counts: list[int]) -> None:
    opened = tables.open_table(tables.open_catalog(settings), settings, table)
    files = opened.inspect.all_files()["file_path"].to_pylist()
    manifests = {row["path"]: row["length"] for row in opened.inspect.all_manifests().to_pylist()}
    lists = [snapshot.manifest_list for snapshot in opened.snapshots()]
    earlier = [entry.metadata_file for entry in opened.metadata.metadata_log]
    for place in [opened.location(), opened.metadata_location, *earlier, *lists, *manifests, *files]:
        assert place.startswith(f"{settings.lake}/warehouse/features/{table}")
        assert Path(place.removeprefix("file://")).stat().st_size == manifests.get(place, ANY)
    found = [opened.scan(snapshot_id=snapshot.snapshot_id).to_arrow().num_rows for snapshot in opened.snapshots()]
    assert found == counts


@pytest.mark.usefixtures("dataset")
@pytest.mark.parametrize(("table", "count"), [("photos", 10), ("quarantine", 2), ("runs", 2)])
def test_every_row_of_the_lake_is_read_with_todays_columns(settings: Settings, table: str, count: int) -> None:
    rows = read.table(settings, table)
    assert rows.num_rows == count
    assert columns(rows.schema) == columns(SCHEMAS[table])


@pytest.mark.usefixtures("dataset")
def test_the_vectors_of_the_lake_are_those_that_were_published(settings: Settings) -> None:
    rows = read.table(settings, "photos").to_pylist()
    assert {len(row["features"]) for row in rows} == {SPEC.width} == {1280}
    every = sorted(vector.astype("<f4").tobytes() for vector in vectors(rows))
    assert hashlib.sha256(b"".join(every)).hexdigest() == VECTORS_SHA256


@pytest.mark.usefixtures("dataset")
def test_the_fingerprint_of_the_lake_is_still_that_of_the_model(settings: Settings) -> None:
    for table in ("photos", "runs"):
        assert set(read.table(settings, table)["fingerprint"].to_pylist()) == {FINGERPRINT}
    assert SPEC.fingerprint(PREPROCESSING) == FINGERPRINT


@pytest.mark.usefixtures("dataset")
def test_the_rejected_photos_of_the_lake_are_in_the_quarantine(settings: Settings) -> None:
    rows = [row for day in DAYS for row in rows_of(settings, "quarantine", day)]
    assert [(name, row["reason"], row["run_id"]) for name, row in zip(names(rows), rows, strict=True)] == [
        ("apple/broken.jpg", "TRUNCATED", FIRST_RUN),
        ("fig/nothing.png", "EMPTY_OBJECT", SECOND_RUN),
    ]


@pytest.mark.usefixtures("dataset")
@pytest.mark.parametrize("dataset_name", [None, "photos"])
def test_the_web_page_shows_the_runs_of_the_lake(settings: Settings, dataset_name: str | None) -> None:
    shown = read.runs(settings, dataset_name)
    wanted = ("partition_key", "run_id", "listed", "registered", "reused", "quarantined", "reasons")
    assert [tuple(row[name] for name in wanted) for row in shown] == [
        (DAYS[1], SECOND_RUN, 6, 5, 1, 1, [("EMPTY_OBJECT", 1)]),
        (DAYS[0], FIRST_RUN, 6, 5, 3, 1, [("TRUNCATED", 1)]),
    ]
    assert [row["passed_over"] for row in shown] == [None, None]  # it did not count them
    assert [dict(row["versions"])["imagefeatures"] for row in shown] == [VERSION, VERSION]  # type: ignore[call-overload]


@pytest.mark.parametrize(("partition", "other"), [DAYS, DAYS[::-1]])
def test_a_partition_that_is_run_again_reuses_every_vector_and_is_replaced(
    dataset: Dataset, settings: Settings, partition: str, other: str
) -> None:
    before, untouched = everything(settings, partition), everything(settings, other)
    outcome = run_again(dataset, partition, settings, Idle(), Idle())
    assert (outcome.state, outcome.summary["reused"], outcome.summary["computed"]) == (register.REGISTERED, 5, 0)
    assert outcome.summary["passed_over"] == {}
    assert {row["partition_key"]: row["passed_over"] for row in read.runs(settings)} == {partition: [], other: None}
    after = everything(settings, partition)
    check_replaced(before, after, outcome.summary["run_id"])
    assert np.array_equal(vectors(after["photos"]), vectors(before["photos"]))
    assert everything(settings, other) == untouched


@pytest.mark.parametrize(("partition", "other"), [DAYS, DAYS[::-1]])
def test_a_partition_that_is_computed_again_gets_the_same_vectors_and_is_replaced(
    dataset: Dataset, lake_with_model: str, settings: Settings, partition: str, other: str
) -> None:
    before, untouched = everything(settings, partition), everything(settings, other)
    engine = engines.cached(dataset.engine, read_bundle(SPEC, PREPROCESSING, lake_with_model))
    outcome = run_again(dataset, partition, settings, engine, reuse=False)
    assert (outcome.state, outcome.summary["reused"], outcome.summary["computed"]) == (register.REGISTERED, 0, 5)
    after = everything(settings, partition)
    check_replaced(before, after, outcome.summary["run_id"])
    old, new = (vectors(rows["photos"]).astype(np.float64) for rows in (before, after))
    assert np.abs(new - old).max() <= MOST_ABSOLUTE_DIFFERENCE == 1e-3
    lengths = np.linalg.norm(new, axis=1) * np.linalg.norm(old, axis=1)
    assert ((new * old).sum(axis=1) / lengths).min() >= LEAST_COSINE == 0.99999
    assert everything(settings, other) == untouched
