"""What a task of the job classify counts and writes: the rows of a real snapshot, and a classifier that is known."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from imagefeatures import storage
from imagefeatures.catalog import retention, snapshots
from imagefeatures.catalog.snapshots import Plan
from imagefeatures.learning import predict, tables
from imagefeatures.learning.columns import PREDICTIONS
from imagefeatures.learning.declared import Classify
from imagefeatures.learning.job import Job
from imagefeatures.learning.predict import Predictor, Scores
from imagefeatures.learning.promotion import Decision
from imagefeatures.learning.publish import Result, publish
from imagefeatures.settings import Settings
from support import learning

COUNT = 60
RIGHT, WRONG = learning.by_corners(), learning.by_corners(sharpness=-4)
NOT_A_PEAR = learning.by_corners(labels=("apple", "fig"))


@pytest.fixture
def content(settings: Settings) -> list[dict]:
    """The rows that are published: every fourth has no label, and one has a label that no classifier knows."""
    rows = learning.rows(COUNT)
    rows[0]["label"] = "kiwi"
    learning.publish(settings, rows)
    return rows


@pytest.fixture
def job(settings: Settings, content: list[dict]) -> Job:
    snapshot = snapshots.plan(settings, "fruit", {}).snapshot
    return Job(
        model_id="1" * 16, dataset="fruit", snapshot=snapshot or 0, fingerprint=learning.FINGERPRINT,
        classify=Classify(test_share=0.5), planned_at=dt.datetime(2026, 11, 3, tzinfo=dt.UTC), lake=settings.lake,
    )  # fmt: skip


@pytest.fixture
def plan(settings: Settings, job: Job) -> Plan:
    return snapshots.plan(settings, job.dataset, job.selection)


def held_out(rows: list[dict]) -> list[dict]:
    return [row for row in rows if row["image_id"] < "8"]


def test_held_out_rows_of_the_labels_are_counted_by_both_classifiers(plan: Plan, job: Job, content: list[dict]) -> None:
    judged = [learning.LABELS.index(row["label"]) for row in held_out(content) if row["label"] in learning.LABELS]
    counts = np.bincount(judged, minlength=3)
    assert counts.min() > 1
    found = predict.score(plan, job, RIGHT, NOT_A_PEAR)
    assert found.confusion.tolist() == np.diag(counts).tolist()
    assert found.last_right.tolist() == [*counts[:2], 0]
    assert found.last_macro_accuracy == pytest.approx(2 / 3)
    wrong = predict.score(plan, job, WRONG, None)
    assert (wrong.confusion.sum(1) == counts).all()
    assert np.diagonal(wrong.confusion).sum() == 0
    assert wrong.last_right.tolist() == [0, 0, 0]
    found += wrong
    assert found.confusion.sum() == 2 * counts.sum()
    found += predict.score(plan, job, RIGHT, RIGHT)
    assert found.last_right.tolist() == [2 * counts[0], 2 * counts[1], counts[2]]


def test_rows_of_other_labels_are_not_judged(plan: Plan, job: Job) -> None:
    found = predict.score(plan, job, learning.by_corners(labels=("lime", "plum")), RIGHT)
    assert found.confusion.tolist() == [[0, 0], [0, 0]]
    assert found.last_right.tolist() == [0, 0]


def test_no_rows_are_a_table_of_zeros() -> None:
    none = Scores.none(3)
    assert (none.confusion.shape, none.last_right.shape) == ((3, 3), (3,))
    assert (none.confusion.dtype, none.last_right.dtype) == (np.int64, np.int64)


def test_a_file_of_predictions_has_every_row_with_all_that_is_said_of_it(
    plan: Plan, job: Job, content: list[dict]
) -> None:
    written = predict.predict(plan, job, Predictor("2" * 16, RIGHT, 0.5, 0), 7)
    assert written.rows == COUNT
    assert written.uri.startswith(f"{job.layout.predictions}00007-")
    table = pq.read_table(written.uri.removeprefix("file://"))
    assert table.schema.names == PREDICTIONS.names
    rows = {row["uri"]: row for row in table.to_pylist(maps_as_pydicts="strict")}
    expected = RIGHT.predict(np.array([row["features"] for row in content]))
    held = {row["uri"] for row in held_out(content)}
    for row, label, probabilities in zip(content, *expected, strict=True):
        found = rows.pop(row["uri"])
        same = ("partition_key", "image_id", "label")
        assert [found[name] for name in same] == [row[name] for name in same]
        side = None if row["label"] not in learning.LABELS else "test" if row["uri"] in held else "train"
        assert (found["split"], found["predicted"]) == (side, label)
        assert found["probabilities"] == dict(zip(learning.LABELS, probabilities.astype(np.float32), strict=True))
        assert found["probability"] == probabilities.astype(np.float32).max()
        assert (found["model_id"], found["snapshot"]) == ("2" * 16, job.snapshot)
        assert found["fingerprint"] == learning.FINGERPRINT
    assert not rows


def test_columns_that_repeat_have_a_dictionary_and_pages_have_checksums(plan: Plan, job: Job) -> None:
    written = predict.predict(plan, job, Predictor("2" * 16, RIGHT, 0.5, 0), 0)
    path = Path(written.uri.removeprefix("file://"))
    group = pq.read_metadata(path).row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    assert {column.compression for column in columns} == {"ZSTD"}
    assert {column.path_in_schema for column in columns if column.has_dictionary_page} == {
        "partition_key", "label", "split", "predicted", "model_id", "fingerprint", "snapshot",
        "probabilities.key_value.key",
    }  # fmt: skip
    data = bytearray(path.read_bytes())
    (uris,) = (column for column in columns if column.path_in_schema == "uri")
    data[uris.data_page_offset + uris.total_compressed_size - 1] ^= 1
    path.write_bytes(data)
    with pytest.raises(OSError, match="CRC checksum"):
        pq.read_table(path, page_checksum_verification=True)


def test_predictions_that_are_published_are_the_tables_rows_and_leave_no_file_of_another_attempt(
    plan: Plan, job: Job, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = {
        "labels": ("apple", "fig"), "left_out": {}, "rows": COUNT, "rows_train": 11, "rows_unlabelled": 2,
        "confusion": ((3, 1), (0, 2)), "components": 9, "seconds": 1.5, "finished_at": job.planned_at, "versions": {},
    }  # fmt: skip
    tidied: list[str] = []
    monkeypatch.setattr(retention, "remove_expired", lambda table, _: tidied.append(".".join(table.name())))
    orphan = job.layout.new_predictions(3)
    storage.write(orphan, b"of an attempt that was killed")
    written = predict.predict(plan, job, Predictor(job.model_id, RIGHT, 0.5, 0), 0)
    for uri, content in (
        (job.layout.job, job),
        (job.layout.result, Result.model_validate(result | {"files": {written.uri: written.rows}})),
        (job.layout.decision, Decision(promoted=True, why="the first", predicts=job.model_id)),
    ):
        storage.write(uri, content.model_dump_json().encode())
    assert tables.predictions(settings, "fruit").num_rows == 0
    publish(job.layout.job, settings)
    assert tables.predictions(settings, "fruit").num_rows == COUNT
    assert (storage.exists(written.uri), storage.exists(orphan)) == (True, False)
    assert tidied == ["learning.evaluations", "learning.fruit_predictions"]
