"""Shows malformed dataset files as an import error of the DAGs folder.

A file of its own: Airflow neither schedules nor triggers any DAG of a file that has an import
error, and one bad dataset must not stop the others.
"""

from __future__ import annotations

from imagefeatures.datasets import load_datasets
from imagefeatures.errors import DatasetError
from imagefeatures.settings import Settings

if errors := load_datasets(Settings.from_env().datasets)[1]:
    raise DatasetError("; ".join(str(error) for error in errors)) from None
