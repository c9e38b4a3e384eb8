"""The published vectors are right: equal to a straight Keras computation, and of use to a classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from airflow_session import Deployment

from imagefeatures.catalog import read_rows
from imagefeatures.models import reference
from imagefeatures.models.weights import load_weights

Published = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def table(published: Published, deployment: Deployment) -> Any:
    return read_rows(deployment.settings, "fruit").sort_by("uri")


def test_a_dozen_photos_equal_a_straight_keras_computation(table: Any, deployment: Deployment) -> None:
    keras = pytest.importorskip("keras")
    from PIL import Image

    rows = [row for row in table.to_pylist() if row["mode"] == "RGB"][:: table.num_rows // 13][:12]
    photos = [Image.open(row["uri"].removeprefix("file://")) for row in rows]
    inputs = np.stack([np.asarray(photo.resize((224, 224), Image.Resampling.BICUBIC), np.float32) for photo in photos])
    model = reference.build(load_weights("mobilenet_v2", deployment.settings.cache))
    expected = model.predict(keras.applications.mobilenet_v2.preprocess_input(inputs), verbose=0)
    found = np.array([row["features"] for row in rows], np.float32)
    assert len(found) == 12
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)


def test_odd_files_have_nearly_the_features_of_the_photos_they_were_made_of(
    table: Any, layout: tuple[Path, Any]
) -> None:
    folder, days = layout
    vectors = {row["uri"]: np.array(row["features"]) for row in table.to_pylist()}
    compared = 0
    for day in days:
        for name, origin in day.odd.items():
            odd, photo = (
                vectors[f"file://{folder}/fruit/{day.partition}/{path}"] for path in (name, origin)
            )
            cosine = odd @ photo / np.linalg.norm(odd) / np.linalg.norm(photo)
            assert cosine > (0.6 if "16" in name else 0.9), name
            compared += 1
    assert compared >= 3


def test_a_linear_probe_tells_the_fourteen_classes_apart(table: Any) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features = table["features"].combine_chunks().flatten().to_numpy().reshape(table.num_rows, -1)
    labels = np.array(table["label"].to_pylist())
    classes, counts = np.unique(labels, return_counts=True)
    kept = np.isin(labels, classes[counts >= 5])
    assert len(classes[counts >= 5]) == 14
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    score = cross_val_score(probe, features[kept], labels[kept], cv=folds).mean()
    print(f"linear probe over {kept.sum()} photos: {score:.3f}")
    assert score >= 0.74
