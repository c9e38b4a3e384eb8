"""A classifier as arrays: what it computes, and which files and vectors it refuses."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from imagefeatures.errors import ModelMismatch
from imagefeatures.learning import portable
from imagefeatures.learning.portable import Classifier
from support.learning import FINGERPRINT, LABELS, by_corners, rows

LINE = {"mean": np.zeros(1), "deviation": np.ones(1)}


def test_a_logistic_regression_is_a_softmax() -> None:
    content = rows(40)
    found = by_corners().predict(np.array([row["features"] for row in content]))
    assert [row["label"] or "apple" for row in content] == found.labels.tolist()
    assert found.probabilities.shape == (40, 3)
    np.testing.assert_allclose(found.probabilities.sum(1), 1)
    one = by_corners(sharpness=1).predict(np.eye(1, 16)).probabilities[0]
    np.testing.assert_allclose(one, np.exp([1, 0, 0]) / np.exp([1, 0, 0]).sum())


def test_vectors_are_projected_then_centred_then_scaled() -> None:
    arrays = {
        "components": np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]]),
        "mean": np.array([1.0, 4.0]),
        "deviation": np.array([0.5, np.inf]),  # a value that is always the same
        "coefficients": np.array([[1.0, 1.0], [0.0, 0.0]]),
        "intercepts": np.zeros(2),
    }
    found = Classifier("logistic_regression", FINGERPRINT, 3, ("a", "b"), arrays).predict(np.array([[2.0, 9.0, 7.0]]))
    np.testing.assert_allclose(found.probabilities, [[np.exp(2) / (np.exp(2) + 1), 1 / (np.exp(2) + 1)]])


def test_a_perceptron_has_a_hidden_layer_of_logistic_units() -> None:
    arrays = LINE | {
        "weights_0": np.array([[100.0, -1000.0]]), "biases_0": np.zeros(2),
        "weights_1": np.array([[3.0, 0.0], [0.0, 3.0]]), "biases_1": np.array([0.0, 0.5]),
    }  # fmt: skip
    found = Classifier("mlp", FINGERPRINT, 1, ("up", "down"), arrays).predict(np.array([[1.0], [-1.0]]))
    assert found.labels.tolist() == ["up", "down"]
    expected = np.exp([[3, 0.5], [0, 3.5]])
    np.testing.assert_allclose(found.probabilities, expected / expected.sum(1, keepdims=True))


def test_a_forest_is_the_mean_of_its_leaves() -> None:
    arrays = LINE | {
        "roots": np.array([0, 3], np.int32),
        "feature": np.array([0, -1, -1, -1], np.int32),
        "threshold": np.array([0.5, 0, 0, 0]),
        "left": np.array([1, 0, 0, 0], np.int32),
        "right": np.array([2, 0, 0, 0], np.int32),
        "votes": np.array([[0.5, 0.5], [1, 0], [0.2, 0.8], [0.6, 0.4]]),
    }
    found = Classifier("random_forest", FINGERPRINT, 1, ("a", "b"), arrays).predict(np.array([[0.5], [0.6]]))
    np.testing.assert_allclose(found.probabilities, [[0.8, 0.2], [0.4, 0.6]])


def test_more_rows_than_are_computed_at_once_and_none() -> None:
    vectors = np.random.default_rng(0).normal(size=(portable.CHUNK + 3, 16))
    whole = by_corners().predict(vectors)
    assert len(whole.labels) == portable.CHUNK + 3
    np.testing.assert_array_equal(whole.probabilities[-2:], by_corners().predict(vectors[-2:]).probabilities)
    assert by_corners().predict(np.empty((0, 0), np.float32)).probabilities.shape == (0, 3)


def test_what_is_loaded_predicts_as_what_was_saved(tmp_path: Path) -> None:
    vectors = np.array([row["features"] for row in rows(20)])
    portable.save(by_corners(), f"file://{tmp_path}")
    loaded = portable.load(f"file://{tmp_path}", FINGERPRINT)
    assert (loaded.labels, loaded.width, loaded.fingerprint) == (LABELS, 16, FINGERPRINT)
    np.testing.assert_array_equal(loaded.predict(vectors).probabilities, by_corners().predict(vectors).probabilities)


def test_the_promoted_one_is_found_beside_the_file_that_names_it(tmp_path: Path) -> None:
    portable.save(by_corners(), f"file://{tmp_path}/3fa0c1d2e3f40516")
    (tmp_path / "promoted.json").write_text('{"model_id": "3fa0c1d2e3f40516"}')
    assert portable.load(f"file://{tmp_path}/promoted.json").labels == LABELS


def test_the_first_that_was_saved_stays(tmp_path: Path) -> None:
    portable.save(by_corners(), f"file://{tmp_path}")
    portable.save(by_corners(sharpness=-4), f"file://{tmp_path}")
    assert portable.load(f"file://{tmp_path}").arrays["coefficients"][0, 0] == 4


def test_vectors_that_do_not_compare_are_refused(tmp_path: Path) -> None:
    portable.save(by_corners(), f"file://{tmp_path}")
    with pytest.raises(ModelMismatch, match=f"fitted to vectors with fingerprint {FINGERPRINT}, .* do not compare"):
        portable.load(f"file://{tmp_path}", "0" * 32)
    with pytest.raises(ModelMismatch, match=r"vectors of 16 values, and these have shape \(2, 17\)"):
        by_corners().predict(np.zeros((2, 17)))


def test_files_that_have_changed_are_refused(tmp_path: Path) -> None:
    portable.save(by_corners(), f"file://{tmp_path}")
    (arrays,) = tmp_path.glob("*.npz")
    whole = arrays.read_bytes()
    arrays.write_bytes(whole[:-1] + b"x")
    with pytest.raises(ModelMismatch, match="not those that were written"):
        portable.load(f"file://{tmp_path}")
    arrays.write_bytes(whole)
    content = json.loads((tmp_path / "portable.json").read_text())
    for other in (content | {"format": 2}, {"format": 2}):  # whatever names another format has
        (tmp_path / "portable.json").write_text(json.dumps(other))
        with pytest.raises(ModelMismatch, match="its format is 2; this version reads format 1"):
            portable.load(f"file://{tmp_path}")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"x"', b"{}", b"\xff", b'{"format": 1}', b"null"])
@pytest.mark.parametrize("name", ["portable.json", "promoted.json"])
def test_a_damaged_file_is_told_in_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    portable.save(by_corners(), f"file://{tmp_path}")
    (tmp_path / name).write_bytes(content)
    uri = f"file://{tmp_path}/promoted.json" if name == "promoted.json" else f"file://{tmp_path}"
    with pytest.raises(ModelMismatch, match=rf"{name}: is damaged; fit a classifier again, by the DAG classify_"):
        portable.load(uri)


def test_arrays_of_objects_are_never_loaded(tmp_path: Path) -> None:
    evil = dataclasses.replace(by_corners(), arrays={"mean": np.array([print], object)})
    portable.save(evil, f"file://{tmp_path}")
    with pytest.raises(ValueError, match="allow_pickle"):
        portable.load(f"file://{tmp_path}")["mean"]


def test_intercepts_are_added_and_large_values_overflow_nowhere() -> None:
    arrays = LINE | {"coefficients": np.array([[1000.0], [0.0]]), "intercepts": np.array([0.0, 2000.0])}
    found = Classifier("logistic_regression", FINGERPRINT, 1, ("a", "b"), arrays).predict(np.array([[2.0], [3.0]]))
    np.testing.assert_array_equal(found.probabilities, [[0.5, 0.5], [1, 0]])


def test_a_hidden_unit_is_the_logistic_function() -> None:
    arrays = LINE | {
        "weights_0": np.array([[1.0]]), "biases_0": np.array([0.5]),
        "weights_1": np.array([[1.0, 0.0]]), "biases_1": np.zeros(2),
    }  # fmt: skip
    found = Classifier("mlp", FINGERPRINT, 1, ("a", "b"), arrays).predict(np.array([[1.0], [-0.5]]))
    hidden = 1 / (1 + np.exp([-1.5, 0]))
    np.testing.assert_allclose(found.probabilities[:, 0], 1 / (1 + np.exp(-hidden)))


@pytest.mark.parametrize("shape", [(16,), (2, 16, 1), (0,)])
def test_vectors_are_a_table(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelMismatch, match="vectors of 16 values, and these have shape"):
        by_corners().predict(np.zeros(shape))
