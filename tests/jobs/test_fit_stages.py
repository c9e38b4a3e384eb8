"""Which rows a classifier is fitted to, and by which stages: with lists in the place of Spark."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from imagefeatures.learning import split
from imagefeatures.learning.declared import Classify
from imagefeatures_spark import fit
from support import learning
from support.lists_as_sparkml import PCA, Row, Rows, stand_in

FITTED = ("apple", "pear")
"""The third label of the rows is left out."""


@pytest.fixture(autouse=True)
def _without_a_jvm(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, fit)


def selected(rows: Iterable[Row], shares: dict[str, float], **fields: Any) -> list[Row]:
    found: Any = fit.select(Rows(lambda: rows), Classify.model_validate(fields), FITTED, shares)  # type: ignore[arg-type]
    return list(found.collect())


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("shares", [(1.0, 1.0), (0.3, 1.0), (0.5, 0.6)])
def test_the_rows_that_are_fitted_are_those_that_are_counted_as_fitted(seed: int, shares: tuple[float, float]) -> None:
    rows, of_label = learning.rows(120), dict(zip(FITTED, shares, strict=True))

    def is_counted(row: Row) -> bool:
        batch = pa.RecordBatch.from_pylist([{name: row[name] for name in ("image_id", "label")}])
        return split.rows_fitted([batch], 0.4, seed, of_label) == 1

    wanted = [row | {"label_index": FITTED.index(row["label"])} for row in rows if is_counted(row)]
    assert 0 < len(wanted) < 50
    assert selected(rows, of_label, test_share=0.4, split_seed=seed) == wanted


def test_an_image_at_the_bound_is_fitted() -> None:
    below, at = "33333333333333ff", split.bound(0.2)
    rows = [{"image_id": image_id, "label": "pear"} for image_id in (below, at)]
    assert split.held_out(pa.array([below, at]), 0.2, 0).tolist() == [True, False]
    assert [row["image_id"] for row in selected(rows, dict.fromkeys(FITTED, 1.0))] == [at]


def of_images(count: int, width: int = learning.WIDTH) -> list[Row]:
    return [
        {"image_id": str(at), "label": "x", "label_index": float(at % 2), "features": np.arange(width) + at}
        for at in range(count)
    ]


def stages(rows: list[Row], **fields: Any) -> list[tuple[str, Any]]:
    """The stages of a pipeline that is fitted: their names, and themselves. The rows are read once."""
    readings: list[int] = []

    def read() -> list[Row]:
        readings.append(1)
        return rows

    found: Any = fit.fit(Rows(read), Classify.model_validate(fields), FITTED, len(rows[0]["features"]))  # type: ignore[arg-type]
    assert readings == [1]
    return [(type(stage).__name__, stage) for stage in found.stages]


MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "logistic_regression": (
        "LogisticRegression",
        {"family": "multinomial", "regParam": fit.REGULARIZATION, "maxIter": fit.ITERATIONS},
    ),
    "random_forest": ("RandomForestClassifier", {"numTrees": fit.TREES, "maxDepth": fit.DEPTH, "seed": 7}),
    "mlp": ("MultilayerPerceptronClassifier", {"maxIter": fit.ITERATIONS, "seed": 7}),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("reduce", ["pca", "scale"])
def test_vectors_are_reduced_and_scaled_and_fitted_and_the_classes_are_the_labels(
    model: str, reduce: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PCA, "variances", (0.5, 0.3, 0.2))
    rows = of_images(9)
    found = stages(rows, model=model, reduce=reduce, components=3, split_seed=7)
    name, given = MODELS[model]
    assert [of for of, _ in found] == ["PCA"] * (reduce == "pca") + ["StandardScaler", name, "IndexToString"]
    *reducing, scaler, classifier, names = [stage for _, stage in found]
    width, column = (3, "components") if reduce == "pca" else (learning.WIDTH, "features")
    assert all(stage.given == {"k": 3, "inputCol": "features", "outputCol": column} for stage in reducing)
    assert scaler.given == {"withMean": True, "withStd": True, "inputCol": column, "outputCol": "scaled"}
    layers = {"layers": [width, fit.HIDDEN, 2]} if model == "mlp" else {}
    assert classifier.given == {"featuresCol": "scaled", "labelCol": "label_index", **given, **layers}
    assert names.given == {"inputCol": "prediction", "outputCol": "predicted", "labels": [*FITTED]}
    fitted = [(row["scaled"].tolist(), row["label_index"]) for row in classifier.fitted]
    assert fitted == [(row["features"][:width].tolist(), row["label_index"]) for row in rows]
    assert scaler.made == len(rows)  # once for all passes of the classifier


@pytest.mark.parametrize(
    ("images", "width", "wanted", "components"), [(40, 16, 12, 12), (40, 6, 12, 6), (5, 16, 12, 4), (2, 16, 12, 1)]
)
def test_there_are_no_more_components_than_dimensions_or_images_but_one(
    images: int, width: int, wanted: int, components: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PCA, "variances", (0.05,) * 20)
    (_, reducing), *_ = stages(of_images(images, width), components=wanted)
    assert reducing.given["k"] == components


@pytest.mark.parametrize(
    ("variances", "components"),
    [
        ((0.5, 0.3, 0.2), 3),
        ((0.9, 0.1, 1e-12), 2),
        ((0.9, 1e-10, 1e-10), 1),
        ((1.0, 1.0001e-9, 1e-9), 2),
        ((np.nan,) * 3, 1),  # of vectors that are all the same
    ],
)
def test_components_along_which_only_the_last_digits_vary_are_left_out(
    variances: tuple[float, ...], components: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PCA, "variances", variances)
    (_, reducing), (_, scaler), *_ = stages(of_images(9), components=3)
    assert reducing.given == {"k": components, "inputCol": "features", "outputCol": "components"}
    assert len(reducing.fitted) == 9
    assert len(scaler.fitted[0]["components"]) == components
