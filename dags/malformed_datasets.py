"""Shows malformed dataset files as an import error of the DAGs folder.

This is a separate DAG file, because Airflow neither schedules nor triggers any DAG of a file that has an import error,
and one malformed dataset must not stop the others.
"""

from imagefeatures_airflow import check_feature_dags

check_feature_dags()
