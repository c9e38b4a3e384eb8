"""The columns of the tables of `learning`, and which of them may be null."""

from __future__ import annotations

import pyarrow as pa
import pytest

from imagefeatures.learning.columns import EVALUATIONS, PREDICTIONS


@pytest.mark.parametrize(
    ("schema", "may_be_null"),
    [
        (EVALUATIONS, ["components", "compared_with", "compared_macro_accuracy"]),
        (PREDICTIONS, ["label", "split"]),
    ],
    ids=["evaluations", "predictions"],
)
def test_only_what_may_be_missing_may_be_null(schema: pa.Schema, may_be_null: list[str]) -> None:
    assert [field.name for field in schema if field.nullable] == may_be_null


def test_the_columns_are_in_the_order_of_the_documents() -> None:
    assert PREDICTIONS.names == [
        "partition_key", "uri", "image_id", "label", "split", "predicted", "probability", "probabilities", "model_id",
        "fingerprint", "snapshot",
    ]  # fmt: skip
    assert EVALUATIONS.names == [
        "dataset", "model_id", "fingerprint", "snapshot", "classifier", "settings", "components", "labels", "left_out",
        "rows_train", "rows_test", "rows_unlabelled", "accuracy", "macro_accuracy", "macro_f1", "precision", "recall",
        "f1", "support", "confusion", "picture", "folder", "promoted", "why", "compared_with",
        "compared_macro_accuracy", "seconds", "planned_at", "evaluated_at", "versions",
    ]  # fmt: skip
