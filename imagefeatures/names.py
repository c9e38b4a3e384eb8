"""The names that Airflow, Spark and readers share. Each is defined once, in this module."""

from __future__ import annotations

CATALOG = "imagefeatures"
"""The Iceberg catalog. A SQL catalog lists only the tables stored under its name, so every reader uses this one."""

NAMESPACE = "features"
"""The namespace of all tables: a dataset's own table is features.<dataset>."""

QUARANTINE = "quarantine"
RUNS = "runs"
"""The two tables that all datasets share."""

LEARNING = "learning"
"""The namespace of what is learned from the features: evaluations, and each dataset's predictions."""

EVALUATIONS = "evaluations"
"""The table of all classifiers that were fitted, of all datasets."""

DATASET_NAME = r"^[a-z][a-z0-9_]{0,62}$"
"""The pattern of a dataset's name."""

PARTITION = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
"""The pattern of a partition key: one path segment, without a character special to stores or shells."""

WHOLE_SOURCE = "all"
"""The partition of a dataset whose source has no partitions, where none is named."""

RUN_ID = r"^[0-9]{8}T[0-9]{6}-[0-9a-f]{8}$"
"""The pattern of a run's id: the time of its plan in UTC, and eight digits that tell runs of one second apart."""

DATASET_CONF = "spark.imagefeatures.dataset"
"""Spark's property by which a DAG tells its jobs whose runs they may do."""

IMAGES_FORMAT = "imagefeatures.images"
"""The format by which Spark reads images: docs/spark.md."""

FEATURES_FORMAT = "imagefeatures.features"
"""The format by which Spark reads a dataset's features: docs/spark.md."""

_DAG_PREFIX = "features_"
_REDRIVE_PREFIX = "redrive_"
_CLASSIFY_PREFIX = "classify_"


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


def table_name(table: str) -> str:
    """A table as a reader names it.

    >>> table_name("fruit")
    'features.fruit'
    """
    return f"{NAMESPACE}.{table}"


def predictions(dataset: str) -> str:
    """The table of the namespace `learning` with the predictions for a dataset's images.

    >>> predictions("fruit")
    'fruit_predictions'
    """
    return f"{dataset}_predictions"
