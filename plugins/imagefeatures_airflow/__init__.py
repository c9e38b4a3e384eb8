"""The Airflow side of image features: the DAGs, the trigger form, retries, the bodies of the tasks, the web page.

A DAG file of three lines makes the DAG of each dataset file:

    from imagefeatures_airflow import feature_dags

    globals().update(feature_dags("/etc/imagefeatures/datasets"))

Every Airflow process imports this package for its plugin, so its functions import what they need when they are called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow.sdk import DAG

    from imagefeatures.datasets import Dataset
    from imagefeatures.errors import DatasetError
    from imagefeatures_airflow.building_blocks import Notify


def feature_dags(folder: str | Path | None = None, notify: Notify = None) -> dict[str, DAG]:
    """The DAG of each dataset file, by its id. A DAG file passes them to Airflow by `globals().update(…)`.

    folder: absolute path of a folder of dataset files; None: the folder of the settings. Tasks read it too, so
    Airflow's workers need it at the same path. notify: what is called with the task's context where a published run
    raises an alert: a function, one of Airflow's notifiers, or several. Raises SettingsError when there is no such
    folder.

    Files of which no DAG can be made are skipped, because Airflow runs no DAG of a DAG file that has an import error.
    `check_feature_dags` reports them. An id begins with `features_`, so it replaces no other name of the DAG file.
    """
    from functools import partial

    from imagefeatures_airflow.pipeline import features_dag

    return _made(_existing(folder), partial(features_dag, notify=notify))[0]


def redrive_dags(folder: str | Path | None = None, notify: Notify = None) -> dict[str, DAG]:
    """The DAG that takes a dataset's quarantined objects again, of each dataset file, by its id. As `feature_dags`.

    Files of which no DAG can be made are skipped here too. An id begins with `redrive_`.
    """
    from functools import partial

    from imagefeatures import names
    from imagefeatures_airflow.redrive import redrive_dag

    return _made(_existing(folder), partial(redrive_dag, notify=notify), names.redrive_dag_id)[0]


def classify_dags(folder: str | Path | None = None) -> dict[str, DAG]:
    """The DAG that fits a classifier to a dataset's vectors, of each dataset file with `classify`, by its id.

    As `feature_dags`. Files of which no DAG can be made are skipped here too. An id begins with `classify_`.
    """
    from imagefeatures import names
    from imagefeatures_airflow.classify import classify_dag

    return _made(_existing(folder), classify_dag, names.classify_dag_id, lambda dataset: dataset.classify is not None)[
        0
    ]


def unpublish_dags(folder: str | Path | None = None) -> dict[str, DAG]:
    """The DAG that takes a dataset's published rows back, of each dataset file, by its id. As `feature_dags`.

    Files of which no DAG can be made are skipped here too. An id begins with `unpublish_`.
    """
    from imagefeatures import names
    from imagefeatures_airflow.unpublish import unpublish_dag

    return _made(_existing(folder), unpublish_dag, names.unpublish_dag_id)[0]


def check_feature_dags(folder: str | Path | None = None) -> None:
    """Raise DatasetError when there are malformed dataset files; its text names each file and field.

    Call it in a DAG file of its own, without DAGs: Airflow then shows the text as the import error of that file.
    folder: as for `feature_dags`.
    """
    from imagefeatures.errors import DatasetError

    if errors := _made(_existing(folder))[1]:
        raise DatasetError("; ".join(map(str, errors))) from None


def _made(
    folder: Path,
    make: Callable[[Dataset, Path], DAG] | None = None,
    dag_id: Callable[[str], str] | None = None,
    wanted: Callable[[Dataset], bool] = lambda _: True,
) -> tuple[dict[str, DAG], list[DatasetError]]:
    """The DAGs of a folder's dataset files, and the errors of those files that have none.

    make: makes the DAG of one; by default that of its runs. dag_id: gives its id. wanted: whether a dataset has one.
    """
    from imagefeatures import names
    from imagefeatures.dataset_files import load_datasets
    from imagefeatures.errors import DatasetError
    from imagefeatures.reasons import printable
    from imagefeatures_airflow.pipeline import features_dag

    make, dag_id = make or features_dag, dag_id or names.dag_id
    datasets, errors = load_datasets(folder)
    dags = {}
    for dataset in filter(wanted, datasets):
        try:
            dag = make(dataset, folder)
            dag.validate()
        except Exception as error:  # whatever one file makes Airflow raise, the other files have their DAGs
            text = f"{dataset.name}.yaml: Airflow makes no DAG of it: {type(error).__name__}: {printable(error)}"
            errors.append(DatasetError(text))
        else:
            dags[dag_id(dataset.name)] = dag
    return dags, errors


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
