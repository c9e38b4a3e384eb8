"""The columns of the tables of the namespace `learning`. A column's `doc` is what docs/tables.md says of it."""

from __future__ import annotations

import pyarrow as pa

from imagefeatures import schemas


def _column(name: str, kind: pa.DataType, doc: str, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"doc": doc})


_INSTANT = pa.timestamp("us", tz="UTC")
_NUMBERS, _COUNTS = pa.map_(pa.string(), pa.float64()), pa.map_(pa.string(), pa.int64())
_MODEL_ID = _column("model_id", pa.string(), "The classifier: digest of dataset, snapshot, fingerprint and settings")
_FINGERPRINT = _column("fingerprint", pa.string(), "That of the vectors; the classifier is for no others")
_SNAPSHOT = _column("snapshot", pa.int64(), "The snapshot of features.<dataset>")

EVALUATIONS = pa.schema(
    [
        _column("dataset", pa.string(), "Name of the dataset"),
        _MODEL_ID,
        _FINGERPRINT,
        _SNAPSHOT,
        _column("classifier", pa.string(), "logistic_regression, random_forest or mlp"),
        _column("settings", pa.string(), "The settings of the fit, as JSON"),
        _column("components", pa.int32(), "Principal components used; null where vectors were scaled", nullable=True),
        _column("labels", pa.list_(pa.string()), "The labels that it tells apart, sorted"),
        _column("left_out", _COUNTS, "Labels with too few images, and how many rows each has"),
        _column("rows_train", pa.int64(), "Rows that were fitted"),
        _column("rows_test", pa.int64(), "Rows that were held out, of these labels"),
        _column("rows_unlabelled", pa.int64(), "Rows without a label: predicted, never fitted"),
        _column("accuracy", pa.float64(), "Share of the held-out rows that are right"),
        _column("macro_accuracy", pa.float64(), "Mean of the labels' recalls: by it a classifier is promoted"),
        _column("macro_f1", pa.float64(), "Mean of the labels' F1"),
        _column("precision", _NUMBERS, "Of each label: share of its predictions that are right"),
        _column("recall", _NUMBERS, "Of each label: share of its held-out rows that are right"),
        _column("f1", _NUMBERS, "Of each label: harmonic mean of the two"),
        _column("support", _COUNTS, "Of each label: held-out rows"),
        _column("confusion", pa.list_(pa.list_(pa.int64())), "Held-out rows by true label (rows) and predicted one"),
        _column("picture", pa.string(), "URI of the same as a picture"),
        _column("folder", pa.string(), "URI of the classifier's folder"),
        _column("promoted", pa.bool_(), "Whether it took the place of the last one"),
        _column("why", pa.string(), "What it was compared with, in words"),
        _column("compared_with", pa.string(), "model_id of the classifier before; null for the first", nullable=True),
        _column("compared_macro_accuracy", pa.float64(), "What that one had; null for the first", nullable=True),
        _column("seconds", pa.float64(), "Time of the Spark job without Spark's start, in seconds"),
        _column("planned_at", _INSTANT, "When the snapshot was settled"),
        _column("evaluated_at", _INSTANT, "When the Spark job had finished"),
        _column("versions", pa.map_(pa.string(), pa.string()), "Software versions of the Spark job"),
    ]
)
"""Table learning.evaluations: one row for each classifier that was fitted."""

PREDICTIONS = pa.schema(
    [
        *(schemas.FEATURES.field(name) for name in ("partition_key", "uri", "image_id", "label")),
        _column("split", pa.string(), "train or test; null without a label that is fitted", nullable=True),
        _column("predicted", pa.string(), "The most probable label"),
        _column("probability", pa.float32(), "Its probability"),
        _column("probabilities", pa.map_(pa.string(), pa.float32()), "The probability of each label"),
        _MODEL_ID,
        _FINGERPRINT,
        _SNAPSHOT,
    ]
)
"""Table learning.<dataset>_predictions: a row for each row of the snapshot, by the promoted classifier."""
