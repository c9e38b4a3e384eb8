"""The names that Airflow, Spark and readers share. Each is defined once, in this module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CATALOG = "imagefeatures"
"""The Iceberg catalog. A SQL catalog lists only the tables stored under its name, so every reader uses this one."""

NAMESPACE = "features"
"""The namespace of all tables: a dataset's own table is features.<dataset>."""

QUARANTINE = "quarantine"
RUNS = "runs"
WITHDRAWALS = "withdrawals"
FORGOTTEN = "forgotten"
STATISTICS = "statistics"
SHARED = (QUARANTINE, RUNS, WITHDRAWALS, FORGOTTEN, STATISTICS)
"""The tables that all datasets share."""

PIXELS_SUFFIX = "_pixels"
"""The end of the name of a table with pixels: features.<dataset>_pixels. No dataset has a name that ends so."""

NO_MODEL = "none"
"""The model in features.runs of a run that published pixels alone."""

LEARNING = "learning"
"""The namespace of what is learned from the features: evaluations, and each dataset's predictions."""

NAMESPACES = (NAMESPACE, LEARNING)
"""All of them."""

EVALUATIONS = "evaluations"
"""The table of all classifiers that were fitted, of all datasets."""

DATASET_NAME = r"^[a-z][a-z0-9_]{0,62}$"
"""The pattern of a dataset's name."""

TABLE_NAME = r"^[a-z][a-z0-9_]{0,69}$"
"""The same of a table: that of the pixels is longer by its end."""

PARTITION = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
"""The pattern of a partition key: one path segment, without a character special to stores or shells."""

WHOLE_SOURCE = "all"
"""The partition of a dataset whose source has no partitions, where none is named."""

IMPORT_PATH = r"^[A-Za-z_][A-Za-z0-9_]*([.][A-Za-z_][A-Za-z0-9_]*)+$"
"""The pattern of the place of a Python object: my_module.my_notifier."""

RUN_ID = r"^[0-9]{8}T[0-9]{6}-[0-9a-f]{8}$"
"""The pattern of a run's id: the time of its plan in UTC, and eight digits that tell runs of one second apart."""

DATASET_CONF = "spark.imagefeatures.dataset"
"""Spark's property by which a DAG tells its jobs whose runs they may do."""

IMAGES_FORMAT = "imagefeatures.images"
"""The format by which Spark reads images: docs/spark.md."""

FEATURES_FORMAT = "imagefeatures.features"
"""The format by which Spark reads a dataset's features: docs/spark.md."""

FORGET_DAG = "forget"
"""The DAG that forgets images, of all datasets."""

UPKEEP_DAG = "upkeep"
"""The DAG that removes what runs leave behind, of all datasets."""

_DAG_PREFIX = "features_"
_REDRIVE_PREFIX = "redrive_"
_MODEL_SEPARATOR = "__"
_CLASSIFY_PREFIX = "classify_"
_UNPUBLISH_PREFIX = "unpublish_"


def dag_id(dataset: str) -> str:
    """The DAG of a dataset.

    >>> dag_id("fruit")
    'features_fruit'
    """
    return _DAG_PREFIX + dataset


def redrive_dag_id(dataset: str) -> str:
    """The DAG that takes the quarantined objects of a dataset again.

    >>> redrive_dag_id("fruit")
    'redrive_fruit'
    """
    return _REDRIVE_PREFIX + dataset


def classify_dag_id(dataset: str) -> str:
    """The DAG that fits a classifier to the features of a dataset.

    >>> classify_dag_id("fruit")
    'classify_fruit'
    """
    return _CLASSIFY_PREFIX + dataset


def unpublish_dag_id(dataset: str) -> str:
    """The DAG that takes published rows of a dataset back.

    >>> unpublish_dag_id("fruit")
    'unpublish_fruit'
    """
    return _UNPUBLISH_PREFIX + dataset


def dataset_of(dag_id: str) -> str | None:
    """The dataset of a DAG; None for a DAG that is none of ours.

    >>> dataset_of("features_fruit"), dataset_of("fruit")
    ('fruit', None)
    """
    return dag_id.removeprefix(_DAG_PREFIX) if dag_id.startswith(_DAG_PREFIX) else None


def dataset_redriven_by(dag_id: str) -> str | None:
    """The dataset of a DAG that re-drives one; None for any other DAG.

    >>> dataset_redriven_by("redrive_fruit"), dataset_redriven_by("features_fruit")
    ('fruit', None)
    """
    return dag_id.removeprefix(_REDRIVE_PREFIX) if dag_id.startswith(_REDRIVE_PREFIX) else None


def dataset_classified_by(dag_id: str) -> str | None:
    """The dataset of a DAG that fits a classifier; None for any other DAG.

    >>> dataset_classified_by("classify_fruit"), dataset_classified_by("features_fruit")
    ('fruit', None)
    """
    return dag_id.removeprefix(_CLASSIFY_PREFIX) if dag_id.startswith(_CLASSIFY_PREFIX) else None


def model_table(dataset: str, model: str) -> str:
    """The table of a dataset's further model, by the model's name. The first model's is the dataset's own.

    >>> model_table("fruit", "resnet50")
    'fruit__resnet50'
    """
    return f"{dataset}{_MODEL_SEPARATOR}{model}"


def tables_of_run(row: Mapping[str, Any]) -> list[str]:
    """The tables of features that a published run has filled, the dataset's own first. row: of features.runs.

    >>> tables_of_run({"dataset": "fruit", "models": [("resnet50", "0f")]}), tables_of_run({"dataset": "fruit"})
    (['fruit', 'fruit__resnet50'], ['fruit'])
    >>> tables_of_run({"dataset": "fruit", "model": NO_MODEL, "pixels": "0f"})
    ['fruit_pixels']
    """
    dataset: str = row["dataset"]
    pixels = [pixels_table(dataset)] if row.get("pixels") else []
    first = [] if pixels and row.get("model") == NO_MODEL else [dataset]
    return [*first, *(model_table(dataset, model) for model in dict(row.get("models") or ())), *pixels]


def has_vectors(row: Mapping[str, Any]) -> bool:
    """Whether a published run has vectors of the first model; it may have pixels alone. row: of features.runs."""
    return tables_of_run(row)[0] == str(row["dataset"])


def may_be_table_of(table: str, dataset: str) -> bool:
    """Whether a table's name is one that a run of the dataset may fill.

    >>> [may_be_table_of(table, "fruit") for table in ("fruit", "fruit__resnet50", "fruit_pixels", "fruits")]
    [True, True, True, False]
    """
    return table in (dataset, pixels_table(dataset)) or table.startswith(f"{dataset}{_MODEL_SEPARATOR}")


def datasets_of(table: str) -> list[str]:
    """The datasets whose runs may fill a table of this name, the longest first.

    >>> datasets_of("fruit__resnet50"), datasets_of("fruit"), datasets_of("fruit_pixels")
    (['fruit__resnet50', 'fruit'], ['fruit'], ['fruit'])
    """
    if is_pixels_table(table):
        return [table.removesuffix(PIXELS_SUFFIX)]
    parts = table.split(_MODEL_SEPARATOR)
    return [_MODEL_SEPARATOR.join(parts[:end]) for end in range(len(parts), 0, -1)]


def table_name(table: str) -> str:
    """A table as a reader names it.

    >>> table_name("fruit")
    'features.fruit'
    """
    return f"{NAMESPACE}.{table}"


def pixels_table(dataset: str) -> str:
    """The name of a dataset's table of pixels, without the namespace.

    >>> pixels_table("fruit"), is_pixels_table("fruit_pixels"), is_pixels_table("fruit")
    ('fruit_pixels', True, False)
    """
    return dataset + PIXELS_SUFFIX


def is_pixels_table(table: str) -> bool:
    """Whether a table holds pixels. table: without the namespace."""
    return table.endswith(PIXELS_SUFFIX)


def predictions(dataset: str) -> str:
    """The table of the namespace `learning` with the predictions for a dataset's images.

    >>> predictions("fruit")
    'fruit_predictions'
    """
    return f"{dataset}_predictions"
