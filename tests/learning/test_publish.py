"""What the Spark job of a classifier has made is published; not where it predicts for an image that is forgotten."""

from __future__ import annotations

import datetime as dt
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagefeatures import names, storage
from imagefeatures.catalog import tables
from imagefeatures.errors import AuditFailed
from imagefeatures.forget import deny
from imagefeatures.learning.columns import PREDICTIONS
from imagefeatures.learning.declared import Classify
from imagefeatures.learning.job import Job
from imagefeatures.learning.promotion import Decision
from imagefeatures.learning.publish import Result, publish
from imagefeatures.settings import Settings

NOW = dt.datetime(2026, 11, 2, tzinfo=dt.UTC)
IDS = ["a" * 64, "b" * 64]


@pytest.fixture
def job(settings: Settings) -> Job:
    """A classifier whose Spark job has ended: it predicts for two images, one a file."""
    job = Job(
        model_id="0123456789abcdef", dataset="fruit", snapshot=7, fingerprint="f", classify=Classify(),
        planned_at=NOW, lake=settings.lake,
    )  # fmt: skip
    files = {f"{job.layout.predictions}-{number}.parquet": 1 for number in range(2)}
    for image_id, uri in zip(IDS, files, strict=True):
        row = {
            "partition_key": "2026-11-02", "uri": f"file:///photos/{image_id[0]}.jpg", "image_id": image_id,
            "label": "apple", "split": "train", "predicted": "apple", "probability": 1.0,
            "probabilities": {"apple": 1.0}, "model_id": job.model_id, "fingerprint": "f", "snapshot": 7,
        }  # fmt: skip
        sink = BytesIO()
        pq.write_table(pa.Table.from_pylist([row], schema=PREDICTIONS), sink)
        storage.write(uri, sink.getvalue())
    result = Result(
        labels=("apple", "pear"), left_out={}, rows=2, rows_train=1, rows_unlabelled=0, confusion=((1, 0), (0, 0)),
        components=None, files=files, seconds=1.0, finished_at=NOW, versions={},
    )  # fmt: skip
    decision = Decision(promoted=True, why="the first", predicts=job.model_id)
    for uri, written in ((job.layout.job, job), (job.layout.result, result), (job.layout.decision, decision)):
        storage.write(uri, written.model_dump_json().encode())
    return job


def predicted(settings: Settings) -> list[str]:
    """The images that learning.fruit_predictions has."""
    with tables.open_catalog(settings) as catalog:
        name = ("learning", names.predictions("fruit"))
        if not catalog.table_exists(name):
            return []
        return sorted(catalog.load_table(name).scan().to_arrow()["image_id"].to_pylist())


def test_predictions_are_published_beside_a_list_that_names_other_images(job: Job, settings: Settings) -> None:
    deny.add(settings.lake, "request", ["c" * 64], ["file:///photos/c.jpg"])
    assert publish(job.layout.job, settings)["promoted"] is True
    assert predicted(settings) == IDS


@pytest.mark.parametrize(
    ("image_ids", "uris"), [([IDS[1]], []), ([], ["file:///photos/b.jpg"])], ids=["by its id", "by its URI"]
)
def test_predictions_of_an_image_that_was_forgotten_meanwhile_are_removed(
    job: Job, settings: Settings, image_ids: list[str], uris: list[str]
) -> None:
    deny.add(settings.lake, "request", image_ids, uris)
    for _ in range(2):  # a retry finds no files any more
        with pytest.raises(AuditFailed, match="images that were forgotten meanwhile; trigger the DAG again"):
            publish(job.layout.job, settings)
    assert predicted(settings) == []
    assert not any(stored.uri.endswith(".parquet") for stored in storage.list_objects(settings.lake))
