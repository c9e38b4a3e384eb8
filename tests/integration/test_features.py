"""The published vectors equal a plain Keras computation, and a classifier can learn from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from imagefeatures import read
from imagefeatures.models import reference
from imagefeatures.models.weights import load_weights
from support.airflow_session import DAYS, KEPT_BACK, Deployment
from support.shared import SPEC

Published = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def table(published: Published, deployment: Deployment) -> Any:
    return read.table(deployment.settings, "fruit").sort_by("uri")


@pytest.fixture(scope="module")
def keras_features(deployment: Deployment) -> Callable[[list[Path]], np.ndarray]:
    """The plain computation of Keras' manual: paths of n RGB photos to float32 [n, 1280]."""
    import keras
    from PIL import Image

    model = reference.build(SPEC, load_weights(SPEC, deployment.settings.cache))

    def features(paths: list[Path]) -> np.ndarray:
        photos = [Image.open(path).resize((224, 224), Image.Resampling.BICUBIC) for path in paths]
        inputs = keras.applications.mobilenet_v2.preprocess_input(np.stack(photos).astype(np.float32))
        return model.predict(inputs, verbose=0)

    return features


def test_a_dozen_vectors_equal_a_plain_keras_computation(table: Any, keras_features: Any) -> None:
    rows = [row for row in table.to_pylist() if row["mode"] == "RGB"][:: table.num_rows // 13][:12]
    expected = keras_features([Path(row["uri"].removeprefix("file://")) for row in rows])
    found = np.array([row["features"] for row in rows], np.float32)
    assert len(found) == 12
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)


def test_odd_files_have_nearly_the_features_of_the_photos_they_were_made_of(
    table: Any, layout: tuple[Path, Any]
) -> None:
    folder, days = layout
    vectors = {row["uri"]: np.array(row["features"]) for row in table.to_pylist()}
    compared = 0
    for day in days[: len(DAYS)]:
        for name, origin in day.odd.items():
            odd, photo = (vectors[f"file://{folder}/fruit/{day.partition}/{path}"] for path in (name, origin))
            cosine = odd @ photo / np.linalg.norm(odd) / np.linalg.norm(photo)
            assert cosine > (0.6 if "16" in name else 0.9), name
            compared += 1
    assert compared == 2


def test_a_linear_probe_tells_the_fourteen_classes_apart(table: Any) -> None:
    features, labels = matrix(table)
    assert len(set(labels)) == 14
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    score = cross_val_score(probe(), features, labels, cv=folds).mean()
    print(f"linear probe over {len(labels)} photos: {score:.3f}")
    assert score >= 0.74


def test_a_probe_trained_on_plain_keras_features_classifies_the_published_ones(
    table: Any, keras_features: Any, layout: tuple[Path, Any]
) -> None:
    """Scores 0.93. Swapped colours would score 0.35 and pixels scaled to [0, 1] 0.77: both would fail."""
    folder, days = layout
    paths = sorted((folder / "fruit" / KEPT_BACK).glob("*/*.jpg"))
    strange = {name for day in days for name in (*day.bad, *day.odd)}
    paths = [path for path in paths if f"{path.parent.name}/{path.name}" not in strange]
    taught = probe().fit(keras_features(paths), [path.parent.name for path in paths])
    score = taught.score(*matrix(table))
    print(f"probe taught on {len(paths)} other photos by Keras: {score:.3f}")
    assert score >= 0.87


def probe() -> Any:
    return make_pipeline(StandardScaler(), RidgeClassifier(alpha=1000))


def matrix(table: Any) -> tuple[np.ndarray, np.ndarray]:
    features = table["features"].combine_chunks().flatten().to_numpy().reshape(table.num_rows, -1)
    return features, np.array(table["label"].to_pylist())
