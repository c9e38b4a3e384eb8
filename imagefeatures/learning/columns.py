"""The columns of the tables of the namespace `learning`. A column's `doc` is what docs/tables.md says of it."""

from __future__ import annotations

import pyarrow as pa

from imagefeatures import schemas
from imagefeatures.columns import column

_INSTANT = pa.timestamp("us", tz="UTC")
_NUMBERS, _COUNTS = pa.map_(pa.string(), pa.float64()), pa.map_(pa.string(), pa.int64())
_MODEL_ID = column("model_id", pa.string(), "The classifier: digest of dataset, snapshot, fingerprint and settings")
_FINGERPRINT = column("fingerprint", pa.string(), "That of the vectors; the classifier is for no others")
_SNAPSHOT = column("snapshot", pa.int64(), "The snapshot of features.<dataset>")

EVALUATIONS = pa.schema(
    [
        column("dataset", pa.string(), "Name of the dataset"),
        _MODEL_ID,
        _FINGERPRINT,
        _SNAPSHOT,
        column("classifier", pa.string(), "logistic_regression, random_forest or mlp"),
        column("settings", pa.string(), "The settings of the fit, as JSON"),
        column("components", pa.int32(), "Principal components used; null where vectors were scaled", nullable=True),
        column("labels", pa.list_(pa.string()), "The labels that it tells apart, sorted"),
        column("left_out", _COUNTS, "Labels with too few images, and how many rows each has"),
        column("rows_train", pa.int64(), "Images that were fitted, each with its augmented copies"),
        column("rows_test", pa.int64(), "Rows that were held out, of these labels"),
        column("rows_unlabelled", pa.int64(), "Rows without a label: predicted, never fitted"),
        column("accuracy", pa.float64(), "Share of the held-out rows that are right"),
        column("macro_accuracy", pa.float64(), "Mean of the labels' recalls: by it a classifier is promoted"),
        column("macro_f1", pa.float64(), "Mean of the labels' F1"),
        column("precision", _NUMBERS, "Of each label: share of its predictions that are right"),
        column("recall", _NUMBERS, "Of each label: share of its held-out rows that are right"),
        column("f1", _NUMBERS, "Of each label: harmonic mean of the two"),
        column("support", _COUNTS, "Of each label: held-out rows"),
        column("confusion", pa.list_(pa.list_(pa.int64())), "Held-out rows by true label (rows) and predicted one"),
        column("picture", pa.string(), "URI of the same as a picture"),
        column("folder", pa.string(), "URI of the classifier's folder"),
        column("promoted", pa.bool_(), "Whether it took the place of the last one"),
        column("why", pa.string(), "What it was compared with, in words"),
        column("compared_with", pa.string(), "model_id of the classifier before; null for the first", nullable=True),
        column("compared_macro_accuracy", pa.float64(), "What that one had; null for the first", nullable=True),
        column("seconds", pa.float64(), "Time of the Spark job without Spark's start, in seconds"),
        column("planned_at", _INSTANT, "When the snapshot was settled"),
        column("evaluated_at", _INSTANT, "When the Spark job had finished"),
        column("versions", pa.map_(pa.string(), pa.string()), "Software versions of the Spark job"),
    ]
)
"""Table learning.evaluations: one row for each classifier that was fitted."""

PREDICTIONS = pa.schema(
    [
        *(schemas.FEATURES.field(name) for name in ("partition_key", "uri", "image_id", "label")),
        column("split", pa.string(), "train or test; null without a label that is fitted", nullable=True),
        column("predicted", pa.string(), "The most probable label"),
        column("probability", pa.float32(), "Its probability"),
        column("probabilities", pa.map_(pa.string(), pa.float32()), "The probability of each label"),
        _MODEL_ID,
        _FINGERPRINT,
        _SNAPSHOT,
    ]
)
"""Table learning.<dataset>_predictions: a row for each row of the snapshot, by the promoted classifier."""
