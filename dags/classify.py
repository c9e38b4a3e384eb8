"""A DAG for each dataset file with `classify:`, `classify_<dataset>`, which fits a classifier to its vectors:

    plan >> classify >> publish

Its code and its manual, which the UI shows, are in `imagefeatures_airflow/classify.py`, a part of the package. An
installation without this checkout needs a DAG file of these lines.
"""

from imagefeatures_airflow import classify_dags

globals().update(classify_dags())
