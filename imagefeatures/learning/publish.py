"""Publishes what the Spark job has made: predictions, evaluation, and then which classifier predicts.

Every step may be repeated: files are replaced by the same files, a row by the same row. A classifier that was planned
earlier than the promoted one changes neither the predictions nor what is promoted. At the end old classifiers go.
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from imagefeatures import names, storage
from imagefeatures.errors import AuditFailed
from imagefeatures.forget import deny
from imagefeatures.learning import expiry, metrics, promotion, tables
from imagefeatures.learning.columns import EVALUATIONS, PREDICTIONS
from imagefeatures.learning.declared import PCA
from imagefeatures.learning.job import Job, load_job
from imagefeatures.learning.promotion import Decision, Promoted
from imagefeatures.settings import Settings

log = logging.getLogger(__name__)


class Result(BaseModel):
    """result.json: what the Spark job has done.

    rows_train: rows that were fitted. rows: all rows of the snapshot with the job's fingerprint. confusion: [k][k].
    files: the predictions, each with its number of rows; none where no classifier is for these vectors. components:
    None where vectors were scaled.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    labels: tuple[str, ...]
    left_out: dict[str, int]
    rows: int
    rows_train: int
    rows_unlabelled: int
    confusion: tuple[tuple[int, ...], ...]
    components: int | None
    files: dict[str, int]
    seconds: float
    finished_at: dt.datetime
    versions: dict[str, str]


def load_result(job: Job) -> Result | None:
    """What the Spark job has done; None before it has ended."""
    try:
        return Result.model_validate_json(storage.read(job.layout.result))
    except storage.ObjectMissing:
        return None


def is_published(job: Job, settings: Settings) -> bool:
    """Whether the tables hold the job already, and its classifier is there: there is nothing left to do.

    The row of a classifier whose folder was deleted stays; planned once more, the job is a later one than the row's.
    """
    rows = tables.evaluations(settings, job.dataset)
    published = any((row["model_id"], row["planned_at"]) == (job.model_id, job.planned_at) for row in rows)
    return published and storage.exists(job.layout.portable)


def publish(job_file: str, settings: Settings, dataset: str | None = None) -> dict[str, Any]:
    """Publish a fitted classifier. Returns its row of learning.evaluations.

    Raises AuditFailed where the Spark job has not ended, its numbers do not add up, or it predicts for an image that is
    forgotten; ParamsError; errors of the catalog and of the store.
    """
    job = load_job(job_file, settings.lake, dataset)
    result = load_result(job)
    if result is None:
        raise AuditFailed(f"{job.layout.folder}: the task classify has not ended; clear it, and it goes on")
    decision = Decision.model_validate_json(storage.read(job.layout.decision))
    _audit(job, result, decision)
    _refuse_forgotten(job, result)
    row = _row(job, result, decision)
    _publish_tables(job, result, row, settings)
    last = promotion.current(job.layout)
    if decision.promoted and (last is None or last.planned_at <= job.planned_at):
        promoted = Promoted.of(job, row["macro_accuracy"])
        storage.write(job.layout.promoted, promoted.model_dump_json(indent=1).encode())
    try:
        expiry.remove_old(job, settings)
    except Exception as error:  # what is published is published
        log.warning("%s: earlier classifiers stay for now (%s)", job.dataset, type(error).__name__)
    return row


def _publish_tables(job: Job, result: Result, row: dict[str, Any], settings: Settings) -> None:
    from imagefeatures.catalog import learning, retention
    from imagefeatures.catalog.tables import open_catalog

    rows = pa.Table.from_pylist([row], schema=EVALUATIONS)
    with open_catalog(settings) as catalog:
        evaluations = learning.open_table(catalog, settings, names.EVALUATIONS, EVALUATIONS)
        changed = [evaluations]
        if result.files:
            predictions = learning.open_table(catalog, settings, names.predictions(job.dataset), PREDICTIONS)
            learning.replace_all(predictions, sorted(result.files), job.planned_at.isoformat())
            changed.append(predictions)
        learning.replace_row(evaluations, rows, job.dataset, job.model_id)
        for table in changed:
            try:
                retention.remove_expired(table, settings.lake)
            except Exception as error:  # what is published is published
                name = ".".join(table.name())
                log.warning("%s: files of expired snapshots stay for now (%s)", name, type(error).__name__)
        if result.files:
            learning.remove_others(predictions, job.layout.predictions, result.files)


def _audit(job: Job, result: Result, decision: Decision) -> None:
    if any(not uri.startswith(job.layout.predictions) for uri in result.files):
        raise AuditFailed(
            f"{job.layout.folder}: the lake was moved before this was published; trigger the DAG again "
            "with another split_seed"
        )
    if result.files and sum(result.files.values()) != result.rows:
        raise AuditFailed(
            f"{job.layout.folder}: {sum(result.files.values()):,} predictions for {result.rows:,} rows; "
            "trigger the DAG again with another split_seed, and report this"
        )
    if bool(result.files) != bool(decision.predicts) and result.rows:
        raise AuditFailed(f"{job.layout.folder}: result.json and decision.json disagree about the predictions")


def _refuse_forgotten(job: Job, result: Result) -> None:
    """Raise AuditFailed where a prediction is of an image that was forgotten since the snapshot; remove the files.

    The request may have been done before they were written. One that comes later finds them where they lie.
    """
    forgotten = deny.read(job.lake)
    for uri in result.files if forgotten else ():
        try:
            rows = pq.ParquetFile(pa.BufferReader(storage.read(uri))).read(["image_id", "uri"])
        except storage.ObjectMissing:
            rows = None
        if rows is None or forgotten.held(rows):
            for file in result.files:
                storage.delete(file)
            raise AuditFailed(
                f"{job.layout.folder}: predicts for images that were forgotten meanwhile; trigger the DAG again"
            )


def _row(job: Job, result: Result, decision: Decision) -> dict[str, Any]:
    confusion = np.array(result.confusion, np.int64)
    found = metrics.metrics(confusion)

    def of_labels(values: np.ndarray) -> dict[str, Any]:
        return dict(zip(result.labels, values.tolist(), strict=True))

    return {
        "dataset": job.dataset,
        "model_id": job.model_id,
        "fingerprint": job.fingerprint,
        "snapshot": job.snapshot,
        "classifier": job.classify.model,
        "settings": job.classify.model_dump_json(),
        "components": result.components if job.classify.reduce == PCA else None,
        "labels": list(result.labels),
        "left_out": dict(result.left_out),
        "rows_train": result.rows_train,
        "rows_test": int(confusion.sum()),
        "rows_unlabelled": result.rows_unlabelled,
        "accuracy": found.accuracy,
        "macro_accuracy": found.macro_accuracy,
        "macro_f1": found.macro_f1,
        "precision": of_labels(found.precision),
        "recall": of_labels(found.recall),
        "f1": of_labels(found.f1),
        "support": of_labels(confusion.sum(1)),
        "confusion": confusion.tolist(),
        "picture": job.layout.picture,
        "folder": job.layout.folder,
        "promoted": decision.promoted,
        "why": decision.why,
        "compared_with": decision.compared_with,
        "compared_macro_accuracy": decision.compared_macro_accuracy,
        "seconds": result.seconds,
        "planned_at": job.planned_at,
        "evaluated_at": result.finished_at,
        "versions": dict(result.versions),
    }
