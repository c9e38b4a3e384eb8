"""A DAG for each dataset file, `unpublish_<dataset>`, which takes published rows back:

    withdraw

Its code and its manual, which the UI shows, are in `imagefeatures_airflow/unpublish.py`, a part of the package. An
installation without this checkout needs a DAG file of these lines.
"""

from imagefeatures_airflow import unpublish_dags

globals().update(unpublish_dags())
