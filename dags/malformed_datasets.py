"""Shows malformed dataset files as an import error of the DAGs folder.

A file of its own: Airflow neither schedules nor triggers any DAG of a file that has an import
error, and one bad dataset must not stop the others.
"""

from imagefeatures_airflow import check_feature_dags

check_feature_dags()
