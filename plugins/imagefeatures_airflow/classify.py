"""### Classify

Fits a classifier to the vectors of `features.<dataset>` by SparkML, judges it by images that it has not seen,
and predicts the label of every image, also of those without one.

**Run it.** It starts by itself when a run has been published; runs that are published while it works make one
more. *Trigger* fits another kind of classifier, or with other held-out images. The other settings are those of
`classify:` in the dataset file.

**The result.** `learning.evaluations` has a row with the figures of each classifier and the URI of its confusion
matrix as a picture; `learning.<dataset>_predictions` has the predictions of the promoted one.

**The promise.** The same settings on the same snapshot are one classifier and one row, however often a task is
retried. A classifier is promoted only if its macro accuracy is not worse than that of the last one by more than
the margin. Equal bytes are never on both sides of the split. docs/classify.md
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.sdk import DAG, FixedKeyMapper, PartitionedAssetTimetable, dag, task

from imagefeatures import names
from imagefeatures.datasets import Dataset
from imagefeatures.learning.declared import Classify
from imagefeatures_airflow.building_blocks import ALWAYS, asset, default_args, predictions_asset, submit
from imagefeatures_airflow.form import classify_form

STEP = "classify"

EVERY_PARTITION = "published"
"""The one partition key of these runs: a classifier is for all partitions. Partitions that are published together,
as by a backfill, start one run."""


def classify_dag(dataset: Dataset, folder: Path) -> DAG:
    """The DAG that fits a dataset's classifiers. folder: where `plan` finds the dataset file, when the run starts."""
    published = PartitionedAssetTimetable(
        assets=asset(dataset.name), default_partition_mapper=FixedKeyMapper(EVERY_PARTITION)
    )

    @dag(
        dag_id=names.classify_dag_id(dataset.name),
        description=f"A classifier on {names.table_name(dataset.name)}, to {names.LEARNING}.*",
        doc_md=__doc__,
        schedule=published,
        start_date=ALWAYS,
        catchup=False,
        max_active_runs=1,  # the next one compares itself with the one that this one promotes
        params=classify_form(dataset.classify or Classify()),
        default_args=default_args(),
        tags=["image features", "classify"],
        auto_register=False,  # as in pipeline.py
    )
    def classify() -> None:
        @task
        def plan(params: dict[str, Any]) -> str:
            from imagefeatures_airflow import tasks

            return tasks.plan_classifier(folder, dataset.name, params)

        @task(outlets=[predictions_asset(dataset.name)])
        def publish(job_file: str) -> dict[str, Any]:
            from imagefeatures_airflow import tasks

            return tasks.publish_classifier(job_file, dataset.name)

        job_file = plan()
        submit(STEP, dataset.name, job_file, "--job") >> publish(job_file)

    return classify()
