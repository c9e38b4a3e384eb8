"""What a Spark task does: judges held-out rows, and writes predictions. One batch of rows is in memory at a time."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from imagefeatures import storage
from imagefeatures.learning.columns import PREDICTIONS
from imagefeatures.learning.job import Job
from imagefeatures.learning.portable import Classifier
from imagefeatures.learning.split import held_out
from imagefeatures.readers.labels import NO_LABEL, encode
from imagefeatures.readers.parquet import plan_batches
from imagefeatures.readers.vectors import vectors

if TYPE_CHECKING:
    from imagefeatures.catalog.snapshots import Plan

FILE = {
    "compression": "zstd",
    "write_page_checksum": True,
    # A dictionary of floats that never repeat costs memory and saves nothing.
    "use_dictionary": [
        "partition_key", "label", "split", "predicted", "model_id", "fingerprint", "snapshot",
        "probabilities.key_value.key",
    ],
}  # fmt: skip
"""How files of predictions are written: options of pyarrow's writer."""


@dataclass
class Scores:
    """Of held-out rows. confusion: int64 [k, k], true labels by predicted ones. last_right: int64 [k], how many rows of
    each label the last classifier has right.
    """

    confusion: np.ndarray
    last_right: np.ndarray

    @classmethod
    def none(cls, labels: int) -> Scores:
        """Of no rows."""
        return cls(np.zeros((labels, labels), np.int64), np.zeros(labels, np.int64))

    @property
    def last_macro_accuracy(self) -> float:
        """The mean of the recalls of the last classifier. A label that it does not know has recall 0."""
        return float((self.last_right / self.confusion.sum(1)).mean())

    def __iadd__(self, other: Scores) -> Scores:
        self.confusion += other.confusion
        self.last_right += other.last_right
        return self


@dataclass(frozen=True)
class Written:
    """A file of predictions. rows: how many it has."""

    uri: str
    rows: int


@dataclass(frozen=True)
class Predictor:
    """A classifier, with its id and the split by which it was fitted."""

    model_id: str
    classifier: Classifier = field(repr=False)
    test_share: float
    split_seed: int


def score(plan: Plan, job: Job, classifier: Classifier, last: Classifier | None) -> Scores:
    """Judge the held-out rows of the plan that have one of the classifier's labels. last: judged by the same rows."""
    labels, classify = classifier.labels, job.classify
    found = Scores.none(len(labels))
    for rows in plan_batches(plan, job.dataset, ("image_id", "label", "features")):
        true = encode(rows.column("label"), labels)
        judged = held_out(rows.column("image_id"), classify.test_share, classify.split_seed) & (true != NO_LABEL)
        if not judged.any():
            continue
        features, true = vectors(rows)[judged], true[judged]
        predicted = classifier.predict(features).probabilities.argmax(1)
        np.add.at(found.confusion, (true, predicted), 1)
        if last:
            right = last.predict(features).labels == np.array(labels, object)[true]
            found.last_right += np.bincount(true[right], minlength=len(labels))
    return found


def predict(plan: Plan, job: Job, predictor: Predictor, part: int) -> Written:
    """Write the predictions for the rows of the plan into a file where their table will look for it."""
    sink, count = io.BytesIO(), 0
    with pq.ParquetWriter(sink, PREDICTIONS, **FILE) as writer:
        for batch in _predicted(plan, job, predictor):
            writer.write_batch(batch)
            count += batch.num_rows
    uri = job.layout.new_predictions(part)
    storage.write(uri, sink.getbuffer())
    return Written(uri, count)


def _predicted(plan: Plan, job: Job, predictor: Predictor) -> Iterator[pa.RecordBatch]:
    classifier = predictor.classifier
    labels = pa.array(classifier.labels, pa.string())
    for rows in plan_batches(plan, job.dataset, ("partition_key", "uri", "image_id", "label", "features")):
        count = rows.num_rows
        test = held_out(rows.column("image_id"), predictor.test_share, predictor.split_seed)
        fitted = pa.array(encode(rows.column("label"), classifier.labels) != NO_LABEL)
        predictions = classifier.predict(vectors(rows))
        probabilities = predictions.probabilities.astype(np.float32)
        offsets = pa.array(np.arange(count + 1, dtype=np.int32) * len(labels))
        keys = labels.take(pa.array(np.tile(np.arange(len(labels)), count)))
        columns = {
            **{name: rows.column(name) for name in ("partition_key", "uri", "image_id", "label")},
            "split": pc.if_else(fitted, pc.if_else(pa.array(test), "test", "train"), pa.scalar(None, pa.string())),
            "predicted": pa.array(predictions.labels, pa.string()),
            "probability": pa.array(probabilities.max(1)),
            "probabilities": pa.MapArray.from_arrays(offsets, keys, pa.array(probabilities.reshape(-1))),
            "model_id": pa.repeat(predictor.model_id, count),
            "fingerprint": pa.repeat(job.fingerprint, count),
            "snapshot": pa.repeat(pa.scalar(job.snapshot, pa.int64()), count),
        }
        yield pa.RecordBatch.from_arrays([columns[name] for name in PREDICTIONS.names], schema=PREDICTIONS)
