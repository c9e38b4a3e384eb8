"""SparkML's part of a classifier: the pipeline, and what it has learned as NumPy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from pyspark import StorageLevel
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import (
    LogisticRegression,
    LogisticRegressionModel,
    MultilayerPerceptronClassificationModel,
    MultilayerPerceptronClassifier,
    RandomForestClassifier,
)
from pyspark.ml.feature import PCA, IndexToString, PCAModel, StandardScaler, StandardScalerModel, StringIndexerModel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from imagefeatures.errors import ModelMismatch
from imagefeatures.learning import declared, split
from imagefeatures.learning.declared import Classify
from imagefeatures.learning.portable import LEAF, Classifier

REGULARIZATION = 0.01
"""Of the logistic regression: with 80 images of a label and 128 components, 0.001 and 0.1 did worse."""

ITERATIONS = 100
TREES = 100
DEPTH = 12
HIDDEN = 64
"""Units of the perceptron's one hidden layer."""

LEAST_VARIANCE = 1e-9
"""Of the first principal component's variance: what varies less is the rounding of the others."""

TOLERANCE = 1e-6
"""How far the probabilities of the portable form may be from SparkML's."""

LABEL, INDEX, PROBABILITY = "label", "label_index", "probability"


def select(rows: DataFrame, classify: Classify, labels: tuple[str, ...], shares: Mapping[str, float]) -> DataFrame:
    """The rows that are fitted: image_id, label, features, and the label's place as the column `label_index`.

    rows: image_id, label, features. shares: of each label's training rows, how many are fitted.
    """
    chosen = rows.where(F.col(LABEL).isin(*labels) & ~held_out(classify.test_share, classify.split_seed))
    if min(shares.values()) < 1:
        bounds = F.create_map(*(F.lit(text) for label in labels for text in (label, split.bound(shares[label]))))
        chosen = chosen.where(F.sha2(F.concat(F.lit(split.FIT), F.col("image_id")), 256) < bounds[F.col(LABEL)])
    indexer = StringIndexerModel.from_labels([*labels], inputCol=LABEL, outputCol=INDEX)
    indexed: DataFrame = indexer.transform(chosen)
    return indexed


def held_out(share: float, seed: int) -> Column:
    """`imagefeatures.learning.split.held_out`, as Spark computes it from the column image_id."""
    image_id = F.col("image_id")
    key = F.sha2(F.concat(F.lit(f"{seed}:"), image_id), 256) if seed else image_id
    side: Column = key < F.lit(split.bound(share))
    return side


def fit(rows: DataFrame, classify: Classify, labels: tuple[str, ...], width: int) -> PipelineModel:
    """Fit SparkML's pipeline to what `select` has given. width: of the vectors.

    The vectors are held in memory as far as it reaches, and else on the disk.
    """
    rows = rows.persist(StorageLevel.MEMORY_AND_DISK)
    count = rows.count()
    reduced = "features"
    stages: list[Any] = []
    if classify.reduce == declared.PCA:
        reduced = "components"
        components = min(classify.components, width, count - 1)
        stages.append(_components(rows, components, reduced))
        rows = stages[0].transform(rows).select("image_id", INDEX, reduced)  # a tenth of the numbers
    scaler = StandardScaler(withMean=True, withStd=True, inputCol=reduced, outputCol="scaled").fit(rows)
    # SparkML goes over the rows a hundred times: each partition more costs each pass a task.
    ready = scaler.transform(rows).select(INDEX, "scaled").coalesce(rows.sparkSession.sparkContext.defaultParallelism)
    ready = ready.persist(StorageLevel.MEMORY_AND_DISK)
    classifier = _estimator(classify, len(scaler.mean), len(labels)).fit(ready)
    names = IndexToString(inputCol="prediction", outputCol="predicted", labels=[*labels])
    # Fitting a pipeline of fitted stages only puts them together.
    return Pipeline(stages=[*stages, scaler, classifier, names]).fit(rows)


def _components(rows: DataFrame, most: int, output: str) -> PCAModel:
    """The principal components along which the vectors differ: `most`, or fewer where they lie in fewer dimensions.

    Along the others nothing varies but the last digits, which scaling would blow up to the size of everything else.
    """
    model: PCAModel = PCA(k=most, inputCol="features", outputCol=output).fit(rows)
    variances = model.explainedVariance.toArray()
    varying = max(1, int(np.count_nonzero(variances > LEAST_VARIANCE * variances[0])))
    return model if varying == most else PCA(k=varying, inputCol="features", outputCol=output).fit(rows)


def portable(
    model: PipelineModel, saved: Path, classify: Classify, labels: tuple[str, ...], fingerprint: str
) -> Classifier:
    """What the pipeline has learned, as arrays. saved: the folder into which SparkML has written it."""
    *reducing, classifier, _ = model.stages
    arrays: dict[str, np.ndarray] = {}
    width = 0
    for stage in reducing:
        if isinstance(stage, PCAModel):
            arrays["components"] = stage.pc.toArray()
            width = len(arrays["components"])
        elif isinstance(stage, StandardScalerModel):
            arrays["mean"] = stage.mean.toArray()
            deviation = stage.std.toArray()
            # SparkML makes 0 of a value that is always the same.
            arrays["deviation"] = np.where(deviation == 0, np.inf, deviation)
            width = width or len(deviation)
    if isinstance(classifier, LogisticRegressionModel):
        arrays["coefficients"] = classifier.coefficientMatrix.toArray()
        arrays["intercepts"] = classifier.interceptVector.toArray()
    elif isinstance(classifier, MultilayerPerceptronClassificationModel):
        arrays |= _layers(classifier.weights.toArray(), [*classifier.getLayers()])
    else:
        arrays |= _trees(saved / "stages" / f"{len(reducing)}_{classifier.uid}" / "data")
    return Classifier(classify.model, fingerprint, width, labels, arrays)


def prove(model: PipelineModel, classifier: Classifier, rows: DataFrame, most: int = 500) -> float:
    """The largest difference between probabilities of SparkML and of the portable form on some rows.

    Raises ModelMismatch where it is more than TOLERANCE.
    """
    found = model.transform(rows.limit(most)).select("features", PROBABILITY).collect()
    if not found:
        return 0.0
    theirs = np.array([row[PROBABILITY].toArray() for row in found])
    ours = classifier.predict(np.array([row.features.toArray() for row in found])).probabilities
    difference = float(np.abs(theirs - ours).max())
    if not difference <= TOLERANCE:
        raise ModelMismatch(
            f"the portable form of the classifier differs from SparkML by {difference:.1g}, and at most {TOLERANCE:g} "
            "is allowed: this PySpark computes in another way than the version in requirements.txt"
        )
    return difference


def _estimator(classify: Classify, inputs: int, labels: int) -> Any:
    common: dict[str, Any] = {"featuresCol": "scaled", "labelCol": INDEX}
    if classify.model == declared.RANDOM_FOREST:
        return RandomForestClassifier(numTrees=TREES, maxDepth=DEPTH, seed=classify.split_seed, **common)
    if classify.model == declared.MLP:
        layers = [inputs, HIDDEN, labels]
        return MultilayerPerceptronClassifier(layers=layers, maxIter=ITERATIONS, seed=classify.split_seed, **common)
    return LogisticRegression(family="multinomial", regParam=REGULARIZATION, maxIter=ITERATIONS, **common)


def _layers(weights: np.ndarray, layers: list[int]) -> dict[str, np.ndarray]:
    """SparkML has one array: of each layer the weights, inputs by outputs, and then the biases."""
    arrays, at = {}, 0
    for number, (inputs, outputs) in enumerate(pairwise(layers)):
        end = at + inputs * outputs
        arrays[f"weights_{number}"] = weights[at:end].reshape(inputs, outputs)
        arrays[f"biases_{number}"] = weights[end : end + outputs]
        at = end + outputs
    return arrays


def _trees(data: Path) -> dict[str, np.ndarray]:
    """The nodes of all trees, from SparkML's own files: a row for each node, numbered anew in each tree."""
    table = pq.ParquetDataset(data).read()
    trees = table["treeID"].to_numpy()
    nodes = table["nodeData"].combine_chunks().flatten()
    fields = dict(zip(table.schema.field("nodeData").type.names, nodes, strict=True))
    ids = fields["id"].to_numpy()
    order = np.lexsort((ids, trees))
    _, roots, sizes = np.unique(trees[order], return_index=True, return_counts=True)
    first = np.repeat(roots, sizes)  # of each node, the place of its tree's root
    left, right = (fields[side].to_numpy()[order] for side in ("leftChild", "rightChild"))
    parts = dict(zip(fields["split"].type.names, fields["split"].flatten(), strict=True))
    is_leaf = left < 0
    thresholds = np.array([value[0] if value else 0.0 for value in parts["leftCategoriesOrThreshold"].to_pylist()])
    counts = np.array(fields["impurityStats"].to_pylist(), np.float64)[order]
    return {
        "roots": roots.astype(np.int32),
        "feature": np.where(is_leaf, LEAF, parts["featureIndex"].to_numpy()[order]).astype(np.int32),
        "threshold": thresholds[order],
        "left": np.where(is_leaf, 0, first + left).astype(np.int32),
        "right": np.where(is_leaf, 0, first + right).astype(np.int32),
        "votes": counts / counts.sum(1, keepdims=True),
    }
