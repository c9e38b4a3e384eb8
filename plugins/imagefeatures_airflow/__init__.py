"""What Airflow needs to know of image features: the DAGs, the trigger form, retries, the tasks' bodies, the web page.

A DAG file of three lines makes the DAG of each dataset file:

    from imagefeatures_airflow import feature_dags

    globals().update(feature_dags("/etc/imagefeatures/datasets"))

Every Airflow process imports this package for its plugin, so it imports nothing itself before it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.sdk import DAG


def feature_dags(folder: str | Path | None = None) -> dict[str, DAG]:
    """The DAG of each dataset file, by its id. For a DAG file, which hands them to Airflow by `globals().update(…)`.

    folder: of dataset files, an absolute path; None: the one that the settings name. Tasks read it too, so the workers
    of Airflow need it at the same path. Raises SettingsError when there is no such folder.

    Malformed files are passed over, or one would stop all: Airflow runs no DAG of a file that has an import error.
    `check_feature_dags` reports them.
    """
    from imagefeatures import names
    from imagefeatures.datasets import load_datasets
    from imagefeatures_airflow.pipeline import features_dag

    place = _existing(folder)
    return {names.dag_id(dataset.name): features_dag(dataset, place) for dataset in load_datasets(place)[0]}


def check_feature_dags(folder: str | Path | None = None) -> None:
    """Raise DatasetError when there are malformed dataset files; its text names each file and field.

    For a DAG file of its own, which makes no DAG: Airflow then shows the text as this file's import error. folder: as
    for `feature_dags`.
    """
    from imagefeatures.datasets import load_datasets
    from imagefeatures.errors import DatasetError

    if errors := load_datasets(_existing(folder))[1]:
        raise DatasetError("; ".join(str(error) for error in errors)) from None


def _existing(folder: str | Path | None) -> Path:
    from pathlib import Path

    from imagefeatures.errors import SettingsError
    from imagefeatures.settings import Settings

    if folder is None:
        return Settings.from_env().datasets
    path = Path(folder)
    if not path.is_absolute() or not path.is_dir():
        raise SettingsError(f"feature_dags: {str(folder)!r} is not the absolute path of a folder of dataset files")
    return path
