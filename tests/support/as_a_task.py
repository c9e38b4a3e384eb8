"""Runs spark-submit with the operator of a Spark step's Airflow task, without the rest of Airflow."""

from __future__ import annotations

import sys
from pathlib import Path

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

application, *arguments = sys.argv[1:]
operator = SparkSubmitOperator(
    task_id=Path(application).stem, application=application, application_args=arguments, verbose=False
)
operator.execute({})
