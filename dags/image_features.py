"""A DAG for each dataset file, `features_<dataset>`:

    plan >> ingest >> validate >> resize >> featurize >> register
    plan >> model >> featurize

Its manual, which the UI shows, and its code are `imagefeatures_airflow/pipeline.py`, an import away: whoever installs
the package has them, and writes the lines below into a DAG file of their own.
"""

from imagefeatures_airflow import feature_dags

globals().update(feature_dags())
