"""What SparkML has learned, as arrays: from its models and its files, without a JVM."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.ml.classification import LogisticRegressionModel, MultilayerPerceptronClassificationModel
from pyspark.ml.feature import PCAModel, StandardScalerModel

from imagefeatures.errors import ModelMismatch
from imagefeatures.learning.declared import Classify
from imagefeatures.learning.portable import Predictions
from imagefeatures_spark import fit


def array(*values: Any) -> Any:
    return SimpleNamespace(toArray=lambda: np.array(values, np.float64))


class Components(PCAModel):
    def __init__(self) -> None:
        pass

    pc = array([1, 2], [3, 4], [5, 6])


class Scaled(StandardScalerModel):
    def __init__(self) -> None:
        pass

    mean, std = array(1, 2), array(0.5, 0)


class Regression(LogisticRegressionModel):
    def __init__(self) -> None:
        pass

    coefficientMatrix, interceptVector = array([1, 2], [3, 4]), array(5, 6)


class Perceptron(MultilayerPerceptronClassificationModel):
    def __init__(self) -> None:
        pass

    weights = array(*range(2 * 3 + 3 + 3 * 2 + 2))

    def getLayers(self) -> list[int]:
        return [2, 3, 2]


def portable(*stages: Any, saved: Path = Path("/nowhere"), kind: str = "logistic_regression") -> Any:
    model = cast("Any", SimpleNamespace(stages=[*stages, "names"]))
    return fit.portable(model, saved, Classify.model_validate({"model": kind}), ("a", "b"), "f" * 32)


def lists(arrays: Any) -> dict[str, Any]:
    return {name: values.tolist() for name, values in arrays.items()}


def test_the_stages_of_a_regression_are_its_arrays() -> None:
    found = portable(Components(), Scaled(), Regression())
    assert (found.kind, found.fingerprint, found.width, found.labels) == (
        "logistic_regression", "f" * 32, 3, ("a", "b"),
    )  # fmt: skip
    assert lists(found.arrays) == {
        "components": [[1, 2], [3, 4], [5, 6]], "mean": [1, 2], "deviation": [0.5, np.inf],
        "coefficients": [[1, 2], [3, 4]], "intercepts": [5, 6],
    }  # fmt: skip
    scaled_alone = portable(Scaled(), Regression())
    assert scaled_alone.width == 2
    assert "components" not in scaled_alone.arrays


def test_the_weights_of_a_perceptron_are_cut_layer_by_layer() -> None:
    found = portable(Scaled(), Perceptron(), kind="mlp")
    assert lists(found.arrays) == {
        "mean": [1, 2], "deviation": [0.5, np.inf], "weights_0": [[0, 1, 2], [3, 4, 5]], "biases_0": [6, 7, 8],
        "weights_1": [[9, 10], [11, 12], [13, 14]], "biases_1": [15, 16],
    }  # fmt: skip


def node(tree: int, number: int, left: int, right: int, feature: int, bound: float | None, *counts: float) -> Any:
    split = {
        "featureIndex": feature, "leftCategoriesOrThreshold": [] if bound is None else [bound], "numCategories": -1,
    }  # fmt: skip
    data = {"id": number, "impurityStats": list(counts), "leftChild": left, "rightChild": right, "split": split}
    return {"treeID": tree, "nodeData": data}


def test_the_nodes_of_all_trees_are_numbered_one_after_the_other(tmp_path: Path) -> None:
    """A tree of three nodes and one of a single leaf and one of five, in files of no order."""
    data = tmp_path / "stages" / "1_forest" / "data"
    data.mkdir(parents=True)
    nodes = [
        node(2, 3, -1, -1, -1, None, 1, 3), node(0, 2, -1, -1, -1, None, 0, 4), node(2, 0, 1, 4, 7, 0.25, 5, 5),
        node(0, 0, 1, 2, 5, 0.5, 2, 6), node(1, 0, -1, -1, -1, None, 1, 1), node(2, 4, -1, -1, -1, None, 4, 0),
        node(0, 1, -1, -1, -1, None, 2, 2), node(2, 2, -1, -1, -1, None, 2, 0), node(2, 1, 2, 3, 0, -1.5, 3, 3),
    ]  # fmt: skip
    for at in range(3):
        pq.write_table(pa.Table.from_pylist(nodes[at::3]), data / f"part-{at}.parquet")
    forest = SimpleNamespace(uid="forest")
    found = portable(Scaled(), forest, saved=tmp_path, kind="random_forest").arrays
    assert {name: found[name].dtype.name for name in ("roots", "feature", "left", "right", "votes")} == {
        "roots": "int32", "feature": "int32", "left": "int32", "right": "int32", "votes": "float64",
    }  # fmt: skip
    assert lists({name: found[name] for name in ("roots", "feature", "threshold", "left", "right", "votes")}) == {
        "roots": [0, 3, 4],
        "feature": [5, -1, -1, -1, 7, 0, -1, -1, -1],
        "threshold": [0.5, 0, 0, 0, 0.25, -1.5, 0, 0, 0],
        "left": [1, 0, 0, 0, 5, 6, 0, 0, 0],
        "right": [2, 0, 0, 0, 8, 7, 0, 0, 0],
        "votes": [
            [0.25, 0.75], [0.5, 0.5], [0, 1], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [1, 0], [0.25, 0.75], [1, 0],
        ],
    }  # fmt: skip


class Rows:
    """Rows of SparkML's answer: features and probability."""

    def __init__(self, *probabilities: float) -> None:
        self.probabilities, self.limited = probabilities, 0

    def limit(self, most: int) -> Rows:
        self.limited = most
        return self

    def select(self, *_: str) -> Rows:
        return self

    def collect(self) -> list[Any]:
        return [Row(features=array(at, at), probability=array(p, 1 - p)) for at, p in enumerate(self.probabilities)]


class Row(SimpleNamespace):
    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)


class Fitted:
    """The portable form: the first label has the probability 0.5 of every row."""

    def predict(self, vectors: np.ndarray) -> Predictions:
        return Predictions(np.empty(0), np.full((len(vectors), 2), 0.5))


def prove(*probabilities: float) -> tuple[float, int]:
    rows = Rows(*probabilities)
    model = SimpleNamespace(transform=lambda given: given)
    return fit.prove(cast("Any", model), cast("Any", Fitted()), cast("Any", rows)), rows.limited


def test_the_portable_form_must_be_as_near_as_rounding() -> None:
    difference, limited = prove(0.5, 0.5 + 2**-21, 0.5 - 2**-22)
    assert (difference, limited) == (2**-21, 500)
    assert prove() == (0.0, 500)
    with pytest.raises(ModelMismatch, match=r"^the portable form of the classifier differs from SparkML by 2e-06, and"):
        prove(0.5, 0.5 - 2**-19)
    with pytest.raises(ModelMismatch, match="by nan"):
        prove(np.nan)


def test_a_difference_that_is_just_allowed_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "TOLERANCE", 2**-20)
    assert prove(0.5 + 2**-20) == (2**-20, 500)
