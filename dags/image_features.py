"""A DAG for each dataset file, `features_<dataset>`:

    plan >> ingest >> validate >> resize >> featurize >> register >> statistics
    plan >> model >> featurize

Its code and its manual, which the UI shows, are in `imagefeatures_airflow/pipeline.py`, a part of the package. An
installation without this checkout needs a DAG file of these lines.
"""

from imagefeatures_airflow import feature_dags

globals().update(feature_dags())
