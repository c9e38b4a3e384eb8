"""A fitted classifier as NumPy arrays: it predicts where there is no Spark, and as SparkML does.

from imagefeatures import read
from imagefeatures.learning import portable

fruit = read.open("fruit")
classifier = portable.load("file:///lake/learning/fruit/promoted.json", fruit.fingerprint)
labels, probabilities = classifier.predict(fruit.to_numpy().features)
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from imagefeatures import storage
from imagefeatures.errors import ModelMismatch
from imagefeatures.learning.declared import LOGISTIC_REGRESSION, MLP, RANDOM_FOREST
from imagefeatures.reasons import printable

FORMAT = 1
CHUNK = 4096
"""So many rows are computed at once: 40 MB of doubles for vectors of 1280 values."""

PROMOTED = "/promoted.json"
LEAF = -1


class Predictions(NamedTuple):
    """Of n rows: labels, str [n] of NumPy's type object; probabilities, float64 [n, k], in the order of the labels."""

    labels: np.ndarray
    probabilities: np.ndarray


@dataclass(frozen=True)
class Classifier:
    """What was fitted. kind: as `classify: {model: …}` says. fingerprint: of the vectors that it was fitted to.

    width: values of a vector. labels: k of them, sorted. arrays, float64 unless said otherwise:
        components [width, c]       of principal components; missing where the vectors were only scaled
        mean, deviation [c]         what is subtracted of each value then, and what it is divided by
        coefficients [k, c], intercepts [k]         of a logistic regression
        weights_0 [c, h], biases_0 [h], weights_1 [h, k], biases_1 [k]      of a multilayer perceptron
        roots int32 [trees], feature int32 [nodes] (-1: a leaf), threshold [nodes], left, right int32 [nodes],
        votes [nodes, k]            of a random forest
    """

    kind: str
    fingerprint: str
    width: int
    labels: tuple[str, ...]
    arrays: Mapping[str, np.ndarray]

    def predict(self, vectors: np.ndarray) -> Predictions:
        """The label with the highest probability of each row, and the probabilities of all labels.

        vectors: float32 or float64 [n, width], of this classifier's fingerprint. Raises ModelMismatch for others.
        """
        if vectors.ndim != 2 or (len(vectors) and vectors.shape[1] != self.width):
            raise ModelMismatch(
                f"the classifier was fitted to vectors of {self.width} values, and these have shape {vectors.shape}"
            )
        parts = list(self._chunks(vectors))
        probabilities = np.concatenate(parts) if parts else np.empty((0, len(self.labels)))
        return Predictions(np.array(self.labels, object)[probabilities.argmax(1)], probabilities)

    def _chunks(self, vectors: np.ndarray) -> Iterator[np.ndarray]:
        arrays = self.arrays
        classify = {LOGISTIC_REGRESSION: _regression, MLP: _perceptron, RANDOM_FOREST: _forest}[self.kind]
        for start in range(0, len(vectors), CHUNK):
            rows = vectors[start : start + CHUNK].astype(np.float64)
            if "components" in arrays:
                rows = rows @ arrays["components"]
            yield classify((rows - arrays["mean"]) / arrays["deviation"], arrays)


def load(uri: str, fingerprint: str | None = None) -> Classifier:
    """The classifier of a folder, or the one that a promoted.json names.

    fingerprint: of the vectors that it shall predict. Raises ModelMismatch where it was fitted to others, and where its
    files are not what was written; storage.ObjectMissing, StoreRefused or StoreError.
    """
    folder = uri.rstrip("/")
    if folder.endswith(PROMOTED):
        # By its id, and not by a URI: a lake may be copied.
        folder = f"{folder.removesuffix(PROMOTED)}/{_content(folder, 'model_id')['model_id']}"
    content = _content(f"{folder}/portable.json", "format", "kind", "fingerprint", "width", "labels", "arrays")
    if fingerprint not in (None, content["fingerprint"]):
        raise ModelMismatch(
            f"{folder}: this classifier was fitted to vectors with fingerprint {content['fingerprint']}, and these "
            f"have {printable(str(fingerprint))}: they do not compare; fit one to these by the DAG classify_<dataset>"
        )
    data = storage.read(f"{folder}/{_file_of(content['arrays'])}")
    if hashlib.sha256(data).hexdigest() != content["arrays"]:
        raise ModelMismatch(f"{folder}: its arrays are not those that were written; fit it again")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return Classifier(
            content["kind"], content["fingerprint"], content["width"], tuple(content["labels"]), dict(arrays)
        )


def _content(uri: str, *names: str) -> dict[str, Any]:
    """The object in a JSON file, which has these names. Raises ModelMismatch where it is cut, or is another one."""
    try:
        content: dict[str, Any] = json.loads(storage.read(uri))
        if "format" in content and content["format"] != FORMAT:  # which may have other names
            raise ModelMismatch(f"{uri}: its format is {content['format']}; this version reads format {FORMAT}")
        if all(content[name] is not None for name in names):
            return content
    except (ValueError, TypeError, KeyError):
        pass
    raise ModelMismatch(f"{uri}: is damaged; fit a classifier again, by the DAG classify_<dataset>")


def save(classifier: Classifier, folder: str) -> None:
    """Write the two files into the folder; portable.json last. The one that is there first stays."""
    sink = io.BytesIO()
    arrays: dict[str, Any] = {**classifier.arrays}
    np.savez_compressed(sink, **arrays)
    digest = hashlib.sha256(sink.getvalue()).hexdigest()
    storage.write(f"{folder}/{_file_of(digest)}", sink.getvalue())
    content = {
        "format": FORMAT,
        "kind": classifier.kind,
        "fingerprint": classifier.fingerprint,
        "width": classifier.width,
        "labels": classifier.labels,
        "arrays": digest,
    }
    storage.write(f"{folder}/portable.json", json.dumps(content, indent=1).encode(), only_if_absent=True)


def _file_of(digest: str) -> str:
    return f"portable-{digest[:16]}.npz"


def _regression(rows: np.ndarray, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    return _softmax(rows @ arrays["coefficients"].T + arrays["intercepts"])


def _perceptron(rows: np.ndarray, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    hidden = rows @ arrays["weights_0"] + arrays["biases_0"]
    hidden = 0.5 * (1 + np.tanh(hidden / 2))  # the logistic function, without overflow
    return _softmax(hidden @ arrays["weights_1"] + arrays["biases_1"])


def _forest(rows: np.ndarray, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    feature, threshold = arrays["feature"], arrays["threshold"]
    every = np.arange(len(rows))
    votes = np.zeros((len(rows), arrays["votes"].shape[1]))
    for root in arrays["roots"]:
        nodes = np.full(len(rows), root)
        while (inner := feature[nodes] != LEAF).any():
            goes_left = rows[every, feature[nodes]] <= threshold[nodes]  # of a leaf whatever it is
            nodes = np.where(inner, np.where(goes_left, arrays["left"][nodes], arrays["right"][nodes]), nodes)
        votes += arrays["votes"][nodes]
    probabilities: np.ndarray = votes / votes.sum(1, keepdims=True)
    return probabilities


def _softmax(raw: np.ndarray) -> np.ndarray:
    raised = np.exp(raw - raw.max(1, keepdims=True))
    probabilities: np.ndarray = raised / raised.sum(1, keepdims=True)
    return probabilities
